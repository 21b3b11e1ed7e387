// Names of words, looked up word by word.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rerec {

// A trie, flat: the hash of a name's first words -> the name that is just these, if one is. Who looks up compares the
// words. Keys: the first word's hash, then `join_hash` with each further one; a word's hash is never 0.
class NameTable {
 public:
  static constexpr int32_t kNone = -1;

  // The name's number; kNone for one whose hash is that of another name. hashes: of its words, at least one.
  int32_t add(const std::vector<uint64_t>& hashes, std::string_view name);
  // kNone - 1: no name begins so; kNone: only longer ones do.
  int32_t find(uint64_t key) const {
    for (uint64_t at = key & mask_;; at = (at + 1) & mask_) {
      if (slots_[at].key == key) return slots_[at].name;
      if (slots_[at].key == 0) return kNone - 1;
    }
  }
  std::string_view operator[](int32_t name) const {
    return std::string_view(pool_).substr(begins_[static_cast<size_t>(name)],
                                          begins_[static_cast<size_t>(name) + 1] - begins_[static_cast<size_t>(name)]);
  }
  size_t size() const { return begins_.size() - 1; }

 private:
  struct Slot {
    uint64_t key = 0;  // 0: empty
    int32_t name = kNone;
  };
  Slot& slot(uint64_t key);
  void grow();

  std::vector<Slot> slots_ = std::vector<Slot>(64);
  uint64_t mask_ = 63;
  size_t used_ = 0;
  std::string pool_;
  std::vector<size_t> begins_{0};
};

// Bits by hash: a set that may hold more than was put in.
class HashFilter {
 public:
  void build(const std::vector<uint64_t>& hashes);
  bool may_hold(uint64_t hash) const { return bits_[(hash >> 6) & mask_] >> (hash & 63) & 1; }

 private:
  std::vector<uint64_t> bits_ = {0};
  uint64_t mask_ = 0;
};

}  // namespace rerec
