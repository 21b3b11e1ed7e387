// Title forms and their comparison keys. Specification: rerec_engine/graph/titles.py.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rerec {

struct SplitTitle {
  std::string_view name;  // before the bracketed year
  int year = 0;           // 0: none
  std::string_view tail;  // words after the year
  int years = 0;          // bracketed years in all

  std::string full_name() const;
};

SplitTitle split_title(std::string_view title);

// "Usual Suspects, The" -> "The Usual Suspects"
std::string move_article(std::string_view name);

// Names by which a title without its year is known: forms[0] as written, then without brackets where it has some
// (`stripped`), then the brackets.
struct Forms {
  std::vector<std::string> names;
  bool stripped = false;

  size_t own() const { return stripped ? 2 : 1; }  // the first `own` names are not alternatives
};

Forms title_forms(std::string_view name);

bool is_english_article(std::string_view word);

// Normalised, article moved and an English one dropped.
std::string plain_key(std::string_view form);
// And numerals as digits, "part" before a number dropped, where two or more words are left.
std::string loose_key(std::string_view form);

}  // namespace rerec
