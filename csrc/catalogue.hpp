// Titles -> item ids: candidates first, then the whole catalogue; what stays ambiguous is refused.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hash_index.hpp"
#include "titles.hpp"

namespace rerec {

// How a title names an item, strictest first. Names: kRuleNames.
enum class Rule : uint8_t {
  kExact,         // the same bytes
  kArticle,       // after moving "..., The" to the front
  kNormalised,    // after case, punctuation, accents, &, a leading English article
  kAlternative,   // a bracketed alternative, or the name without its brackets
  kNumeral,       // II = 2 = two, "part" before a number
  kMissingYear,   // one side has no year
  kAdjacentYear,  // years one apart
  kTrailingText,  // words after the bracketed year ignored
  kAmbiguous,
  kNone,
};
inline constexpr const char* kRuleNames[] = {"exact",        "article",       "normalised",    "alternative", "numeral",
                                             "missing_year", "adjacent_year", "trailing_text", "ambiguous",   "none"};

struct Match {
  int32_t item = -1;
  Rule rule = Rule::kNone;
  std::vector<int32_t> alternatives;  // ambiguous: the items that tie; none: items of that name and another year
};

// Candidate ids, ascending and distinct; empty: none given.
using Candidates = ItemSpan;

enum class Strictness {
  kFull,       // all rules
  kWholeName,  // the text is the title and nothing else: no trailing text, no bracketed alternative of the query
};

class Catalogue {
 public:
  // years[i] 0: unknown, read from the title's trailing bracket if it has one.
  Catalogue(std::vector<std::string> titles, std::vector<int32_t> years);

  Match match(std::string_view title, Candidates candidates, Strictness strictness = Strictness::kFull) const;

  // By the bytes alone: -1 where several items have the title and the candidates do not tell them apart.
  int32_t match_exact(std::string_view title, Candidates candidates) const;

  size_t size() const { return titles_.size(); }
  const std::string& title(int32_t item) const { return titles_[static_cast<size_t>(item)]; }
  const std::vector<int32_t>& years() const { return years_; }
  // The most ';' that a title holds: lists are split there.
  int most_semicolons() const { return most_semicolons_; }

 private:
  struct Query;
  struct Scored {
    int32_t item;
    Rule rule;
  };

  void exact_hits(std::string_view raw, std::vector<Scored>& hits) const;
  void name_hits(const Query& query, std::vector<Scored>& hits) const;
  void alternative_hits(const Query& query, std::vector<Scored>& hits) const;
  void trailing_hits(const Query& query, std::vector<Scored>& hits) const;
  Rule name_rule(const Query& query, int32_t item) const;
  static bool choose(const std::vector<Scored>& hits, Rule loosest, Candidates candidates, Match& out);

  std::vector<std::string> titles_;
  std::vector<int32_t> years_;
  HashIndex exact_, keys_;
  int most_semicolons_ = 0;
};

}  // namespace rerec
