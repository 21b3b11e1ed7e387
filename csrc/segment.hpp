// Lines of a response and which of them mention a wrong item (RAAE, arXiv 2604.07851).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text.hpp"

namespace rerec {

// Byte range of a line; it ends with '\n' or '\r', which belongs to it, or with the text.
struct Line {
  size_t begin, end;
};

void split_lines_at_breaks(std::string_view text, std::vector<Line>& lines);

// Finds titles in text by whole normalised words, all titles in one pass (Aho-Corasick over words).
// A title of one word besides a leading the / a / an is found with that article only, where its word begins with a
// capital if it does in the title ("It" is not "it"), and not as a bracketed year. Otherwise case does not count and
// a leading article may be missing. The last word may have a possessive 's. Titles of no or over 64 words are never
// found.
class Mentions {
 public:
  void clear();
  // owner: what a hit is reported as. any_case: a single word need not begin with a capital.
  void add(std::string_view title, int32_t owner = 0, bool any_case = false);
  void build();
  bool empty() const { return nodes_.size() == 1 && singles_.empty(); }

  // Which of text's first `count` lines mention a title, found [count]. Reads closely only where a title may begin.
  void find(std::string_view text, const std::vector<Line>& lines, size_t count, std::vector<uint8_t>& found);

  // The owners of all titles in one line, ascending, each once.
  void owners_in(std::string_view line, std::vector<int32_t>& owners);

 private:
  // Lists of what ends at a word or node: `next` is the one after, -1: none.
  struct Single {  // a title of one word besides its article
    int32_t owner, next;
    int8_t article;  // kBare or the article's number
    bool upper;
  };
  struct End {
    int32_t owner, next;
  };
  struct KnownWord {
    uint32_t begin, size;  // in pool_
    int32_t single = -1;
  };
  struct Node {
    int32_t fail = 0, word = -1, parent = 0;
    int32_t end = -1;     // of titles that end here
    int32_t report = -1;  // the nearest node with ends along the fail links, itself included
    int32_t depth = 0;
  };
  // Bytes that a title may begin with, bit 5 set, so that case does not count; second 0: any.
  struct Start {
    char first, second;
    int32_t word;  // the title's first word, if ASCII letters and digits stand for themselves in it; else -1
  };

  std::string_view word(int32_t id) const {
    const KnownWord& known = words_[static_cast<size_t>(id)];
    return {pool_.data() + known.begin, known.size};
  }
  int32_t intern(std::string_view word);
  int32_t find_word(std::string_view word) const;
  int32_t child(int32_t node, int32_t word) const;
  int32_t add_child(int32_t node, int32_t word);
  int32_t step(int32_t node, int32_t word) const;
  void add_start(int32_t id);
  bool begins_with(std::string_view text, const Start& start) const;
  bool is_start(std::string_view text, size_t at) const;
  size_t next_start(std::string_view text, size_t from, size_t end) const;
  Line window(std::string_view text, const Line& line, size_t at) const;
  bool found_in_line(std::string_view text, const Line& line, size_t first);
  bool found_in(std::string_view text);
  // Calls report(owner) for each title found, until it returns true.
  template <class F>
  bool scan(std::string_view text, F report);

  // Open addressing, -1 is empty: word ids by text, child nodes by (parent, word).
  std::vector<int32_t> word_slots_, node_slots_;
  std::string pool_;
  std::vector<KnownWord> words_;
  std::vector<Single> singles_;
  std::vector<End> ends_;
  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::vector<int32_t> order_;
  std::vector<Start> starts_;
  bool any_start_ = false;  // a title may begin with any byte: every line is read closely
  size_t longest_ = 0;      // words of a title
  Words buffer_;
};

}  // namespace rerec
