// Where the text of a batch of tokens comes from.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "engine.hpp"

namespace rerec {

// Token id -> bytes, for tokenizers whose text is the concatenation of their tokens' bytes (byte-level BPE).
struct Vocabulary {
  const int64_t* ptr;  // [size + 1]
  const char* bytes;
  int64_t size;
};

template <class Id>
class IdSource : public TokenSource {
 public:
  // Throws std::out_of_range that names the first id outside the vocabulary.
  IdSource(const Id* ids, const int64_t* cu, size_t count, const Vocabulary& vocabulary)
      : TokenSource(cu, count), ids_(ids), vocabulary_(vocabulary) {
    for (size_t i = 0; i < count; ++i) {
      for (int64_t j = cu[i]; j < cu[i + 1]; ++j) {
        const int64_t id = static_cast<int64_t>(ids[j]);
        if (id >= 0 && id < vocabulary.size) continue;
        throw std::out_of_range("response " + std::to_string(i) + ", token " + std::to_string(j - cu[i]) + ": id " +
                                std::to_string(id) + " is outside the tokenizer's 0.." +
                                std::to_string(vocabulary.size - 1));
      }
    }
  }

  TokenText read(size_t i, Buffers& buffers) const override {
    const int64_t begin = cu()[i], end = cu()[i + 1];
    buffers.text.clear();
    buffers.offsets.assign(1, 0);
    for (int64_t j = begin; j < end; ++j) {
      const int64_t id = static_cast<int64_t>(ids_[j]);
      const int64_t from = vocabulary_.ptr[id], to = vocabulary_.ptr[id + 1];
      buffers.text.append(vocabulary_.bytes + from, static_cast<size_t>(to - from));
      buffers.offsets.push_back(static_cast<int64_t>(buffers.text.size()));
    }
    return {buffers.text, buffers.offsets.data(), static_cast<size_t>(end - begin)};
  }

 private:
  const Id* ids_;
  Vocabulary vocabulary_;
};

// Known texts; token j of the batch ends at byte ends[j] of its response and begins where the one before it ends.
class TextSource : public TokenSource {
 public:
  TextSource(const std::vector<std::string_view>& texts, const int64_t* ends, const int64_t* cu)
      : TokenSource(cu, texts.size()), texts_(texts), ends_(ends) {
    for (size_t i = 0; i < texts.size(); ++i) {
      int64_t last = 0;
      for (int64_t j = cu[i]; j < cu[i + 1]; last = ends[j++]) {
        if (ends[j] < last || ends[j] > static_cast<int64_t>(texts[i].size()))
          throw std::out_of_range("response " + std::to_string(i) + ": token ends must ascend within the text");
      }
    }
  }

  TokenText read(size_t i, Buffers& buffers) const override {
    buffers.offsets.assign(1, 0);
    buffers.offsets.insert(buffers.offsets.end(), ends_ + cu()[i], ends_ + cu()[i + 1]);
    return {texts_[i], buffers.offsets.data(), buffers.offsets.size() - 1};
  }

 private:
  const std::vector<std::string_view>& texts_;
  const int64_t* ends_;
};

}  // namespace rerec
