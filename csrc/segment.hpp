// Lines of a response, which of them mention a wrong item, and the reward of every token (RAAE, arXiv 2604.07851).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text.hpp"

namespace rerec {

// Byte ranges of lines; a line ends with '\n' or '\r', which belongs to it.
struct Line {
  size_t begin, end;
};

std::vector<Line> split_lines_at_breaks(std::string_view text);

// Line of each token, -1 for a token without bytes. offsets [count + 1]: token i has bytes offsets[i]:offsets[i + 1].
// A token belongs to the line of its first byte that is no line break, or, where all are, of its first byte.
void token_lines(std::string_view text, const std::vector<Line>& lines, const int64_t* offsets, size_t count,
                 std::vector<int32_t>& out);

// Finds titles in text by whole normalised words, all titles in one pass (Aho-Corasick over words).
// A title of one word besides a leading the / a / an is found with that article only, where its word begins with a
// capital if it does in the title ("It" is not "it"), and not as a bracketed year. Otherwise case does not count and
// a leading article may be missing. The last word may have a possessive 's. Titles of no or over 64 words are never
// found.
class Mentions {
 public:
  void clear();
  void add(std::string_view title);
  void build();
  bool empty() const { return nodes_.size() == 1 && singles_ == 0; }
  bool found_in(std::string_view line);

 private:
  struct Single {
    int8_t article;  // kBare or the article's number
    bool upper;
  };
  struct Node {
    int32_t fail = 0;
    bool ends = false;
    int32_t word = -1, parent = 0;
  };

  int32_t intern(std::string_view word);
  int32_t find_word(std::string_view word) const;
  int32_t child(int32_t node, int32_t word) const;
  int32_t add_child(int32_t node, int32_t word);
  int32_t step(int32_t node, int32_t word) const;
  bool single_hit(int32_t word, const Word& place, int8_t article) const;

  // Open addressing, -1 is empty: word ids by text, child nodes by (parent, word).
  std::vector<int32_t> word_slots_, node_slots_;
  std::vector<std::string> words_;
  std::vector<std::vector<Single>> singles_of_;
  std::vector<Node> nodes_ = std::vector<Node>(1);
  size_t singles_ = 0;
  Words buffer_;
};

}  // namespace rerec
