#include "text/titles.hpp"

#include <algorithm>

#include "text/scan.hpp"
#include "text/words.hpp"

namespace rerec {
namespace {

using std::string;
using std::string_view;

constexpr size_t kMostAlternatives = 32;  // in the brackets of one title

struct Bracket {
  size_t begin, end;  // of the bracket with its two signs
  string_view inner;
};

// The next innermost (...) or [...] at or after `from`.
bool next_bracket(string_view text, size_t from, Bracket& out) {
  size_t open = find_any<'(', '['>(text, from);
  while (open != string_view::npos) {
    const size_t next = find_any<'(', ')', '[', ']'>(text, open + 1);
    if (next == string_view::npos) return false;
    if (text[next] == ')' || text[next] == ']') {
      out = {open, next + 1, text.substr(open + 1, next - open - 1)};
      return true;
    }
    open = next;
  }
  return false;
}

// "1995", "1995 film": the year, or 0.
int bracketed_year(string_view inner) {
  inner = trim(inner);
  if (inner.size() < 4 || (inner[0] != '1' && inner[0] != '2')) return 0;
  int year = 0;
  for (size_t i = 0; i < 4; ++i) {
    if (!is_digit(inner[i])) return 0;
    year = year * 10 + (inner[i] - '0');
  }
  inner = trim(inner.substr(4));
  if (inner.empty()) return year;
  for (string_view kind : {"film", "movie", "version", "remake", "novel", "book", "edition"}) {
    if (inner == kind) return year;
  }
  return 0;
}

bool is_noted_year(string_view word) {
  return word.size() == 4 && std::all_of(word.begin(), word.end(), is_digit) && word >= "1880" && word < "2040";
}

bool is_kind(string_view word) {
  for (string_view kind : {"tv", "television", "film", "movie", "series", "miniseries", "mini", "show", "special",
                           "documentary", "anime", "version", "remake", "novel", "book", "edition", "present"}) {
    if (word == kind) return true;
  }
  return false;
}

// The year in a bracket of words, such as "TV Series, 2014" and "Stanley Kubrick, 1968", or 0: all words, or all after
// the last comma, are years and kinds; there is one year, or two in a row.
int noted_year(string_view inner) {
  if (inner.size() < 4 || std::none_of(inner.begin(), inner.end(), is_digit)) return 0;
  Words words;
  words.read(inner);
  size_t first = 0, last = 0, years = 0;
  for (size_t i = 0; i < words.size(); ++i) {
    if (!is_noted_year(words[i])) continue;
    if (years++ == 0) first = i;
    last = i;
  }
  if (years == 0 || years > 2 || last - first >= years) return 0;
  const size_t comma = inner.rfind(',');
  size_t told = 0;
  if (comma != string_view::npos) {
    Words before;
    before.read(inner.substr(0, comma));
    if (before.size() <= first) told = before.size();
  }
  for (size_t i = told; i < words.size(); ++i) {
    if (!is_noted_year(words[i]) && !is_kind(words[i])) return 0;
  }
  int year = 0;
  for (char digit : words[first]) year = year * 10 + (digit - '0');
  return year;
}

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

string_view numeral(string_view word) {
  static constexpr const char* kNumerals[][2] = {
      {"ii", "2"},  {"iii", "3"},  {"iv", "4"},  {"v", "5"},     {"vi", "6"},  {"vii", "7"}, {"viii", "8"}, {"ix", "9"},
      {"x", "10"},  {"xiii", "13"}, {"one", "1"}, {"two", "2"},   {"three", "3"}, {"four", "4"}, {"five", "5"}, {"six", "6"},
      {"seven", "7"}, {"eight", "8"}, {"nine", "9"}, {"ten", "10"}, {"twelve", "12"}};
  for (const auto& pair : kNumerals) {
    if (word == pair[0]) return pair[1];
  }
  return word;
}

bool is_counted(string_view word) {
  for (string_view noun : {"part", "volume", "vol", "chapter", "episode", "book"}) {
    if (word == noun) return true;
  }
  return false;
}

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
  const size_t comma = name.rfind(',');
  if (comma == string_view::npos) return string(trim(name));
  const string_view head = trim(name.substr(0, comma)), article = trim(name.substr(comma + 1));
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
      plain.append(name.substr(copied, bracket.begin + 1 - copied));
      copied = bracket.end - 1 - inner.size();
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
  for (size_t i = first; i < words.size(); ++i) {
    const bool one = words[i] == "i" && i > first && is_counted(words[i - 1]);
    keys.push_back(one ? string_view("1") : numeral(words[i]));
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    if (keys[i] == "part" && i + 1 < keys.size() && all_digits(keys[i + 1])) continue;
    if (!key.text.empty()) key.text.push_back(' ');
    key.text.append(keys[i]);
  }
  return key;
}

}  // namespace rerec
