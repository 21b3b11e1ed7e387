#include "reward/numbering.hpp"

#include <algorithm>

#include "text/brackets.hpp"
#include "text/characters.hpp"
#include "text/words.hpp"

namespace rerec {
namespace {

using std::string_view;

constexpr int kMostCandidates = 20;  // "300: Rise of an Empire" is no entry's number

constexpr size_t kLongestLetters = 4;  // "viii) "

struct Reader {
  string_view text;
  size_t at = 0;

  // The code point at hand, 0 at the end; and where the next one begins.
  uint32_t code(size_t& next) const {
    next = at;
    if (at >= text.size()) return 0;
    const auto* p = reinterpret_cast<const unsigned char*>(text.data());
    const auto* from = p + at;
    const uint32_t code = decode(from, p + text.size());
    next = static_cast<size_t>(from - p);
    return code;
  }
  uint32_t code() const {
    size_t next;
    return code(next);
  }
  template <class F>
  bool take(F is) {
    size_t next;
    const uint32_t found = code(next);
    if (found == 0 || !is(found)) return false;
    at = next;
    return true;
  }
  bool take_blanks() {
    const size_t from = at;
    while (take([](uint32_t c) { return (c < 0x80 && is_space(static_cast<char>(c))) || c == 0xA0 || c == 0x3000; })) {
    }
    return at > from;
  }
};

int digit_of(uint32_t code) {
  if (code >= '0' && code <= '9') return static_cast<int>(code - '0');
  return code >= 0xFF10 && code <= 0xFF19 ? static_cast<int>(code - 0xFF10) : -1;
}

bool is_letter(char c) { return is_ascii_alnum(c) && !is_digit(c); }

bool is_circled(uint32_t c) {
  return (c >= 0x2460 && c <= 0x249B) || (c >= 0x24EA && c <= 0x24FF) || (c >= 0x2776 && c <= 0x2793);
}

bool is_dot(uint32_t c) { return c == '.' || c == ')' || c == 0xFF0E || c == 0xFF09 || c == 0x3001 || c == ']' || c == 0x3011; }
bool is_colon(uint32_t c) { return c == ':' || c == 0xFF1A; }
bool is_dash(uint32_t c) { return c == '-' || c == '|' || (c >= 0x2012 && c <= 0x2015) || c == 0xFF0D; }

// "12. ", "4)", "(3) "
size_t plain_numbering(string_view text) {
  const bool bracketed = text[0] == '(';
  const size_t begin = bracketed ? 1 : 0, most = bracketed ? 2 : 3;
  size_t i = begin;
  while (i < text.size() && i < begin + most && is_digit(text[i])) ++i;
  if (i == begin || i >= text.size() || (text[i] != ')' && (bracketed || text[i] != '.'))) return 0;
  const size_t after = ++i;
  while (i < text.size() && is_space(text[i])) ++i;
  if (i == text.size() || (after == i && (bracketed || is_digit(text[i])))) return 0;
  return i;
}

enum class Prefix { kNone, kNumber, kWord };

// "#", "No. ", "Item "
Prefix take_prefix(Reader& reader) {
  if (reader.take([](uint32_t c) { return c == '#' || c == 0xFF03 || c == 0x2116; })) {
    reader.take_blanks();
    return Prefix::kNumber;
  }
  const string_view rest = reader.text.substr(reader.at);
  Prefix prefix = Prefix::kNone;
  size_t end = reader.at;
  for (string_view known : {"no", "nr", "number", "rank", "item", "option", "candidate", "choice", "recommendation"}) {
    const bool same = rest.size() > known.size() && !is_letter(rest[known.size()]) &&
                      std::equal(known.begin(), known.end(), rest.begin(), [](char a, char b) { return a == to_lower(b); });
    if (!same) continue;
    prefix = known.size() == 2 ? Prefix::kNumber : Prefix::kWord;
    end += known.size();
    break;
  }
  if (prefix == Prefix::kNone) return prefix;
  Reader next{reader.text, end};
  if (prefix == Prefix::kNumber) next.take([](uint32_t c) { return c == '.'; });
  next.take_blanks();
  next.take([](uint32_t c) { return c == '#'; });
  if (digit_of(next.code()) < 0) return Prefix::kNone;
  reader = next;
  return prefix;
}

// One to three digits; returns how many, 0 where there are none or more.
size_t take_number(Reader& reader, int& value) {
  size_t count = 0;
  value = 0;
  for (int digit; (digit = digit_of(reader.code())) >= 0; ++count) {
    if (count == 3) return 0;
    value = value * 10 + digit;
    reader.take([](uint32_t) { return true; });
  }
  return count;
}

// "b", "IV"
bool take_letters(Reader& reader) {
  const size_t from = reader.at;
  size_t end = from;
  bool roman = true;
  for (; end < reader.text.size() && end - from <= kLongestLetters && is_ascii_alnum(reader.text[end]); ++end) {
    const char c = to_lower(reader.text[end]);
    if (is_digit(c)) return false;
    roman = roman && (c == 'i' || c == 'v' || c == 'x');
  }
  reader.at = end;
  return end == from + 1 || (roman && end > from && end - from <= kLongestLetters);
}

// Most entries begin with a title's letters: whether there may be a numbering at all, in no time.
bool may_begin(string_view text) {
  const char first = text[0];
  if ((first & 0x80) != 0 || is_digit(first) || first == '#' || first == '(' || first == '[') return true;
  const char small = to_lower(first);
  if (small < 'a' || small > 'z') return false;
  for (size_t i = 1; i < text.size() && i <= kLongestLetters; ++i) {
    if (text[i] == ')' || text[i] == '\xEF') return true;
  }
  return small == 'n' || small == 'r' || small == 'i' || small == 'o' || small == 'c';
}

}  // namespace

Numbering read_numbering(string_view text) {
  if (text.empty() || !may_begin(text)) return {};
  if (const size_t size = plain_numbering(text)) return {size, false};
  Reader reader{text};
  if (reader.take(is_circled)) {
    reader.take([](uint32_t c) { return is_dot(c) || is_colon(c); });
    reader.take_blanks();
    return reader.at < text.size() ? Numbering{reader.at, false} : Numbering{};
  }
  const Prefix prefix = take_prefix(reader);
  const uint32_t open = reader.code();
  const bool opened = reader.take(is_open_bracket);
  int value = 0;
  const size_t digits = take_number(reader, value);
  const bool letters = digits == 0;
  if (letters && (prefix != Prefix::kNone || !take_letters(reader))) return {};
  if (opened && (!reader.take(is_closed_bracket) || (open == '(' && digits == 3))) return {};
  reader.take([](uint32_t c) { return c == 0xFE0F; });
  bool told = opened || reader.take([](uint32_t c) { return c == 0x20E3; });  // a keycap
  bool spaced = letters && opened;
  bool few = false;
  if (letters && !opened) {
    told = reader.take([](uint32_t c) { return c == ')' || c == 0xFF09; });
    if (!told) return {};
    spaced = true;
  } else if (reader.take(is_dot)) {
    told = true;
  } else if (reader.take(is_colon)) {
    few = !told;
    told = true;
  } else {
    Reader dashed = reader;
    dashed.take_blanks();
    if (dashed.take(is_dash)) {
      reader = dashed;
      few = !told;
      told = spaced = true;
    }
  }
  if (prefix == Prefix::kNone && few && value > kMostCandidates) return {};
  if (!told && prefix != Prefix::kNumber) return {};
  const bool blank = reader.take_blanks();
  if (reader.at == text.size() || (!blank && (spaced || !told || digit_of(reader.code()) >= 0))) return {};
  return {reader.at, !letters};
}

}  // namespace rerec
