// Where the text of a batch of tokens comes from.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "common/prefetch.hpp"
#include "text/scan.hpp"

namespace rerec {

// Offsets of normalised text are 32 bits wide, and it can be four times as long as its source.
inline constexpr size_t kMostText = size_t{1} << 29;

// Where a batch's tokens lie. Padded: response i has `length[i]` tokens from `left[i]` on in row i, ids' rows being
// `stride` apart and rewards' rows `width`. Packed: `stride` and `width` are 0.
struct TokenRows {
  const int64_t* left;
  const int64_t* length;
  size_t count;
  int64_t stride = 0, width = 0;

  int64_t ids_begin(size_t i) const { return left[i] + static_cast<int64_t>(i) * stride; }
  int64_t rewards_begin(size_t i) const { return left[i] + static_cast<int64_t>(i) * width; }
};

// A response's text and the byte offsets of its tokens.
struct TokenText {
  std::string_view text;
  const uint32_t* offsets = nullptr;  // [tokens + 1]
  size_t tokens = 0;
  // Tokens without bytes and tokens that hold a line break, ascending: all others belong to the line that they begin in.
  const std::vector<uint32_t>* special = nullptr;
};

inline bool holds_break(std::string_view text) { return find_any<'\n', '\r'>(text) != std::string_view::npos; }

// Read from several threads.
class TokenSource {
 public:
  // Of one thread.
  struct Buffers {
    std::unique_ptr<char[]> text;
    size_t capacity = 0;
    std::vector<uint32_t> offsets, special;
  };

  explicit TokenSource(TokenRows rows) : rows_(rows) {}
  virtual ~TokenSource() = default;
  virtual TokenText read(size_t i, Buffers& buffers) const = 0;
  const TokenRows& rows() const { return rows_; }

 protected:
  TokenRows rows_;
};

// Token id -> bytes, for tokenizers whose text is the concatenation of their tokens' bytes (byte-level BPE).
// A token of up to 15 bytes lies in its slot, so that one load and one store copy it.
class Vocabulary {
 public:
  static constexpr size_t kSlot = 16, kInline = kSlot - 1;
  static constexpr unsigned char kSpecial = 32, kLong = 16, kUnknown = 17;
  struct alignas(kSlot) Slot {
    char bytes[kInline];
    unsigned char size;  // kSpecial is added where it is 0 or bytes hold a line break; kLong: see `long_token`; kUnknown
  };

  // bytes[ptr[i]:ptr[i + 1]] are those of token i.
  Vocabulary(const int64_t* ptr, size_t count, std::string_view bytes) : size_(count) {
    size_t capacity = 1;
    while (capacity < count) capacity *= 2;
    Slot unknown{};
    unknown.size = kUnknown;
    slots_.assign(capacity, unknown);
    for (size_t i = 0; i < count; ++i) {
      const std::string_view token = bytes.substr(static_cast<size_t>(ptr[i]), static_cast<size_t>(ptr[i + 1] - ptr[i]));
      Slot& slot = slots_[i];
      if (token.size() <= kInline) {
        std::memcpy(slot.bytes, token.data(), token.size());
        const bool special = token.empty() || holds_break(token);
        slot.size = static_cast<unsigned char>(token.size() + (special ? kSpecial : 0));
      } else {
        const uint64_t number = long_.size();
        std::memcpy(slot.bytes, &number, sizeof number);
        slot.size = kLong;
        long_.emplace_back(token);
      }
    }
  }

  size_t size() const { return size_; }
  const Slot* slots() const { return slots_.data(); }
  // A power of two; slots from `size` on are unknown.
  size_t capacity() const { return slots_.size(); }
  std::string_view long_token(const Slot& slot) const {
    uint64_t number;
    std::memcpy(&number, slot.bytes, sizeof number);
    return long_[number];
  }

 private:
  size_t size_;
  std::vector<Slot> slots_;
  std::vector<std::string> long_;
};

template <class Id>
class IdSource : public TokenSource {
 public:
  IdSource(const Id* ids, TokenRows rows, const Vocabulary& vocabulary)
      : TokenSource(rows), ids_(ids), vocabulary_(vocabulary) {}

