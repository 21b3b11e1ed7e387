// Hash -> item ids, in flat arrays.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace rerec {

struct ItemSpan {
  const int32_t* begin_ = nullptr;
  const int32_t* end_ = nullptr;
  const int32_t* begin() const { return begin_; }
  const int32_t* end() const { return end_; }
};

class HashIndex {
 public:
  using Entry = std::pair<uint64_t, int32_t>;

  void build(std::vector<Entry> entries) {
    std::sort(entries.begin(), entries.end());
    entries.erase(std::unique(entries.begin(), entries.end()), entries.end());
    size_t capacity = 16;
    while (capacity < entries.size() * 2) capacity <<= 1;
    slots_.assign(capacity, kEmpty);
    mask_ = capacity - 1;
    hashes_.clear();
    first_.clear();
    items_.clear();
    for (const Entry& entry : entries) {
      if (hashes_.empty() || hashes_.back() != entry.first) {
        size_t slot = entry.first & mask_;
        while (slots_[slot] != kEmpty) slot = (slot + 1) & mask_;
        slots_[slot] = static_cast<uint32_t>(hashes_.size());
        hashes_.push_back(entry.first);
        first_.push_back(static_cast<uint32_t>(items_.size()));
      }
      items_.push_back(entry.second);
    }
    first_.push_back(static_cast<uint32_t>(items_.size()));
  }

  // Ascending item ids stored under the hash; the caller compares the keys themselves.
  ItemSpan find(uint64_t hash) const {
    if (slots_.empty()) return {};
    for (size_t slot = hash & mask_; slots_[slot] != kEmpty; slot = (slot + 1) & mask_) {
      const uint32_t key = slots_[slot];
      if (hashes_[key] == hash) return {items_.data() + first_[key], items_.data() + first_[key + 1]};
    }
    return {};
  }

 private:
  static constexpr uint32_t kEmpty = 0xFFFFFFFFu;
  std::vector<uint32_t> slots_;
  size_t mask_ = 0;
  std::vector<uint64_t> hashes_;
  std::vector<uint32_t> first_;
  std::vector<int32_t> items_;
};

}  // namespace rerec
