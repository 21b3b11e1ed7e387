// Finds titles in text, by line: which lines of a response mention a wrong item (RAAE, arXiv 2604.07851).
#pragma once

#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/simd.hpp"
#include "text/words.hpp"

namespace rerec {

// Byte range of a line; it ends with '\n' or '\r', which belongs to it, or with the text.
struct Line {
  size_t begin, end;
};

inline constexpr int8_t kBare = -1;  // no article

// A title as it is looked for.
struct Pattern {
  uint32_t begin, size;  // of its normalised words, one space between them, without a leading article
  uint32_t words;
  int32_t owner;   // what a hit is reported as
  int8_t article;  // of a title of one word: kBare or the article's number, which must precede
  bool upper;      // of a title of one word: it must begin with a capital
};

// Finds patterns in text, all in one pass (Aho-Corasick over words).
class PatternTrie {
 public:
  void build(const std::vector<Pattern>& patterns, std::string_view pool);

  // Calls report(owner) for each pattern found, until it returns true. Returns whether it did.
  template <class F>
  bool scan(std::string_view text, F report);

 private:
  // Lists of what ends at a word or node: `next` is the one after, -1: none.
  struct Single {
    int32_t owner, next;
    int8_t article;
    bool upper;
  };
  struct End {
    int32_t owner, next;
  };
  struct KnownWord {
    std::string_view text;
    int32_t single = -1;
  };
  struct Node {
    int32_t fail = 0, word = -1, parent = 0;
    int32_t end = -1;     // of titles that end here
    int32_t report = -1;  // the nearest node with ends along the fail links, itself included
    int32_t depth = 0;
  };

  void clear();
  int32_t intern(std::string_view word);
  int32_t find_word(std::string_view word) const;
  int32_t child(int32_t node, int32_t word) const;
  int32_t add_child(int32_t node, int32_t word);
  int32_t step(int32_t node, int32_t word) const;
  void link();

  // Open addressing, -1 is empty: word ids by text, child nodes by (parent, word).
  std::vector<int32_t> word_slots_, node_slots_;
  std::vector<KnownWord> words_;
  std::vector<Single> singles_;
  std::vector<End> ends_;
  std::vector<Node> nodes_;
  std::vector<int32_t> order_;
  Words buffer_;
};

// Finds titles in text by whole normalised words.
// A title of one word besides a leading the / a / an is found with that article only, where its word begins with a
// capital if it does in the title ("It" is not "it"), and not as a bracketed year. Otherwise case does not count and
// a leading article may be missing. The last word may have a possessive 's. Titles of no or over 64 words are never
// found.
class Mentions {
 public:
  Mentions() { clear(); }
  void clear();
  // any_case: a single word need not begin with a capital.
  void add(std::string_view title, int32_t owner = 0, bool any_case = false);
  bool empty() const { return patterns_.empty(); }

  // Which of text's first `count` lines mention a title, found [count]. Reads words only where a title may begin and
  // the bytes alone do not tell.
  void find(std::string_view text, const std::vector<Line>& lines, size_t count, std::vector<uint8_t>& found);

  // The owners of all titles in one line, ascending, each once.
  void owners_in(std::string_view line, std::vector<int32_t>& owners);

 private:
  enum class Verdict { kNo, kUnsure, kYes };
  // Bytes that a pattern may begin with, bit 5 set, so that case does not count; second 0: any.
  struct Start {
    char first, second;
    int32_t pattern;  // -1: its bytes say nothing
  };
  struct Place {
    size_t at;
    Verdict verdict;
  };

  void add_start(int32_t pattern);
  Verdict compare(std::string_view text, size_t at, const Pattern& pattern) const;
  Verdict judge(std::string_view text, size_t at) const;
#if defined(REREC_AVX2)
  Place search_blocks(std::string_view text, size_t from, size_t end) const;
#endif
  Place next_start(std::string_view text, size_t from, size_t end) const;
  Line window(std::string_view text, const Line& line, size_t at) const;
  bool found_in_line(std::string_view text, const Line& line, Place first);
  bool found_in(std::string_view text);
  PatternTrie& trie();

  std::vector<Pattern> patterns_;
  std::string pool_;
  std::vector<Start> starts_;
  std::bitset<256> may_start_;  // bytes
  bool any_start_ = false;  // a title may begin with any byte: every line is read
  size_t longest_ = 0;      // words of a pattern
  PatternTrie trie_;        // built when it is needed
  bool trie_built_ = false;
  Words buffer_;
};

}  // namespace rerec