  // Throws std::out_of_range that names the first id outside the vocabulary.
  TokenText read(size_t i, Buffers& buffers) const override {
    const size_t count = static_cast<size_t>(rows_.length[i]);
    const Id* ids = ids_ + rows_.ids_begin(i);
    reserve(buffers, (count + 1) * Vocabulary::kSlot, 0);
    if (buffers.offsets.size() < count + 1) buffers.offsets.resize(count + 1);
    uint32_t* offsets = buffers.offsets.data();
    // Below a power of two all at once; a slot tells the rest.
    using Unsigned = std::make_unsigned_t<Id>;
    Unsigned all = 0;
    for (size_t j = 0; j < count; ++j) all |= static_cast<Unsigned>(ids[j]);
    if (all >= vocabulary_.capacity()) fail(i);
    const Vocabulary::Slot* slots = vocabulary_.slots();
    char* base = buffers.text.get();
    size_t used = 0;
    offsets[0] = 0;
    std::vector<uint32_t>& special = buffers.special;
    special.clear();
    for (size_t j = 0; j < count; ++j) {
      const Vocabulary::Slot& slot = slots[static_cast<Unsigned>(ids[j])];
      if (slot.size < Vocabulary::kLong) {
        std::memcpy(base + used, &slot, Vocabulary::kSlot);  // the size's byte too: the next token covers it
        used += slot.size;
      } else if (slot.size >= Vocabulary::kSpecial) {
        std::memcpy(base + used, &slot, Vocabulary::kSlot);
        used += slot.size - Vocabulary::kSpecial;
        special.push_back(static_cast<uint32_t>(j));
      } else {
        if (slot.size == Vocabulary::kUnknown) fail(i);
        used = append_long(slot, buffers, used, count - j, i);
        base = buffers.text.get();
        if (holds_break({base + offsets[j], used - offsets[j]})) special.push_back(static_cast<uint32_t>(j));
      }
      offsets[j + 1] = static_cast<uint32_t>(used);
    }
    if (i + 1 < rows_.count) {  // rows of a padded batch lie too far apart for the processor to guess the next one
      prefetch_lines(ids_ + rows_.ids_begin(i + 1), static_cast<size_t>(rows_.length[i + 1]) * sizeof(Id));
    }
    if (used > kMostText) too_long(i);
    return {{base, used}, offsets, count, &special};
  }

 private:
  // How many bytes are there then; `left` tokens with this one are to come.
  size_t append_long(const Vocabulary::Slot& slot, Buffers& buffers, size_t used, size_t left, size_t row) const {
    const std::string_view token = vocabulary_.long_token(slot);
    if (used + token.size() > kMostText) too_long(row);
    reserve(buffers, used + token.size() + (left + 1) * Vocabulary::kSlot, used);
    std::memcpy(buffers.text.get() + used, token.data(), token.size());
    return used + token.size();
  }

  static void reserve(Buffers& buffers, size_t capacity, size_t used) {
    if (capacity <= buffers.capacity) return;
    capacity += capacity / 2;
    std::unique_ptr<char[]> larger(new char[capacity]);
    if (used > 0) std::memcpy(larger.get(), buffers.text.get(), used);
    buffers.text = std::move(larger);
    buffers.capacity = capacity;
  }

  [[noreturn]] static void too_long(size_t row) {
    throw std::out_of_range("response " + std::to_string(row) + ": longer than 512 MiB");
  }

  [[noreturn]] void fail(size_t row) const {
    const Id* ids = ids_ + rows_.ids_begin(row);
    const int64_t size = static_cast<int64_t>(vocabulary_.size());
    int64_t token = 0;
    while (token < rows_.length[row] && ids[token] >= 0 && static_cast<int64_t>(ids[token]) < size) ++token;
    throw std::out_of_range("response " + std::to_string(row) + ", token " + std::to_string(token) + ": id " +
                            std::to_string(token < rows_.length[row] ? static_cast<int64_t>(ids[token]) : -1) +
                            " is outside the tokenizer's 0.." + std::to_string(size - 1));
  }

  const Id* ids_;
  const Vocabulary& vocabulary_;
};

// Known texts; token j of the batch ends at byte ends[j] of its response and begins where the one before it ends.
class TextSource : public TokenSource {
 public:
  TextSource(const std::vector<std::string_view>& texts, const int64_t* ends, TokenRows rows)
      : TokenSource(rows), texts_(texts), ends_(ends) {}

  TokenText read(size_t i, Buffers& buffers) const override {
    buffers.offsets.assign(1, 0);
    buffers.special.clear();
    int64_t last = 0;
    for (int64_t j = rows_.ids_begin(i); j < rows_.ids_begin(i) + rows_.length[i]; ++j) {
      if (ends_[j] < last || ends_[j] > static_cast<int64_t>(texts_[i].size()))
        throw std::out_of_range("response " + std::to_string(i) + ": token ends must ascend within the text");
      const std::string_view token = texts_[i].substr(static_cast<size_t>(last), static_cast<size_t>(ends_[j] - last));
      if (token.empty() || holds_break(token)) buffers.special.push_back(static_cast<uint32_t>(buffers.offsets.size() - 1));
      last = ends_[j];
      buffers.offsets.push_back(static_cast<uint32_t>(last));
    }
    return {texts_[i], buffers.offsets.data(), buffers.offsets.size() - 1, &buffers.special};
  }

 private:
  const std::vector<std::string_view>& texts_;
  const int64_t* ends_;
};

}  // namespace rerec
