#include "text/titles.hpp"

#include <algorithm>

#include "text/brackets.hpp"
#include "text/numerals.hpp"
#include "text/words.hpp"
#include "text/years.hpp"

namespace rerec {
namespace {

using std::string;
using std::string_view;

constexpr size_t kMostAlternatives = 32;  // in the brackets of one title

bool is_article(string_view word) {
  if (word.size() > 4) return false;
  string lower;
  for (char c : word) lower.push_back(to_lower(c));
  for (string_view article :
       {"the", "a",   "an",  "le", "la",  "les", "l'",  "l\u2019", "el", "los", "las", "il", "lo",
        "gli", "i",   "der", "die", "das", "un",  "une", "en",       "det", "den", "o",  "os", "as"}) {
    if (lower == article) return true;
  }
  return false;
}

// "(a.k.a. Leon" -> "Leon"
string_view drop_aka(string_view inner) {
  size_t i = 0;
  while (i < inner.size() && is_space(inner[i])) ++i;
  for (char letter : {'a', 'k', 'a'}) {
    if (i >= inner.size() || to_lower(inner[i]) != letter) return inner;
    ++i;
    if (i < inner.size() && inner[i] == '.') ++i;
  }
  if (i < inner.size() && inner[i] == ':') ++i;
  const size_t word = i;
  while (i < inner.size() && is_space(inner[i])) ++i;
  return i > word ? inner.substr(i) : inner;
}

bool all_digits(string_view word) { return std::all_of(word.begin(), word.end(), is_digit); }

bool has_more_than_digits(string_view text) {
  Words words;
  words.read(text);
  for (size_t i = 0; i < words.size(); ++i) {
    if (!all_digits(words[i])) return true;
  }
  return false;
}

bool is_counted(string_view word) {
  for (string_view noun : {"part", "volume", "vol", "chapter", "episode", "book"}) {
    if (word == noun) return true;
  }
  return false;
}

size_t place_in(string_view text, string_view part) { return static_cast<size_t>(part.data() - text.data()); }

size_t first_key_word(const Words& words) { return words.size() > 1 && is_english_article(words[0]) ? 1 : 0; }

}  // namespace

bool is_english_article(string_view word) {
  return std::find(std::begin(kEnglishArticles), std::end(kEnglishArticles), word) != std::end(kEnglishArticles);
}

string SplitTitle::full_name() const {
  string full(name);
  if (!tail.empty()) full.append(" ").append(tail);
  return full;
}

SplitTitle split_title(string_view title) {
  SplitTitle out;
  size_t begin = 0, end = 0;
  const auto find_year = [&](int (*read)(string_view)) {
    Bracket bracket;
    for (size_t from = 0; next_bracket(title, from, bracket); from = bracket.end) {
      if (const int year = read(bracket.inner)) {
        begin = bracket.begin;
        end = bracket.end;
        out.year = year;
        ++out.years;
      }
    }
  };
  find_year(bracketed_year);
  if (out.years == 0) find_year(noted_year);
  if (out.year == 0 || !has_word(title.substr(0, begin))) {
    out.year = 0;
    out.name = trim(title);
    return out;
  }
  out.name = trim(title.substr(0, begin));
  out.tail = trim(title.substr(end));
  if (!has_word(out.tail)) out.tail = {};
  return out;
}

string move_article(string_view name) {
  const size_t comma = last_comma(name);
  if (comma == string_view::npos) return string(trim(name));
  const size_t size = name[comma] == ',' ? 1 : 3;
  const string_view head = trim(name.substr(0, comma)), article = trim(name.substr(comma + size));
  if (head.empty() || !is_article(article)) return string(trim(name));
  string moved(article);
  if (moved.back() != '\'' && static_cast<unsigned char>(moved.back()) < 0x80) moved.push_back(' ');
  return moved.append(head);
}

Forms title_forms(string_view name) {
  Forms forms;
  forms.names.emplace_back(name);
  string main, plain;
  std::vector<string> others;
  size_t last = 0, seen = 0, copied = 0;
  bool preceded = false;
  Bracket bracket;
  for (size_t from = 0; next_bracket(name, from, bracket); from = bracket.end) {
    preceded = preceded || has_word(name.substr(seen, bracket.begin - seen));
    seen = bracket.begin;
    if (!preceded) continue;
    forms.stripped = true;
    main.append(name.substr(last, bracket.begin - last)).push_back(' ');
    last = bracket.end;
    const string_view inner = drop_aka(bracket.inner);
    if (inner.size() < bracket.inner.size()) {
      const size_t begin = place_in(name, bracket.inner);
      plain.append(name.substr(copied, begin - copied));
      copied = begin + bracket.inner.size() - inner.size();
    }
    if (others.size() < kMostAlternatives && has_more_than_digits(inner)) others.emplace_back(inner);
  }
  if (forms.stripped) {
    main.append(name.substr(last));
    forms.names.push_back(std::move(main));
  }
  for (string& other : others) forms.names.push_back(std::move(other));
  if (copied > 0) forms.names.push_back(plain.append(name.substr(copied)));
  return forms;
}

string plain_key(string_view form) {
  Words words;
  words.read(move_article(form));
  if (words.size() == 0) return {};
  return words.text.substr(words.list[first_key_word(words)].begin);
}

FormKey form_key(string_view form) {
  Words words;
  words.read(move_article(form));
  if (words.size() == 0) return {};
  FormKey key;
  const size_t first = first_key_word(words);
  if (first == 1) key.article = *std::find(std::begin(kEnglishArticles), std::end(kEnglishArticles), words[0]);
  if (words.size() < first + 2) {
    key.text = words.text.substr(words.list[first].begin);
    return key;
  }
  std::vector<string_view> keys;
  std::vector<string> made;
  for (size_t i = first; i < words.size(); ++i) keys.push_back(words[i]);
  if (keys.size() > 2) join_tens(keys, made);
  for (size_t i = 0; i < keys.size(); ++i) {
    const bool one = keys[i] == "i" && i > 0 && is_counted(keys[i - 1]);
    keys[i] = one ? string_view("1") : numeral(keys[i]);
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    if (keys[i] == "part" && i + 1 < keys.size() && all_digits(keys[i + 1])) continue;
    if (!key.text.empty()) key.text.push_back(' ');
    key.text.append(keys[i]);
  }
  return key;
}

}  // namespace rerec
