#include "text/mentions.hpp"

#include <algorithm>

#include "common/simd.hpp"
#include "text/scan.hpp"
#include "text/titles.hpp"

namespace rerec {
namespace {

using std::string_view;

constexpr size_t kMostTitleWords = 64;
constexpr size_t kMostStarts = 8;
constexpr char kCaseBit = 0x20;

bool is_ascii(char c) { return static_cast<signed char>(c) >= 0; }

// Whether a character of this first byte may be normalised to something else: blocks of `FOLDED` in
// rerec_engine/graph/titles.py. (General punctuation, E2 80, is not.)
bool may_be_folded(char first) {
  const auto c = static_cast<unsigned char>(first);
  return (c >= 0xC2 && c <= 0xCB) || (c >= 0xCD && c <= 0xD4) || c == 0xE1 || c == 0xE2 || c == 0xEF;
}

}  // namespace

void find_lines(string_view text, std::vector<Line>& lines) {
  lines.clear();
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(find_any<'\n', '\r'>(text, begin), text.size() - 1) + 1;
    lines.push_back({begin, end});
    begin = end;
  }
}

void Mentions::clear() {
  patterns_.clear();
  pool_.clear();
  starts_.clear();
  any_start_ = trie_built_ = false;
  longest_ = 0;
  static const std::bitset<256> folded = [] {
    std::bitset<256> bytes;
    for (size_t c = 0x80; c < bytes.size(); ++c) bytes[c] = may_be_folded(static_cast<char>(c));
    return bytes;
  }();
  may_start_ = folded;
}

void Mentions::add(string_view title, int32_t owner, bool any_case) {
  buffer_.read(title, kMostTitleWords + 1);
  const size_t count = buffer_.size();
  if (count == 0 || count > kMostTitleWords) return;
  const size_t first = count > 1 && is_english_article(buffer_[0]) ? 1 : 0;
  const bool single = count - first == 1;
  const string_view text = string_view(buffer_.text).substr(buffer_.list[first].begin);
  const Pattern pattern{static_cast<uint32_t>(pool_.size()),
                        static_cast<uint32_t>(text.size()),
                        static_cast<uint32_t>(count - first),
                        owner,
                        single && first == 1 ? article_number(buffer_[0]) : kBare,
                        single && buffer_.list[first].upper && !any_case};
  for (const Pattern& known : patterns_) {
    if (patterns_.size() > kMostStarts) break;  // many: a repeat costs less than the comparison
    const bool same = known.owner == owner && known.article == pattern.article && known.upper == pattern.upper;
    if (same && string_view(pool_).substr(known.begin, known.size) == text) return;
  }
  pool_.append(text);
  patterns_.push_back(pattern);
  longest_ = std::max(longest_, count - first);
  add_start(static_cast<int32_t>(patterns_.size()) - 1);
}

// What the first bytes of a pattern may be in a text that is not normalised yet.
void Mentions::add_start(int32_t pattern) {
  if (any_start_) return;
  const string_view text = string_view(pool_).substr(patterns_[static_cast<size_t>(pattern)].begin);
  const char first = text[0], second = text.size() > 1 ? text[1] : '\0';
  const auto add = [this](char one, char two, int32_t of) {
    starts_.push_back(
        {static_cast<char>(one | kCaseBit), two == 0 ? '\0' : static_cast<char>(two | kCaseBit), of});
    may_start_[static_cast<unsigned char>(one | kCaseBit)] = true;
    may_start_[static_cast<unsigned char>(one & ~kCaseBit)] = true;
  };
  if (is_ascii(first)) {
    add(first, second > 0 && second != ' ' ? second : '\0', pattern);
    if (text.substr(0, 3) == "and") add('&', '\0', -1);
  } else if (may_be_folded(first)) {
    any_start_ = true;
  } else {
    add(first, second, -1);
  }
  any_start_ = any_start_ || starts_.size() > kMostStarts;
}

PatternTrie& Mentions::trie() {
  if (!trie_built_) trie_.build(patterns_, pool_);
  trie_built_ = true;
  return trie_;
}

bool Mentions::found_in(string_view text) {
  return trie().scan(text, [](int32_t) { return true; });
}

