// Text in ASCII as far as it folds, with its words where they stand. Specification: rerec_engine/metrics/names.py
// (`plain`, `tokens`).
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "text/words.hpp"

namespace rerec {

// Stands in plain text for what is neither a word nor known punctuation.
inline constexpr char kSymbol = '\x01';

// Appends the text: ASCII as it is, other letters without accents, known punctuation as ASCII, the rest as kSymbol;
// letters that do not fold stay.
void append_plain(std::string_view text, std::string& out);

// Bytes of words in plain text: letters and digits of ASCII, and all beyond.
constexpr std::array<bool, 256> make_plain_word_bytes() {
  std::array<bool, 256> table{};
  for (size_t c = 0; c < 256; ++c) {
    table[c] = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c >= 0x80;
  }
  return table;
}
inline constexpr std::array<bool, 256> kPlainWord = make_plain_word_bytes();
inline bool is_plain_word(char c) { return kPlainWord[static_cast<unsigned char>(c)]; }
inline bool is_plain_apostrophe(char c) { return c == '\'' || c == '`'; }
inline bool is_small(char c) { return c >= 'a' && c <= 'z'; }
inline bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }

// A word of a plain text: its bytes, the hash of its normalised form, and that without a possessive 's (0: has none).
struct PlainWord {
  size_t begin = 0, end = 0;
  uint64_t hash = 0, stem = 0;
  bool upper = false;  // begins with no small letter
};

// Reads the words of text[begin:end], where no word begins before or ends behind.
class PlainLine {
 public:
  PlainLine() = default;
  PlainLine(std::string_view text, size_t begin, size_t end) : text_(text), begin_(begin), end_(end) {}

  // The first word that begins at or behind `from`; false: none.
  bool next(size_t from, PlainWord& word) const {
    while (from < end_ && !is_plain_word(text_[from]) && text_[from] != '&') ++from;
    if (from >= end_) return false;
    read(from, word);
    return true;
  }
  // The last word that ends at or before `to`.
  bool previous(size_t to, PlainWord& word) const;
  // The word that begins there.
  void read(size_t begin, PlainWord& word) const {
    size_t end = begin;
    while (end < end_ && is_plain_word(text_[end])) ++end;
    word.begin = begin;
    word.upper = !is_small(text_[begin]);
    if (end > begin && !(end < end_ && is_plain_apostrophe(text_[end]))) {
      word.end = end;
      word.hash = hash(text_.data() + begin, end - begin, end + 8 <= text_.size());
      word.stem = 0;
    } else {
      read_long(end, word);
    }
  }

  std::string_view text() const { return text_; }
  size_t begin() const { return begin_; }
  size_t end() const { return end_; }

  // Of letters in any case, never 0. Bytes beyond ASCII lose a bit here: words of one hash may differ. readable: 8 bytes more are
  // there.
  static uint64_t hash(const char* bytes, size_t size, bool readable);

 private:
  void read_long(size_t end, PlainWord& word) const;

  std::string_view text_;
  size_t begin_ = 0, end_ = 0;
};

inline uint64_t PlainLine::hash(const char* bytes, size_t size, bool readable) {
  constexpr uint64_t kCaseBits = 0x2020202020202020ull, kMultiplier = 0x9FB21C651E98DF25ull;
  uint64_t hash = size * 0x9E3779B97F4A7C15ull;
  uint64_t block = 0;
  for (; size > 8; size -= 8, bytes += 8) {
    std::memcpy(&block, bytes, 8);
    hash = (hash ^ (block | kCaseBits)) * kMultiplier;
    hash ^= hash >> 29;
  }
  const uint64_t mask = ~uint64_t{0} >> (64 - 8 * size);
  block = 0;
  std::memcpy(&block, bytes, readable ? 8 : size);
  hash = (hash ^ ((block | kCaseBits) & mask)) * kMultiplier;
  return (hash ^ hash >> 32) | uint64_t{1} << 63;
}

inline uint64_t join_hash(uint64_t prefix, uint64_t word) {
  const uint64_t product = ((prefix << 5 | prefix >> 59) ^ word) * 0xD6E8FEB86659FD93ull;
  return (product ^ product >> 29) | uint64_t{1} << 63;
}

// Whether the words of plain text[begin:end] are those of a normalised name.
bool same_words(std::string_view text, size_t begin, size_t end, std::string_view name);

}  // namespace rerec
