// Years that titles tell. Specification: rerec_engine/graph/titles.py.
#pragma once

#include <string_view>

namespace rerec {

// "1995", "1995 film", "1995年": the year, or 0.
int bracketed_year(std::string_view inner);

// The year in a bracket of words, such as "TV Series, 2014" and "Stanley Kubrick, 1968", or 0: all words, or all after
// the last comma, are years and kinds; there is one year, or two in a row.
int noted_year(std::string_view inner);

inline constexpr int kUnclearYear = -1;

// The year that a bracket tells in whatever words, "directed by Alfred Hitchcock in 1960", 0 without any. Unclear: it
// may be another work's ("a remake of the 1960 film"), there are several, or a decade.
int told_year(std::string_view inner);

struct YearTold {
  int year = 0;               // or kUnclearYear
  size_t begin = 0, end = 0;  // of the last bracket that tells it
};

// What the brackets that words precede tell: unclear where one is, or where two disagree.
YearTold told_in_brackets(std::string_view title);

// A year at the end without brackets, "Heat 1995", "Heat, from 1995", "Heat - 1995 film"; year 0: none.
struct BareYear {
  std::string_view name;
  int year = 0;
};
BareYear bare_year(std::string_view title);

// The last ',' or its wide forms: where it begins, or npos.
size_t last_comma(std::string_view text);

}  // namespace rerec