void Mentions::owners_in(string_view line, std::vector<int32_t>& owners) {
  owners.clear();
  trie().scan(line, [&](int32_t owner) {
    owners.push_back(owner);
    return false;
  });
  std::sort(owners.begin(), owners.end());
  owners.erase(std::unique(owners.begin(), owners.end()), owners.end());
}

// Whether the pattern stands at text[at], where a word begins, as far as ASCII letters, digits and single spaces tell.
Mentions::Verdict Mentions::compare(string_view text, size_t at, const Pattern& pattern) const {
  const string_view wanted = string_view(pool_).substr(pattern.begin, pattern.size);
  const auto byte = [&](size_t i) { return i < text.size() ? text[i] : '\n'; };
  const auto vanishes = [](char c) { return !is_ascii(c) || c == '\'' || c == '`'; };  // or may do so
  char before = ' ';
  for (size_t i = 0; i < wanted.size(); ++i) {
    const char c = wanted[i], found = byte(at + i);
    if (c == ' ' ? found != ' ' : !is_ascii_alnum(found) || static_cast<char>(found | kCaseBit) != c) {
      if (is_ascii_alnum(found)) return is_ascii(c) ? Verdict::kNo : Verdict::kUnsure;
      return vanishes(found) || c == ' ' || before == ' ' || !is_ascii(c) ? Verdict::kUnsure : Verdict::kNo;
    }
    before = c;
  }
  const char after = byte(at + wanted.size());
  if (is_ascii_alnum(after)) return Verdict::kNo;
  if (vanishes(after)) return Verdict::kUnsure;
  if (pattern.words > 1) return Verdict::kYes;
  if (pattern.article != kBare || is_digit(wanted[0])) return Verdict::kUnsure;  // the word before, a bracketed year
  return pattern.upper && text[at] == wanted[0] ? Verdict::kNo : Verdict::kYes;
}

// Whether a title begins here: not inside a word of ASCII letters and digits.
Mentions::Verdict Mentions::judge(string_view text, size_t at) const {
  const char c = text[at], next = at + 1 < text.size() ? text[at + 1] : '\0';
  const char before = at > 0 ? text[at - 1] : '\n';
  if (!is_ascii(c) && may_be_folded(c) && !(c == '\xE2' && next == '\x80')) return Verdict::kUnsure;
  Verdict best = Verdict::kNo;
  for (const Start& start : starts_) {
    if (static_cast<char>(c | kCaseBit) != start.first) continue;
    if (start.pattern < 0) {
      if (start.second == 0 || static_cast<char>(next | kCaseBit) == start.second) best = std::max(best, Verdict::kUnsure);
    } else if (is_ascii(c) && !is_ascii_alnum(before)) {
      best = std::max(best, compare(text, at, patterns_[static_cast<size_t>(start.pattern)]));
    }
  }
  // What vanishes before a word may join it to the one before.
  const bool joined = !is_ascii(before) || before == '\'' || before == '`';
  return joined && best == Verdict::kYes ? Verdict::kUnsure : best;
}

