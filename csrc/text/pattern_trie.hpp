// Finds patterns of words in text, all in one pass (Aho-Corasick over words).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/words.hpp"

namespace rerec {

inline constexpr int8_t kBare = -1;  // no article
inline int8_t article_number(std::string_view word) {
  return word == "the" ? 0 : word == "a" ? 1 : word == "an" ? 2 : kBare;
}

// A title as it is looked for.
struct Pattern {
  uint32_t begin, size;  // of its normalised words, one space between them, without a leading article
  uint32_t words;
  int32_t owner;   // what a hit is reported as
  int8_t article;  // of a title of one word: kBare or the article's number, which must precede
  bool upper;      // of a title of one word: it must begin with a capital
};

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

template <class F>
bool PatternTrie::scan(std::string_view text, F report) {
  buffer_.read(text);
  int8_t article = kBare;
  const auto report_single = [&](int32_t word, const Word& place) {
    if (word < 0 || place.year) return false;
    for (int32_t i = words_[static_cast<size_t>(word)].single; i >= 0;) {
      const Single& single = singles_[static_cast<size_t>(i)];
      i = single.next;
      const bool fits = (single.article == kBare || single.article == article) && (place.upper || !single.upper);
      if (fits && report(single.owner)) return true;
    }
    return false;
  };
  const auto report_ends = [&](int32_t node) {
    for (int32_t at = nodes_[static_cast<size_t>(node)].report; at >= 0;) {
      const Node& ending = nodes_[static_cast<size_t>(at)];
      for (int32_t i = ending.end; i >= 0; i = ends_[static_cast<size_t>(i)].next) {
        if (report(ends_[static_cast<size_t>(i)].owner)) return true;
      }
      at = nodes_[static_cast<size_t>(ending.fail)].report;
    }
    return false;
  };
  int32_t node = 0;
  for (size_t i = 0; i < buffer_.size(); ++i) {
    const Word& place = buffer_.list[i];
    if (place.stem_end != place.end) {
      const int32_t stem = find_word(buffer_.stem(i));
      if (report_single(stem, place) || report_ends(step(node, stem))) return true;
    }
    const int32_t word = find_word(buffer_[i]);
    if (report_single(word, place)) return true;
    node = step(node, word);
    if (report_ends(node)) return true;
    article = article_number(buffer_[i]);
  }
  return false;
}

}  // namespace rerec
