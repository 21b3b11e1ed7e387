#include "text/name_table.hpp"

#include "text/plain.hpp"

namespace rerec {

using std::string_view;

NameTable::Slot& NameTable::slot(uint64_t key) {
  for (uint64_t at = key & mask_;; at = (at + 1) & mask_) {
    if (slots_[at].key == key) return slots_[at];
    if (slots_[at].key != 0) continue;
    if (2 * ++used_ > slots_.size()) {
      --used_;
      grow();
      return slot(key);
    }
    slots_[at].key = key;
    return slots_[at];
  }
}

void NameTable::grow() {
  std::vector<Slot> old(slots_.size() * 2);
  old.swap(slots_);
  mask_ = slots_.size() - 1;
  for (const Slot& known : old) {
    if (known.key == 0) continue;
    uint64_t at = known.key & mask_;
    while (slots_[at].key != 0) at = (at + 1) & mask_;
    slots_[at] = known;
  }
}

int32_t NameTable::add(const std::vector<uint64_t>& hashes, string_view name) {
  uint64_t key = hashes[0];
  for (size_t i = 1; i < hashes.size(); ++i) {
    slot(key);
    key = join_hash(key, hashes[i]);
  }
  Slot& last = slot(key);
  if (last.name == kNone) {
    last.name = static_cast<int32_t>(begins_.size()) - 1;
    pool_.append(name);
    begins_.push_back(pool_.size());
  } else if ((*this)[last.name] != name) {
    return kNone;
  }
  return last.name;
}

void HashFilter::build(const std::vector<uint64_t>& hashes) {
  size_t words = 16;
  while (words * 4 < hashes.size()) words *= 2;  // at most one bit of sixteen
  bits_.assign(words, 0);
  mask_ = words - 1;
  for (uint64_t hash : hashes) bits_[(hash >> 6) & mask_] |= uint64_t{1} << (hash & 63);
}

}  // namespace rerec
