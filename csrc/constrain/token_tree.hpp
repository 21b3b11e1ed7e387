// The tokens of a vocabulary as a tree of their bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rerec {

class TokenTree {
 public:
  struct Node {
    uint32_t children = 0, children_end = 0;  // nodes, ascending by their byte
    uint32_t tokens = 0, tokens_end = 0;      // of `ids`: those whose bytes end here
    unsigned char byte = 0;
  };
  static constexpr uint32_t kNone = ~uint32_t{0};

  // bytes[ptr[i]:ptr[i + 1]] are those of token i; one without bytes is not in the tree.
  TokenTree(const int64_t* ptr, size_t count, std::string_view bytes);

  static constexpr uint32_t root() { return 0; }
  const Node& node(uint32_t at) const { return nodes_[at]; }
  uint32_t child(uint32_t at, unsigned char byte) const;  // kNone: no token goes on so
  // Whether each character of the text is a token, or all its bytes are: it can be written whichever tokens begin it.
  bool spells(std::string_view text) const;
  const int32_t* ids() const { return ids_.data(); }
  size_t nodes() const { return nodes_.size(); }
  // Of all tokens, those without bytes too.
  size_t size() const { return ptr_.size() - 1; }
  std::string_view bytes(int32_t token) const {
    const auto i = static_cast<size_t>(token);
    return std::string_view(bytes_).substr(ptr_[i], ptr_[i + 1] - ptr_[i]);
  }

 private:
  bool is_token(std::string_view text) const;

  std::vector<Node> nodes_;
  std::vector<int32_t> ids_;
  std::vector<uint32_t> ptr_;
  std::string bytes_;
};

}  // namespace rerec
