#include "reward/names.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "reward/gaps.hpp"
#include "text/pattern_trie.hpp"
#include "text/titles.hpp"

namespace rerec {

using std::string_view;

namespace {

bool is_quote(char c) { return c == '"' || c == '\'' || c == '`' || c == '*' || c == '_'; }
bool is_blank(char c) { return c == ' ' || c == '\t'; }

// The byte behind a name, and behind a comma or the like if a quotation mark is there.
char closing(const PlainLine& line, size_t end) {
  const auto at = [&](size_t i) { return i < line.end() ? line.text()[i] : '\0'; };
  const char c = at(end), beyond = at(end + 1);
  const bool inside = (c == ',' || c == '.' || c == '!' || c == '?') && (beyond == '"' || beyond == '\'');
  return inside ? beyond : c;
}

// Where " (1994)" behind a name ends, and the year; 0: is none.
size_t year_behind(const PlainLine& line, size_t at, int32_t& year) {
  const string_view text = line.text();
  if (at < line.end() && (text[at] == '.' || text[at] == '!' || text[at] == '?')) ++at;
  while (at < line.end() && is_quote(text[at])) ++at;
  while (at < line.end() && text[at] == ' ') ++at;
  if (at + 5 >= line.end() || (text[at] != '(' && text[at] != '[')) return 0;
  if (text[at + 5] != (text[at] == '(' ? ')' : ']')) return 0;
  if (!std::all_of(&text[at + 1], &text[at + 1] + 4, is_digit)) return 0;
  year = 0;
  for (size_t i = 1; i <= 4; ++i) year = 10 * year + (text[at + i] - '0');
  return at + 6;
}

// The year of "the 1994 A", 0: none.
int32_t year_before(const PlainLine& line, size_t start, size_t floor) {
  const string_view text = line.text();
  PlainWord word;
  if (!line.previous(start, word) || word.begin < floor || word.end - word.begin != 4) return 0;
  const string_view digits = text.substr(word.begin, 4);
  if (!std::all_of(digits.begin(), digits.end(), is_digit)) return 0;
  if (digits.substr(0, 2) != "19" && digits.substr(0, 2) != "20") return 0;
  if (text.substr(word.end, start - word.end).find_first_not_of(" \"'") != string_view::npos) return 0;
  int32_t year = 0;
  for (char c : digits) year = 10 * year + (c - '0');
  return year;
}

// Whether a capital stands before the small words ("and", "of", articles) before a word. Not where an item ends there.
bool ends_a_name(const PlainLine& line, const PlainWord& word, size_t floor) {
  constexpr string_view kInside[] = {"the", "a", "an", "and", "of"};
  const string_view text = line.text();
  size_t begin = word.begin;
  PlainWord before;
  while (line.previous(begin, before) && before.begin >= floor &&
         only_spaces(text.substr(before.end, begin - before.end))) {
    const bool inside = std::any_of(std::begin(kInside), std::end(kInside), [&](string_view small) {
      return line.is(before.begin, before.end, small);
    });
    if (!inside) return begin != word.begin && before.upper;
    if (before.upper) return false;
    begin = before.begin;
  }
  return false;
}

}  // namespace

size_t NameIndex::listed(const PlainLine& line) {
  const string_view text = line.text();
  const auto skip = [&](size_t at) {
    while (at < line.end() && is_blank(text[at])) ++at;
    return at;
  };
  size_t at = skip(line.begin());
  const size_t begin = at;
  if (at == line.end()) return line.begin();
  if (text[at] == '-' || text[at] == '*') return skip(at + 1);
  while (at < line.end() && at < begin + 4 && is_digit(text[at])) ++at;
  if (at == begin || at - begin > 3) return line.begin();
  at = skip(at);
  if (at == line.end() || (text[at] != ')' && text[at] != '.' && text[at] != ':')) return line.begin();
  return skip(at + 1);
}

bool NameIndex::item_at(const PlainLine& line, size_t listed, size_t floor, size_t start, ItemMention& out,
                        std::vector<int32_t>& ids) const {
  PlainWord first;
  line.read(start, first);
  const bool longer = first_.may_hold(first.hash), single = singles_.may_hold(first.hash);
  const bool stem = first.stem != 0 && singles_.may_hold(first.stem);
  if (!longer && !single && !stem) return false;
  std::array<Terminal, 2 * kMostTitleWords> found;
  size_t count = 0;
  const auto look = [&](uint64_t key, size_t words, const PlainWord& last, bool owned) {
    const int32_t name = titles_.find(key);
    const size_t end = owned ? last.end - 1 : last.end;
    if (name >= 0 && line.is(start, end, titles_[name])) {
      found[count++] = {name, words, last.end, last.upper, owned};
    }
    return name >= NameTable::kNone;
  };
  if (stem) look(first.stem, 1, first, true);
  if (single) look(first.hash, 1, first, false);
  PlainWord word = first;
  uint64_t key = first.hash;
  for (size_t words = 2; longer && words <= kMostTitleWords && line.next(word.end, word); ++words) {
    const uint64_t stemmed = word.stem != 0 ? join_hash(key, word.stem) : 0;
    key = join_hash(key, word.hash);
    if (words == 2 && !pairs_.may_hold(key) && !(stemmed != 0 && pairs_.may_hold(stemmed))) break;
    if (stemmed != 0) look(stemmed, words, word, true);
    if (!look(key, words, word, false)) break;
  }
  while (count > 0) {
    if (counts(line, first, listed, floor, found[--count], out, ids)) return true;
  }
  return false;
}

bool NameIndex::counts(const PlainLine& line, const PlainWord& word, size_t listed, size_t floor,
                       const Terminal& terminal, ItemMention& out, std::vector<int32_t>& ids) const {
  const string_view text = line.text();
  PlainWord before;
  int8_t article = kBare;
  size_t start = word.begin;
  if (line.previous(word.begin, before) && before.begin >= floor &&
      only_spaces(text.substr(before.end, word.begin - before.end))) {
    for (int8_t i = 0; i < 3; ++i) {
      if (line.is(before.begin, before.end, kEnglishArticles[i])) article = i;
    }
    if (article != kBare) start = before.begin;
  }
  const Owner* const begin = owners_.data() + owner_ptr_[static_cast<size_t>(terminal.name)];
  const Owner* const end = owners_.data() + owner_ptr_[static_cast<size_t>(terminal.name) + 1];
  const auto fits = [&](const Owner& owner) {
    return terminal.words > 1 || owner.article == kBare || owner.article == article;
  };
  if (std::none_of(begin, end, fits)) return false;
  int32_t year = 0;
  const size_t year_end = terminal.owned ? 0 : year_behind(line, terminal.end, year);
  const char opening = start > line.begin() ? text[start - 1] : '\0', closes = closing(line, terminal.end);
  const bool quoted = is_quote(opening) && is_quote(closes);
  const bool has_year = year_end != 0;
  if (!has_year && !quoted) {
    if (is_value_[static_cast<size_t>(terminal.name)]) return false;
    if (terminal.words > 1 && terminal.words < 4 && !terminal.last_upper) return false;
    if ((closes == '"' || closes == '\'') && !is_quote(opening)) return false;
    if (terminal.words == 1 && ends_a_name(line, word, floor)) return false;
    const bool by_article = std::any_of(begin, end, [&](const Owner& o) { return fits(o) && o.article != kBare; });
    const bool begins_listed = start == listed && listed > line.begin();
    if (terminal.words == 1 && !by_article && !begins_listed && !stands_out(line, word)) return false;
  }
  if (!has_year) year = year_before(line, start, floor);
  const bool dated = year != 0;
  out.begin = start;
  out.end = terminal.end;
  if (has_year) {
    out.end = year_end;
  } else if (quoted && (text[terminal.end] == '!' || text[terminal.end] == '?')) {
    ++out.end;
  }
  out.owned = terminal.owned;
  out.first = static_cast<uint32_t>(ids.size());
  const int32_t* years = catalogue_.view().years;
  for (int pass = 0; pass < 2 && ids.size() == out.first; ++pass) {
    for (const Owner* owner = begin; owner != end; ++owner) {
      if (!fits(*owner) || (ids.size() > out.first && ids.back() == owner->item)) continue;
      const int32_t known = years[owner->item];
      const bool meant = !dated || (pass == 0 ? known == year : known == 0 || std::abs(known - year) == 1);
      if (meant) ids.push_back(owner->item);
    }
    if (!dated) break;
  }
  out.last = static_cast<uint32_t>(ids.size());
  return true;
}

// Whether a word of four letters or more, with a capital, is inside a sentence and its neighbours have none.
bool NameIndex::stands_out(const PlainLine& line, const PlainWord& word) const {
  const string_view text = line.text();
  size_t letters = 0;
  for (size_t i = word.begin; i < word.end; ++i) letters += is_plain_word(text[i]);
  PlainWord other;
  if (letters < 4 || !is_capital(text[word.begin]) || !line.previous(word.begin, other) || other.upper) return false;
  if (text.substr(other.end, word.begin - other.end).find_first_not_of(" ,") != string_view::npos) return false;
  return !(line.next(word.end, other) && other.upper && only_spaces(text.substr(word.end, other.begin - word.end)));
}

NameIndex::Found NameIndex::find(const PlainLine& line, const PlainWord& first, size_t limit) const {
  const string_view text = line.text();
  Found out;
  if (!may_begin_value(first) && !phrase_begins_.may_hold(first.hash)) return out;
  const auto is_hyphened = [&](size_t at, size_t beyond) {
    return at >= line.begin() && at < line.end() && text[at] == '-' && beyond >= line.begin() && beyond < line.end() &&
           (is_plain_word(text[beyond]) || text[beyond] == '&');
  };
  PlainWord word = first;
  uint64_t key = first.hash;
  for (size_t words = 1;; ++words) {
    const int32_t name = words_.find(key);
    if (name < NameTable::kNone) break;
    if (name >= 0 && line.is(first.begin, word.end, words_[name])) {
      const size_t number = static_cast<size_t>(name);
      if (phrase_of_[number] >= 0) {
        out.phrase = phrase_of_[number];
        out.phrase_words = words;
        out.phrase_end = word.end;
      }
      const int32_t value = value_of_[number];
      const Value* known = value >= 0 ? &values_[static_cast<size_t>(value)] : nullptr;
      const bool written = known != nullptr && (known->any_case || first.upper) &&
                           (known->exact[0] == 0 || text.substr(first.begin, word.end - first.begin) ==
                                                        string_view(known->exact, 2));
      if (written && !is_hyphened(first.begin - 1, first.begin - 2) && !is_hyphened(word.end, word.end + 1)) {
        out.value = value;
        out.value_words = words;
        out.value_end = word.end;
      }
    }
    if (!line.next(word.end, word) || word.begin >= limit) break;
    key = join_hash(key, word.hash);
  }
  return out;
}

const Phrase* NameIndex::phrase_of(const PlainLine& line, const PlainWord& word) const {
  const int32_t name = words_.find(word.hash);
  if (name < 0 || phrase_of_[static_cast<size_t>(name)] < 0) return nullptr;
  if (!line.is(word.begin, word.end, words_[name])) return nullptr;
  return &phrases_[static_cast<size_t>(phrase_of_[static_cast<size_t>(name)])];
}

}  // namespace rerec
