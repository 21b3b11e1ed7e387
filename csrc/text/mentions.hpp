// Finds titles in text, by line: which lines of a response mention a wrong item (RAAE, arXiv 2604.07851).
#pragma once

#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/simd.hpp"
#include "text/pattern_trie.hpp"
#include "text/words.hpp"

namespace rerec {

// Byte range of a line; it ends with '\n' or '\r', which belongs to it, or with the text.
struct Line {
  size_t begin, end;
};

// All lines of a text.
void find_lines(std::string_view text, std::vector<Line>& lines);

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