// Calls judge where the bytes of a block of text may begin a title; returns the place, or where the blocks end.
#if defined(REREC_AVX2)
REREC_AVX2 Mentions::Place Mentions::search_blocks(string_view text, size_t from, size_t end) const {
  constexpr size_t kBlock = 32;
  const __m256i case_bit = _mm256_set1_epi8(kCaseBit), quote = _mm256_set1_epi8('\''), tick = _mm256_set1_epi8('`');
  const __m256i zero = _mm256_setzero_si256(), last_continuation = _mm256_set1_epi8('\xBF');
  const __m256i letter_a = _mm256_set1_epi8('a'), letters = _mm256_set1_epi8('z' - 'a');
  if (from == 0 && end > 0) {  // no byte before it
    const Verdict verdict = judge(text, 0);
    if (verdict != Verdict::kNo) return {0, verdict};
  }
  size_t i = std::max(from, size_t{1});
  for (; i + kBlock < end; i += kBlock) {
    const __m256i before = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(text.data() + i - 1));
    const __m256i block = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(text.data() + i));
    const __m256i next = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(text.data() + i + 1));
    const __m256i lower = _mm256_or_si256(block, case_bit), next_lower = _mm256_or_si256(next, case_bit);
    const __m256i unsure = _mm256_or_si256(
        _mm256_cmpgt_epi8(zero, next), _mm256_or_si256(_mm256_cmpeq_epi8(next, quote), _mm256_cmpeq_epi8(next, tick)));
    const __m256i from_a = _mm256_sub_epi8(_mm256_or_si256(before, case_bit), letter_a);
    const __m256i in_word = _mm256_cmpeq_epi8(_mm256_min_epu8(from_a, letters), from_a);  // a letter goes before
    __m256i hits = _mm256_and_si256(_mm256_cmpgt_epi8(zero, block), _mm256_cmpgt_epi8(block, last_continuation));
    for (const Start& start : starts_) {
      __m256i hit = _mm256_cmpeq_epi8(lower, _mm256_set1_epi8(start.first));
      if (start.second != 0) {
        const __m256i second = _mm256_cmpeq_epi8(next_lower, _mm256_set1_epi8(start.second));
        hit = _mm256_and_si256(hit, _mm256_or_si256(unsure, second));
      }
      if (start.pattern >= 0) hit = _mm256_andnot_si256(in_word, hit);
      hits = _mm256_or_si256(hits, hit);
    }
    for (unsigned mask = static_cast<unsigned>(_mm256_movemask_epi8(hits)); mask != 0; mask &= mask - 1) {
      const size_t at = i + static_cast<size_t>(__builtin_ctz(mask));
      const Verdict verdict = judge(text, at);
      if (verdict != Verdict::kNo) return {at, verdict};
    }
  }
  return {i, Verdict::kNo};
}
#endif

Mentions::Place Mentions::next_start(string_view text, size_t from, size_t end) const {
  size_t i = from;
#if defined(REREC_AVX2)
  if (has_avx2()) {
    const Place place = search_blocks(text, from, end);
    if (place.verdict != Verdict::kNo) return place;
    i = place.at;
  }
#endif
  for (; i < end; ++i) {
    if (!may_start_[static_cast<unsigned char>(text[i])]) continue;
    const Verdict verdict = judge(text, i);
    if (verdict != Verdict::kNo) return {i, verdict};
  }
  return {string_view::npos, Verdict::kNo};
}

// The part of a line, cut at blanks, that holds the word before `at` and the words of the longest title from there.
Line Mentions::window(string_view text, const Line& line, size_t at) const {
  size_t begin = at, end = at, words = 0;
  while (begin > line.begin && text[begin - 1] != ' ') --begin;
  for (bool seen = false; begin > line.begin && !(seen && text[begin - 1] == ' ');) {
    --begin;
    seen = seen || is_ascii_alnum(text[begin]);
  }
  for (bool seen = false; end < line.end && words < longest_; ++end) {
    if (text[end] == ' ') {
      words += seen;
      seen = false;
    } else {
      seen = seen || is_ascii_alnum(text[end]);
    }
  }
  return {begin, end};
}

// Reads the line around its starts, of which `first` is one, or all of it where that is less.
bool Mentions::found_in_line(string_view text, const Line& line, Place first) {
  size_t left = line.end - line.begin;
  for (Place place = first; place.at != string_view::npos; place = next_start(text, place.at + 1, line.end)) {
    if (place.verdict == Verdict::kYes) return true;
    const Line part = window(text, line, place.at);
    if (part.end - part.begin > left) return found_in(text.substr(line.begin, line.end - line.begin));
    left -= part.end - part.begin;
    if (found_in(text.substr(part.begin, part.end - part.begin))) return true;
  }
  return false;
}

void Mentions::find(string_view text, const std::vector<Line>& lines, size_t count, std::vector<uint8_t>& found) {
  found.assign(count, 0);
  if (any_start_) {
    for (size_t i = 0; i < count; ++i) found[i] = found_in(text.substr(lines[i].begin, lines[i].end - lines[i].begin));
    return;
  }
  const size_t end = count > 0 ? lines[count - 1].end : 0;
  for (size_t i = 0; i < count; ++i) {
    const Place place = next_start(text, lines[i].begin, end);
    if (place.at == string_view::npos) return;
    while (lines[i].end <= place.at) ++i;
    found[i] = found_in_line(text, lines[i], place);
  }
}

}  // namespace rerec
