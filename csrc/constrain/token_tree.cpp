#include "constrain/token_tree.hpp"

#include <algorithm>

namespace rerec {

// Tokens sorted by their bytes lie below their node side by side; the nodes come level by level, so that children do too.
TokenTree::TokenTree(const int64_t* ptr, size_t count, std::string_view bytes) : bytes_(bytes) {
  ptr_.reserve(count + 1);
  for (size_t i = 0; i <= count; ++i) ptr_.push_back(static_cast<uint32_t>(ptr[i]));
  for (size_t i = 0; i < count; ++i) {
    if (ptr_[i] < ptr_[i + 1]) ids_.push_back(static_cast<int32_t>(i));
  }
  std::stable_sort(ids_.begin(), ids_.end(), [&](int32_t a, int32_t b) { return this->bytes(a) < this->bytes(b); });

  struct Below {
    uint32_t begin, end;  // of ids_
    uint32_t depth;
  };
  std::vector<Below> below{{0, static_cast<uint32_t>(ids_.size()), 0}};
  nodes_.emplace_back();
  for (size_t at = 0; at < nodes_.size(); ++at) {
    const auto [begin, end, depth] = below[at];
    uint32_t i = begin;
    while (i < end && this->bytes(ids_[i]).size() == depth) ++i;
    nodes_[at].tokens = begin;
    nodes_[at].tokens_end = i;
    nodes_[at].children = static_cast<uint32_t>(nodes_.size());
    while (i < end) {
      Node child;
      child.byte = static_cast<unsigned char>(this->bytes(ids_[i])[depth]);
      const uint32_t first = i;
      while (i < end && static_cast<unsigned char>(this->bytes(ids_[i])[depth]) == child.byte) ++i;
      nodes_.push_back(child);
      below.push_back({first, i, depth + 1});
    }
    nodes_[at].children_end = static_cast<uint32_t>(nodes_.size());
  }
}

uint32_t TokenTree::child(uint32_t at, unsigned char byte) const {
  const Node& parent = nodes_[at];
  const auto begin = nodes_.begin() + parent.children, end = nodes_.begin() + parent.children_end;
  const auto found = std::lower_bound(begin, end, byte, [](const Node& node, unsigned char b) { return node.byte < b; });
  return found != end && found->byte == byte ? static_cast<uint32_t>(found - nodes_.begin()) : kNone;
}

bool TokenTree::is_token(std::string_view text) const {
  uint32_t at = root();
  for (char byte : text) {
    at = child(at, static_cast<unsigned char>(byte));
    if (at == kNone) return false;
  }
  return nodes_[at].tokens < nodes_[at].tokens_end;
}

bool TokenTree::spells(std::string_view text) const {
  for (size_t i = 0; i < text.size();) {
    size_t end = i + 1;
    while (end < text.size() && (text[end] & 0xC0) == 0x80) ++end;
    bool bytes = true;
    for (size_t j = i; j < end; ++j) bytes = bytes && is_token(text.substr(j, 1));
    if (!bytes && !is_token(text.substr(i, end - i))) return false;
    i = end;
  }
  return true;
}

}  // namespace rerec
