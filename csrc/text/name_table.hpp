// Names of words, looked up word by word.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rerec {

// A trie, flat: the hash of a name's first words -> the name that is just these, if one is. Who looks up compares the
// words. Keys: the first word's hash, then `join_hash` with each further one; their highest bit
// is set.
class NameTable {
 public:
  static constexpr int32_t kNone = -1;

  // The name's number; kNone for one whose hash is that of another name. hashes: of its words, at least one.
  // Throws std::length_error beyond 16 million names.
  int32_t add(const std::vector<uint64_t>& hashes, std::string_view name);
  // kNone - 1: no name begins so; kNone: only longer ones do.
  int32_t find(uint64_t key) const {
    for (uint64_t at = key & mask_;; at = (at + 1) & mask_) {
      const uint64_t slot = slots_[at];
      if ((slot ^ key) <= kNameBits) return static_cast<int32_t>(slot & kNameBits) - 1;
      if (slot == 0) return kNone - 1;
    }
  }
  std::string_view operator[](int32_t name) const {
    return std::string_view(pool_).substr(begins_[static_cast<size_t>(name)],
                                          begins_[static_cast<size_t>(name) + 1] - begins_[static_cast<size_t>(name)]);
  }
  size_t size() const { return begins_.size() - 1; }

 private:
  static constexpr uint64_t kNameBits = (uint64_t{1} << 24) - 1;

  size_t place(uint64_t key);
  void grow();

  // The upper bits of a key above its name's number and one (0: none); 0: empty. The keys themselves, which `find` does
  // not read, so that more slots fit into the cache.
  std::vector<uint64_t> slots_ = std::vector<uint64_t>(64), keys_ = slots_;
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
