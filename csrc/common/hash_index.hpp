// Hash -> item ids, in flat arrays that may be memory-mapped.
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
  size_t size() const { return static_cast<size_t>(end_ - begin_); }
  bool empty() const { return begin_ == end_; }
};

// Up to this many items need not be in order to be searched.
inline constexpr size_t kFewItems = 64;

inline bool contains(ItemSpan items, int32_t item) {
  if (items.size() > kFewItems) return std::binary_search(items.begin(), items.end(), item);
  bool found = false;
  for (int32_t other : items) found |= other == item;
  return found;
}

// Open addressing. A slot is the upper half of a hash above a 32-bit reference: an item, kNoItem, or, below that, one of
// the groups of items that share a hash.
struct HashIndex {
  static constexpr int32_t kNoItem = -1;

  const uint64_t* slots = nullptr;  // a power of two of them
  uint64_t mask = 0;
  const int64_t* group_ptr = nullptr;    // [groups + 1]
  const int32_t* group_items = nullptr;  // ascending within a group

  // Calls f(item) for the items stored under the hash, and for some whose hash is like it: the caller compares the keys.
  template <class F>
  void find(uint64_t hash, F f) const {
    if (slots == nullptr) return;
    for (uint64_t at = hash & mask;; at = (at + 1) & mask) {
      const uint64_t slot = slots[at];
      const int32_t ref = static_cast<int32_t>(static_cast<uint32_t>(slot));
      if (ref == kNoItem) return;
      if (slot >> 32 != hash >> 32) continue;
      if (ref >= 0) {
        f(ref);
        continue;
      }
      const int64_t* group = group_ptr + (kNoItem - 1 - static_cast<int64_t>(ref));
      for (int64_t i = group[0]; i < group[1]; ++i) f(group_items[i]);
    }
  }
};

// The arrays of a HashIndex, built from (hash, item) pairs.
struct HashIndexArrays {
  std::vector<uint64_t> slots;
  std::vector<int64_t> group_ptr{0};
  std::vector<int32_t> group_items;

  using Entry = std::pair<uint64_t, int32_t>;

  void build(std::vector<Entry> entries) {
    std::sort(entries.begin(), entries.end());
    entries.erase(std::unique(entries.begin(), entries.end()), entries.end());
    uint64_t capacity = 16;
    while (capacity < entries.size() + entries.size() / 2) capacity <<= 1;
    slots.assign(capacity, 0xFFFFFFFFu);
    for (size_t i = 0; i < entries.size();) {
      const uint64_t hash = entries[i].first;
      size_t end = i + 1;
      while (end < entries.size() && entries[end].first == hash) ++end;
      int32_t ref = entries[i].second;
      if (end - i > 1) {
        ref = HashIndex::kNoItem - static_cast<int32_t>(group_ptr.size());
        for (size_t j = i; j < end; ++j) group_items.push_back(entries[j].second);
        group_ptr.push_back(static_cast<int64_t>(group_items.size()));
      }
      uint64_t at = hash & (capacity - 1);
      while (static_cast<uint32_t>(slots[at]) != 0xFFFFFFFFu) at = (at + 1) & (capacity - 1);
      slots[at] = (hash >> 32) << 32 | static_cast<uint32_t>(ref);
      i = end;
    }
  }

  HashIndex view() const { return {slots.data(), slots.size() - 1, group_ptr.data(), group_items.data()}; }
};

}  // namespace rerec
