// Text in ASCII as far as it folds, with its words where they stand. Specification: rerec_engine/metrics/names.py
// (`plain`, `tokens`).
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "text/letters.hpp"
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
constexpr bool is_plain_word(char c) { return kPlainWord[static_cast<unsigned char>(c)]; }
constexpr bool is_plain_apostrophe(char c) { return c == '\'' || c == '`'; }
constexpr bool is_small(char c) { return c >= 'a' && c <= 'z'; }
constexpr bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }

// A word of a plain text: its bytes, the hash of its normalised form, and that without a possessive 's (0: has none).
struct PlainWord {
  size_t begin = 0, end = 0;
  uint64_t hash = 0, stem = 0;
  bool upper = false;  // begins with no small letter
};

// Whether the words of plain text[begin:end] are those of a normalised name.
bool same_words(std::string_view text, size_t begin, size_t end, std::string_view name);

// Reads the words of text[begin:end], where no word begins before or ends behind. letters: of the text.
class PlainLine {
 public:
  PlainLine() = default;
  PlainLine(std::string_view text, const Letters& letters, size_t begin, size_t end)
      : text_(text), letters_(letters.data()), begin_(begin), end_(end) {}

  // The first word that begins at or behind `from`; false: none.
  bool next(size_t from, PlainWord& word) const {
    if (from >= end_) return false;
    LetterBlock block(letters_ + from);
    while (block.bytes == 0) {
      from += 8;
      if (from >= end_) return false;
      block = LetterBlock(letters_ + from);
    }
    from += static_cast<size_t>(__builtin_ctzll(block.bytes)) / 8;
    if (from >= end_) return false;
    if (letters_[from] == kOddLetter) return next_slowly(from, word);
    read(from, word);
    return true;
  }
  // The last word that ends at or before `to`.
  bool previous(size_t to, PlainWord& word) const;
  // The word that begins there.
  void read(size_t begin, PlainWord& word) const {
    const char* p = letters_ + begin;
    uint64_t hash = kHashSeed, all = 0;
    LetterBlock block(p);
    uint64_t blank = block.first_blank();
    while (blank == 0) {
      all |= block.bytes;
      hash = mix(hash, block.bytes);
      block = LetterBlock(p += 8);
      blank = block.first_blank();
    }
    const uint64_t rest = up_to(block.bytes, blank);
    if (is_odd(all | rest)) return read_slowly(begin, word);
    word.begin = begin;
    word.end = static_cast<size_t>(p - letters_) + static_cast<size_t>(__builtin_ctzll(blank)) / 8;
    word.hash = mix(hash, rest) | uint64_t{1} << 63;
    word.stem = 0;
    word.upper = !is_small(text_[begin]);
  }
  // Whether the words of text[begin:end] are those of a normalised name.
  bool is(size_t begin, size_t end, std::string_view name) const {
    return (end - begin == name.size() && std::memcmp(letters_ + begin, name.data(), name.size()) == 0) ||
           same_words(text_, begin, end, name);
  }

  std::string_view text() const { return text_; }
  const char* letters() const { return letters_; }
  size_t begin() const { return begin_; }
  size_t end() const { return end_; }

 private:
  static constexpr uint64_t kHashSeed = 0x9E3779B97F4A7C15ull;
  static uint64_t mix(uint64_t hash, uint64_t block) {
    hash = (hash ^ block) * 0x9FB21C651E98DF25ull;
    return hash ^ hash >> 32;
  }
  static uint64_t hash(std::string_view word);
  bool next_slowly(size_t from, PlainWord& word) const;
  bool previous_slowly(size_t to, PlainWord& word) const;
  void read_slowly(size_t begin, PlainWord& word) const;

  std::string_view text_;
  const char* letters_ = nullptr;
  size_t begin_ = 0, end_ = 0;
};

inline uint64_t join_hash(uint64_t prefix, uint64_t word) {
  const uint64_t product = ((prefix << 5 | prefix >> 59) ^ word) * 0xD6E8FEB86659FD93ull;
  return (product ^ product >> 29) | uint64_t{1} << 63;
}

}  // namespace rerec
