#include "text/plain.hpp"

#include <algorithm>
#include <cstring>

#include "text/characters.hpp"

namespace rerec {

using std::string_view;

namespace {

// In plain text: dashes, quotation marks, dots and bullets; else kSymbol.
char plain_break(uint32_t code) {
  if ((code >= 0x2010 && code <= 0x2015) || code == 0x2212) return '-';
  switch (code) {
    case 0x201C: case 0x201D: case 0x201E: case 0xAB: case 0xBB: return '"';
    case 0x2026: return '.';
    case 0x2022: case 0xB7: case 0x2023: return '*';
    default: return kSymbol;
  }
}

bool is_wide_space(uint32_t code) {
  return code == 0xA0 || (code >= 0x2000 && code <= 0x200A) || code == 0x202F || code == 0x205F || code == 0x3000;
}

void append_code(uint32_t code, const unsigned char* bytes, size_t size, std::string& out) {
  if (code < 0x80) {
    out.push_back(static_cast<char>(code));
  } else if (is_apostrophe(code)) {
    out.push_back('\'');
  } else if (is_break(code)) {
    out.push_back(plain_break(code));
  } else {
    out.append(reinterpret_cast<const char*>(bytes), size);
  }
}

void append_folded(const Fold& fold, std::string& out) {
  const auto* p = reinterpret_cast<const unsigned char*>(fold.text);
  const auto* end = p + std::strlen(fold.text);
  const size_t first = out.size();
  while (p < end) {
    const unsigned char* start = p;
    const uint32_t code = decode(p, end);
    append_code(code, start, static_cast<size_t>(p - start), out);
  }
  if (fold.upper && out.size() > first && is_small(out[first])) out[first] = static_cast<char>(out[first] - 32);
}

}  // namespace

void append_plain(string_view text, std::string& out) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = p + text.size();
  while (p < end) {
    const unsigned char* start = p;
    for (uint64_t block = 0; end - p >= 8; p += 8) {
      std::memcpy(&block, p, sizeof block);
      if (is_odd(block)) break;
    }
    while (p < end && *p < 0x80) ++p;
    out.append(reinterpret_cast<const char*>(start), static_cast<size_t>(p - start));
    if (p == end) return;
    start = p;
    const uint32_t code = decode(p, end);
    if (is_apostrophe(code)) {
      out.push_back('\'');
    } else if (is_ignored(code)) {
      continue;
    } else if (is_wide_space(code)) {
      out.push_back(' ');
    } else if (const Fold* fold = find_fold(code)) {
      append_folded(*fold, out);
    } else {
      append_code(code, start, static_cast<size_t>(p - start), out);
    }
  }
}

bool PlainLine::previous(size_t to, PlainWord& word) const {
  if (to <= begin_) return false;
  LetterBlock block(letters_ + to - 8);
  while (block.bytes == 0) {
    if (to <= begin_ + 8) return false;
    to -= 8;
    block = LetterBlock(letters_ + to - 8);
  }
  to -= static_cast<size_t>(__builtin_clzll(block.bytes)) / 8;
  if (to <= begin_) return false;
  size_t begin = to;
  uint64_t blanks = 0;
  for (;; begin -= 8) {
    block = LetterBlock(letters_ + begin - 8);
    blanks = block.blanks();
    if (is_odd(block.bytes)) return previous_slowly(to, word);
    if (blanks != 0) break;
  }
  read(begin - static_cast<size_t>(__builtin_clzll(blanks)) / 8, word);
  return true;
}

bool PlainLine::next_slowly(size_t from, PlainWord& word) const {
  while (from < end_ && !is_plain_word(text_[from]) && text_[from] != '&') ++from;
  if (from >= end_) return false;
  read(from, word);
  return true;
}

bool PlainLine::previous_slowly(size_t to, PlainWord& word) const {
  while (to > begin_ && !is_plain_word(text_[to - 1]) && text_[to - 1] != '&') --to;
  if (to <= begin_) return false;
  size_t begin = to;
  while (begin > begin_ && is_plain_word(text_[begin - 1])) {
    while (begin > begin_ && is_plain_word(text_[begin - 1])) --begin;
    size_t quotes = begin;
    while (quotes > begin_ && is_plain_apostrophe(text_[quotes - 1])) --quotes;
    if (quotes < begin && quotes > begin_ && is_plain_word(text_[quotes - 1])) begin = quotes;
  }
  read(begin < to ? begin : to - 1, word);
  return true;
}

// As `read` of the letters without apostrophes. Bytes beyond ASCII lose a bit: words of one hash may differ.
uint64_t PlainLine::hash(string_view word) {
  uint64_t hash = kHashSeed;
  for (;; word.remove_prefix(8)) {
    char bytes[8] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};
    const size_t size = std::min(word.size(), sizeof bytes);
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(word[i] | ' ');
    hash = mix(hash, LetterBlock(bytes).bytes);
    if (size < sizeof bytes) return hash | uint64_t{1} << 63;
  }
}

// An ampersand, or a word and what apostrophes join to it.
void PlainLine::read_slowly(size_t begin, PlainWord& word) const {
  size_t end = begin;
  while (end < end_ && is_plain_word(text_[end])) ++end;
  word.begin = begin;
  word.upper = !is_small(text_[begin]);
  word.stem = 0;
  if (end == begin) {
    word.end = end + 1;
    word.hash = hash("and");
    return;
  }
  std::string letters(text_.substr(begin, end - begin));
  size_t last_quote = 0;  // letters before the last apostrophe
  for (;;) {
    size_t next = end;
    while (next < end_ && is_plain_apostrophe(text_[next])) ++next;
    if (next == end || next == end_ || !is_plain_word(text_[next])) break;
    last_quote = letters.size();
    end = next;
    while (end < end_ && is_plain_word(text_[end])) ++end;
    letters.append(text_.substr(next, end - next));
  }
  word.end = end;
  word.hash = hash(letters);
  if (last_quote > 0 && last_quote + 1 == letters.size() && to_lower(letters.back()) == 's') {
    word.stem = hash(string_view(letters).substr(0, last_quote));
  }
}

bool same_words(string_view text, size_t begin, size_t end, string_view name) {
  size_t at = 0;
  bool open = false;  // within a word of the text
  const auto expect = [&](char c) { return at < name.size() && name[at++] == c; };
  for (size_t i = begin; i < end; ++i) {
    const char c = text[i];
    if (is_plain_word(c)) {
      if (!open && at > 0 && !expect(' ')) return false;
      open = true;
      if (!expect(to_lower(c))) return false;
    } else if (c == '&') {
      if (at > 0 && !expect(' ')) return false;
      open = false;
      if (!expect('a') || !expect('n') || !expect('d')) return false;
    } else if (!is_plain_apostrophe(c)) {
      open = false;
    }
  }
  return at == name.size();
}

}  // namespace rerec
