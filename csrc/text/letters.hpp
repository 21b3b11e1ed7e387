// A plain text in small letters, so that words are read eight bytes at a time.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace rerec {

// Stands for an apostrophe, an ampersand or a byte beyond ASCII: what the word is only its text tells.
inline constexpr char kOddLetter = '\x80';

// Eight bytes of letters, each 0 where it is a blank.
struct LetterBlock {
  static constexpr uint64_t kBlanks = 0x2020202020202020ull, kOnes = 0x0101010101010101ull,
                            kHighBits = 0x8080808080808080ull;
  uint64_t bytes;

  explicit LetterBlock(const char* letters) {
    std::memcpy(&bytes, letters, sizeof bytes);
    bytes ^= kBlanks;
  }
  // The high bit of the first blank; bits of later bytes mean nothing. 0: no blank.
  uint64_t first_blank() const { return (bytes - kOnes) & ~bytes & kHighBits; }
  // The high bits of all blanks.
  uint64_t blanks() const { return ~(((bytes & ~kHighBits) + ~kHighBits) | bytes | ~kHighBits); }
};

// The bytes up to the first of some bits, and whether any is odd.
inline uint64_t up_to(uint64_t bytes, uint64_t first) { return bytes & (first ^ (first - 1)); }
inline bool is_odd(uint64_t bytes) { return (bytes & LetterBlock::kHighBits) != 0; }

// ASCII letters small, digits as they are, odd ones as kOddLetter, blanks for all else: at the places of the text.
// Buffers are reused.
class Letters {
 public:
  static constexpr size_t kPadding = 32;  // blanks before and behind

  // Reads text[:end]; returns whether it is all ASCII.
  bool read(std::string_view text, size_t end);
  const char* data() const { return bytes_.get() + kPadding; }
  // Where a word that begins with no small letter may begin, ascending; valid until the next call, and may be written.
  uint32_t* starts() { return starts_.get(); }
  size_t count() const { return count_; }

 private:
  void reserve(size_t size);

  std::unique_ptr<char[]> bytes_;
  std::unique_ptr<uint32_t[]> starts_;
  size_t capacity_ = 0, count_ = 0;
};

// Which words may begin a name, by the first eight letters of the first word and the first of the second.
class NameStarts {
 public:
  // name: normalised words with a blank between.
  void add(std::string_view name) { names_.emplace_back(name); }
  void build();
  // Whether one may begin at the letters.
  bool may_begin(const char* letters) const {
    const LetterBlock block(letters);
    const uint64_t end = block.first_blank() | kLastBit, first = up_to(block.bytes, end);
    const uint64_t second = block.bytes >> __builtin_ctzll(end) >> 1 & 63;
    return ((table_[first * kMultiplier >> shift_] >> second) & 1) | static_cast<uint64_t>(is_odd(first));
  }
  // Leaves the starts at which one may begin; returns how many.
  size_t choose(const char* letters, uint32_t* starts, size_t count) const;

 private:
  static constexpr uint64_t kLastBit = uint64_t{1} << 63, kMultiplier = 0x9FB21C651E98DF25ull;

  std::vector<std::string> names_;  // until they are built
  std::vector<uint64_t> table_ = {0, 0};  // bits of second letters
  int shift_ = 63;
};

}  // namespace rerec
