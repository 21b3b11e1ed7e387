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
  int years = 0;          // brackets that might be the year's

  std::string full_name() const;
};

SplitTitle split_title(std::string_view title);

// "Usual Suspects, The" -> "The Usual Suspects"
std::string move_article(std::string_view name);

// Names by which a title without its year is known: forms[0] as written, then without brackets where it has some
// (`stripped`), then the brackets, then as written without "a.k.a.".
struct Forms {
  std::vector<std::string> names;
  bool stripped = false;

  size_t own() const { return stripped ? 2 : 1; }  // the first `own` names are not alternatives
};

Forms title_forms(std::string_view name);

inline constexpr std::string_view kEnglishArticles[] = {"the", "a", "an"};
bool is_english_article(std::string_view word);

// Normalised, article moved and an English one dropped.
std::string plain_key(std::string_view form);

// A form's loose key and the English article that it lacks, "" for none.
struct FormKey {
  std::string text;
  std::string_view article;

  bool empty() const { return text.empty(); }
  bool operator==(const FormKey& other) const { return text == other.text && article == other.article; }
};

// The plain key with numerals as digits, "part" before a number dropped, where two or more words are left.
FormKey form_key(std::string_view form);
inline std::string loose_key(std::string_view form) { return form_key(form).text; }

}  // namespace rerec
