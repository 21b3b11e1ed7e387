#include "text/years.hpp"

#include <algorithm>
#include <string>

#include "text/brackets.hpp"
#include "text/characters.hpp"
#include "text/words.hpp"

namespace rerec {
namespace {

using std::string;
using std::string_view;

constexpr string_view kYearSigns[] = {"\u5e74", "\ub144"};  // Chinese and Japanese, Korean

template <size_t n>
bool is_one_of(string_view word, const string_view (&words)[n]) {
  return std::find(words, words + n, word) != words + n;
}

// The number of the first four digits.
int four_digits(string_view word) {
  int value = 0;
  for (size_t i = 0; i < 4; ++i) value = value * 10 + (word[i] - '0');
  return value;
}

// "1995", "1995年", "1995年の映画": the number, or 0.
int year_word(string_view word, int first, int last) {
  if (word.size() < 4 || !std::all_of(word.begin(), word.begin() + 4, is_digit)) return 0;
  const string_view rest = word.substr(4);
  const bool whole = rest.empty() || std::any_of(std::begin(kYearSigns), std::end(kYearSigns), [&](string_view sign) {
    return rest.substr(0, sign.size()) == sign;
  });
  const int year = four_digits(word);
  return whole && first <= year && year <= last ? year : 0;
}

int noted_year_word(string_view word) { return year_word(word, 1880, 2039); }

// "1960s", "60s"
bool is_decade(string_view word) {
  if (word.size() != 5 && word.size() != 3) return false;
  const string_view digits = word.substr(0, word.size() - 1);
  return word.back() == 's' && digits.back() == '0' && std::all_of(digits.begin(), digits.end(), is_digit);
}

bool is_kind(string_view word) {
  static constexpr string_view kKinds[] = {"tv", "television", "film", "movie", "series", "miniseries", "mini", "show",
                                           "special", "documentary", "anime", "version", "remake", "novel", "book",
                                           "edition", "present"};
  return is_one_of(word, kKinds);
}

// Words behind which a year is another work's.
bool is_relation(string_view word) {
  static constexpr string_view kRelations[] = {"of", "on", "to", "not", "no", "than", "unlike", "like", "after", "before",
                                               "since", "until", "till", "about", "inspired", "set", "vs", "versus",
                                               "except", "but"};
  return is_one_of(word, kRelations);
}

// Words that say so of a work named before a comma.
bool is_of_another(string_view word) {
  static constexpr string_view kWords[] = {"remake",   "sequel", "prequel", "reboot",
                                           "based", "inspired", "not",    "unlike"};
  return is_one_of(word, kWords);
}

// Full-width characters and wide blanks in ASCII.
string narrow(string_view text) {
  string out;
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = p + text.size();
  while (p < end) {
    const unsigned char* start = p;
    const uint32_t code = decode(p, end);
    if (code >= 0xFF01 && code <= 0xFF5E) {
      out.push_back(static_cast<char>(code - 0xFEE0));
    } else if (code == 0xA0 || code == 0x3000) {
      out.push_back(' ');
    } else {
      out.append(reinterpret_cast<const char*>(start), static_cast<size_t>(p - start));
    }
  }
  return out;
}

int plain_bracketed_year(string_view inner) {
  inner = trim(inner);
  if (inner.size() < 4 || (inner[0] != '1' && inner[0] != '2')) return 0;
  if (!std::all_of(inner.begin(), inner.begin() + 4, is_digit)) return 0;
  const int year = four_digits(inner);
  inner = trim(inner.substr(4));
  for (string_view sign : kYearSigns) {
    if (inner.substr(0, sign.size()) != sign) continue;
    inner = trim(inner.substr(sign.size()));
    break;
  }
  static constexpr string_view kBehind[] = {"", "film", "movie", "version", "remake", "novel", "book", "edition"};
  return is_one_of(inner, kBehind) ? year : 0;
}

bool has_digit(string_view text) { return std::any_of(text.begin(), text.end(), is_digit); }

// Whether no byte may be a digit: full-width ones begin with EF.
bool has_no_digit(string_view text) { return !has_digit(text) && text.find('\xEF') == string_view::npos; }

// The last run of ASCII letters and digits before `end`, no letter right before it; empty: there is none, or a letter
// beyond ASCII comes first.
string_view last_word(string_view text, size_t end) {
  while (end > 0 && !is_ascii_alnum(text[end - 1])) {
    if (!(text[end - 1] & 0x80)) {
      --end;
      continue;
    }
    size_t begin = end - 1;
    while (begin > 0 && (text[begin] & 0xC0) == 0x80) --begin;
    const auto* p = reinterpret_cast<const unsigned char*>(text.data()) + begin;
    if (!is_break(decode(p, reinterpret_cast<const unsigned char*>(text.data()) + end))) return {};
    end = begin;
  }
  size_t begin = end;
  while (begin > 0 && is_ascii_alnum(text[begin - 1])) --begin;
  if (begin == end || begin == 0) return text.substr(begin, end - begin);
  const unsigned char before = static_cast<unsigned char>(text[begin - 1]);
  if (before == '\'' || before == '`') return {};
  if (before < 0x80) return text.substr(begin, end - begin);
  size_t lead = begin - 1;
  while (lead > 0 && (text[lead] & 0xC0) == 0x80) --lead;
  const auto* p = reinterpret_cast<const unsigned char*>(text.data()) + lead;
  const uint32_t code = decode(p, reinterpret_cast<const unsigned char*>(text.data()) + begin);
  return is_break(code) && !is_apostrophe(code) ? text.substr(begin, end - begin) : string_view();
}

bool is_same(string_view word, string_view lower) {
  return word.size() == lower.size() &&
         std::equal(word.begin(), word.end(), lower.begin(), [](char a, char b) { return to_lower(a) == b; });
}

template <size_t n>
bool is_same_as_one(string_view word, const string_view (&words)[n]) {
  return std::any_of(words, words + n, [&](string_view other) { return is_same(word, other); });
}

}  // namespace

size_t last_comma(string_view text) {
  const size_t plain = text.rfind(',');
  if (text.find('\xE3') == string_view::npos && text.find('\xEF') == string_view::npos) return plain;
  size_t last = plain;
  for (string_view comma : {"\uff0c", "\u3001"}) {
    const size_t at = text.rfind(comma);
    if (at != string_view::npos && (last == string_view::npos || at > last)) last = at;
  }
  return last;
}

int bracketed_year(string_view inner) {
  const bool ascii = std::none_of(inner.begin(), inner.end(), [](char c) { return (c & 0x80) != 0; });
  if (ascii) return plain_bracketed_year(inner);
  return has_no_digit(inner) ? 0 : plain_bracketed_year(narrow(inner));
}

int noted_year(string_view inner) {
  if (inner.size() < 4 || has_no_digit(inner)) return 0;
  Words words;
  words.read(inner);
  size_t first = 0, last = 0, years = 0;
  for (size_t i = 0; i < words.size(); ++i) {
    if (noted_year_word(words[i]) == 0) continue;
    if (years++ == 0) first = i;
    last = i;
  }
  if (years == 0 || years > 2 || last - first >= years) return 0;
  const size_t comma = last_comma(inner);
  size_t told = 0;
  if (comma != string_view::npos) {
    Words before;
    before.read(inner.substr(0, comma));
    if (before.size() <= first) told = before.size();
  }
  for (size_t i = 0; i < told; ++i) {
    if (is_of_another(words[i])) return 0;
  }
  for (size_t i = told; i < words.size(); ++i) {
    if (noted_year_word(words[i]) == 0 && !is_kind(words[i])) return 0;
  }
  return noted_year_word(words[first]);
}

int told_year(string_view inner) {
  if (inner.size() < 3 || has_no_digit(inner)) return 0;
  Words words;
  words.read(inner);
  int year = 0;
  size_t years = 0, last = 0, own = 0;  // of all, and of those that no relation precedes
  bool decade = false, apart = false, related = false, last_related = false;
  for (size_t i = 0; i < words.size(); ++i) {
    const int found = year_word(words[i], 1500, 2039);
    if (found == 0) {
      decade = decade || is_decade(words[i]);
      if (is_relation(words[i])) related = true;
      if (words[i] == "and" || words[i] == "or" || words[i] == "nor") related = related || last_related;
      continue;
    }
    ++years;
    if (!related) {
      if (own == 0) year = found;
      apart = apart || own > 1 || (own > 0 && last + 1 != i);
      ++own;
      last = i;
    }
    last_related = related;
    related = false;
  }
  if (own > 0) return apart ? kUnclearYear : year;
  return decade || years > 0 ? kUnclearYear : 0;
}

YearTold told_in_brackets(string_view title) {
  YearTold out;
  Bracket bracket;
  bool preceded = false;
  size_t seen = 0;
  for (size_t from = 0; next_bracket(title, from, bracket); from = bracket.end) {
    preceded = preceded || has_word(title.substr(seen, bracket.begin - seen));
    seen = bracket.begin;
    if (!preceded) continue;
    const int year = told_year(bracket.inner);
    if (year == 0) continue;
    out.year = out.year == 0 || out.year == year ? year : kUnclearYear;
    out.begin = bracket.begin;
    out.end = bracket.end;
  }
  return out;
}

BareYear bare_year(string_view title) {
  static constexpr string_view kBehind[] = {"film", "movie", "version", "remake"};
  static constexpr string_view kBefore[] = {"from", "released", "film", "movie"};
  string_view word = last_word(title, title.size());
  const auto begin_of = [&](string_view part) { return static_cast<size_t>(part.data() - title.data()); };
  while (!word.empty() && is_same_as_one(word, kBehind)) word = last_word(title, begin_of(word));
  if (word.size() != 4) return {};
  const int year = noted_year_word(word);
  if (year == 0) return {};
  size_t end = begin_of(word);
  for (word = last_word(title, end); !word.empty() && is_same_as_one(word, kBefore); word = last_word(title, end)) {
    end = begin_of(word);
  }
  const string_view name = trim(title.substr(0, end));
  return has_word(name) ? BareYear{name, year} : BareYear{};
}

}  // namespace rerec
