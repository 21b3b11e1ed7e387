#include "text/name_table.hpp"

#include <stdexcept>

#include "text/plain.hpp"

namespace rerec {

using std::string_view;

// Of the slot of a key, which is there from now on.
size_t NameTable::place(uint64_t key) {
  for (uint64_t at = key & mask_;; at = (at + 1) & mask_) {
    if (keys_[at] == key) return at;
    if (keys_[at] != 0) continue;
    if (2 * ++used_ > slots_.size()) {
      --used_;
      grow();
      return place(key);
    }
    keys_[at] = key;
    slots_[at] = key & ~kNameBits;
    return at;
  }
}

void NameTable::grow() {
  std::vector<uint64_t> old(slots_.size() * 2), old_keys(old.size());
  old.swap(slots_);
  old_keys.swap(keys_);
  mask_ = slots_.size() - 1;
  for (size_t i = 0; i < old.size(); ++i) {
    if (old[i] == 0) continue;
    uint64_t at = old_keys[i] & mask_;
    while (slots_[at] != 0) at = (at + 1) & mask_;
    slots_[at] = old[i];
    keys_[at] = old_keys[i];
  }
}

int32_t NameTable::add(const std::vector<uint64_t>& hashes, string_view name) {
  uint64_t key = hashes[0];
  for (size_t i = 1; i < hashes.size(); ++i) {
    place(key);
    key = join_hash(key, hashes[i]);
  }
  uint64_t& last = slots_[place(key)];
  const int32_t known = static_cast<int32_t>(last & kNameBits) - 1;
  if (known != kNone) return (*this)[known] == name ? known : kNone;
  if (size() >= kNameBits) throw std::length_error("too many names");
  pool_.append(name);
  begins_.push_back(pool_.size());
  last |= size();
  return static_cast<int32_t>(size()) - 1;
}

void HashFilter::build(const std::vector<uint64_t>& hashes) {
  size_t words = 16;
  while (words * 4 < hashes.size()) words *= 2;  // at most one bit of sixteen
  bits_.assign(words, 0);
  mask_ = words - 1;
  for (uint64_t hash : hashes) bits_[(hash >> 6) & mask_] |= uint64_t{1} << (hash & 63);
}

}  // namespace rerec
