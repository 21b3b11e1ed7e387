// Titles -> item ids: candidates first, then the whole catalogue; what stays ambiguous is refused.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "common/hash_index.hpp"
#include "text/titles.hpp"

namespace rerec {

// How a title names an item, strictest first. Names: kRuleNames.
enum class Rule : uint8_t {
  kExact,         // the same bytes
  kArticle,       // after moving "..., The" to the front
  kNormalised,    // after case, punctuation, accents, &, a leading English article
  kAlternative,   // a bracketed alternative, or the name without its brackets
  kNumeral,       // II = 2 = two, "part" before a number
  kMissingYear,   // one side has no year, or neither and the English articles differ
  kAdjacentYear,  // years one apart
  kTrailingText,  // words after the bracketed year ignored
  kAmbiguous,
  kNone,
};
inline constexpr const char* kRuleNames[] = {"exact",        "article",       "normalised",    "alternative", "numeral",
                                             "missing_year", "adjacent_year", "trailing_text", "ambiguous",   "none"};

inline constexpr std::string_view kWideSemicolon = "\uff1b";
inline bool holds_semicolon(std::string_view title) {
  return title.find(';') != std::string_view::npos || title.find(kWideSemicolon) != std::string_view::npos;
}

struct Match {
  int32_t item = -1;
  Rule rule = Rule::kNone;
  // ambiguous: the items that tie; none: items of that name and another year, or another article.
  std::vector<int32_t> alternatives;
};

// Candidate ids, ascending and distinct where there are more than kFewItems; empty: none given.
using Candidates = ItemSpan;

enum class Strictness {
  kFull,       // all rules
  kWholeName,  // the text is the title and nothing else: no trailing text, no bracketed alternative of the query
};

// What a catalogue reads; it may be memory-mapped.
struct CatalogueView {
  const int64_t* title_ptr = nullptr;  // [items + 1]
  const char* title_bytes = nullptr;
  const int32_t* years = nullptr;  // [items], 0: unknown
  size_t items = 0;
  HashIndex exact, keys;     // by the title, and by the loose keys of its forms
  int most_semicolons = 0;   // that a title holds, full-width ones too
};

// The arrays of a catalogue, built from titles.
struct CatalogueArrays {
  std::vector<int64_t> title_ptr{0};
  std::string title_bytes;
  std::vector<int32_t> years;
  HashIndexArrays exact, keys;
  int most_semicolons = 0;

  // years[i] 0: unknown, read from the title's trailing bracket if it has one. Shorter years: 0 from there on.
  CatalogueArrays(std::vector<int64_t> title_ptr_in, std::string title_bytes_in, std::vector<int32_t> years_in,
                  int threads);
  CatalogueView view() const;
};

class Catalogue {
 public:
  // owner keeps the view's arrays alive.
  Catalogue(CatalogueView view, std::shared_ptr<const void> owner) : view_(view), owner_(std::move(owner)) {}

  Match match(std::string_view title, Candidates candidates, Strictness strictness = Strictness::kFull) const;

  // By the bytes alone: -1 where several items have the title and the candidates do not tell them apart.
  int32_t match_exact(std::string_view title, Candidates candidates) const;

  size_t size() const { return view_.items; }
  std::string_view title(int32_t item) const {
    const int64_t* ptr = view_.title_ptr + item;
    return {view_.title_bytes + ptr[0], static_cast<size_t>(ptr[1] - ptr[0])};
  }
  const CatalogueView& view() const { return view_; }
  // The most ';' that a title holds, full-width ones too: lists are split there.
  int most_semicolons() const { return view_.most_semicolons; }

 private:
  struct Query;
  struct Scored {
    int32_t item;
    Rule rule;
    bool other_article = false;  // "Heat" for "The Heat"

    // What agrees, least first: the year, then the English article, then the name.
    std::tuple<Rule, bool, Rule> rank() const { return {std::max(rule, Rule::kNumeral), other_article, rule}; }
  };

  // Of the item, or as its brackets tell; kUnclearYear, see years.hpp.
  int year_of(int32_t item) const;
  Match match_query(const Query& query, Candidates candidates, Strictness strictness) const;
  void exact_hits(std::string_view raw, std::vector<Scored>& hits) const;
  void name_hits(const Query& query, std::vector<Scored>& hits) const;
  void alternative_hits(const Query& query, std::vector<Scored>& hits) const;
  void trailing_hits(const Query& query, std::vector<Scored>& hits) const;
  Scored compare_names(const Query& query, int32_t item) const;
  static bool settle(const std::vector<Scored>& hits, Rule loosest, Candidates candidates, Match& out);
  static bool choose(const std::vector<Scored>& hits, Rule loosest, Candidates candidates, Match& out);

  CatalogueView view_;
  std::shared_ptr<const void> owner_;
};

}  // namespace rerec
