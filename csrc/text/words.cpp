#include "text/words.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "text/brackets.hpp"
#include "text/characters.hpp"

namespace rerec {
namespace {

constexpr bool is_ascii_word(uint32_t c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// Bytes that are letters or digits of ASCII.
constexpr std::array<bool, 256> make_word_bytes() {
  std::array<bool, 256> table{};
  for (uint32_t c = 0; c < 128; ++c) table[c] = is_ascii_word(c) || (c >= 'A' && c <= 'Z');
  return table;
}
constexpr std::array<bool, 256> kWordBytes = make_word_bytes();

constexpr std::array<char, 256> make_lower() {
  std::array<char, 256> table{};
  for (size_t c = 0; c < 256; ++c) table[c] = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return table;
}
constexpr std::array<char, 256> kLower = make_lower();

// Builds words from code points.
class Builder {
 public:
  // `expected`: bytes of text; it grows where there are more.
  Builder(Words& out, size_t expected) : out_(out) { out_.text.resize(expected); }

  // A run of ASCII letters and digits.
  void put_run(const unsigned char* bytes, size_t size) {
    char* to = append(size, *bytes >= 'A' && *bytes <= 'Z');
    for (size_t i = 0; i < size; ++i) to[i] = kLower[bytes[i]];
    previous_ = bytes[size - 1];
  }

  void put(uint32_t code, const unsigned char* bytes, size_t size) {
    if (code < 0x80) {
      put_ascii(static_cast<char>(code), code, code >= 'A' && code <= 'Z');
    } else if (is_apostrophe(code)) {
      apostrophe();
    } else if (!is_ignored(code)) {
      if (const Fold* fold = find_fold(code)) {
        put_folded(*fold);
      } else if (is_break(code)) {
        flush(code);
      } else {
        std::memcpy(append(size, false), bytes, size);
      }
    }
    previous_ = code;
  }

  void flush(uint32_t after) {
    if (!open_) return;
    open_ = false;
    const uint32_t end = static_cast<uint32_t>(size_);
    const char* p = out_.text.data() + begin_;
    const bool possessive = apostrophe_ > begin_ && apostrophe_ + 1 == end && out_.text[end - 1] == 's';
    const bool year = end - begin_ == 4 && is_open_bracket(before_) && is_closed_bracket(after) &&
                      std::all_of(p, p + 4, is_digit);
    out_.list.push_back({begin_, end, possessive ? apostrophe_ : end, upper_, year});
  }

  // The end of the text.
  void finish() {
    flush(0);
    out_.text.resize(size_);
  }

 private:
  void put_ascii(char c, uint32_t source, bool upper) {
    const char lower = to_lower(c);
    if (is_ascii_word(static_cast<unsigned char>(lower))) {
      *append(1, upper) = lower;
    } else if (c == '\'' || c == '`') {
      apostrophe();
    } else {
      flush(source);
      if (c == '&') {
        std::memcpy(append(3, false), "and", 3);
        flush(source);
      }
    }
  }

  void put_folded(const Fold& fold) {
    const auto* p = reinterpret_cast<const unsigned char*>(fold.text);
    const auto* end = p + std::strlen(fold.text);
    while (p < end) {
      const unsigned char* start = p;
      const uint32_t code = decode(p, end);
      if (code < 0x80) {
        put_ascii(static_cast<char>(code), fold.code, fold.upper);
      } else if (is_apostrophe(code)) {
        apostrophe();
      } else if (is_break(code)) {
        flush(fold.code);
      } else {
        std::memcpy(append(static_cast<size_t>(p - start), fold.upper), start, static_cast<size_t>(p - start));
      }
    }
  }

  // Room for `size` bytes of the word at hand, or of a new one.
  char* append(size_t size, bool upper) {
    if (size_ + size + 1 > out_.text.size()) out_.text.resize(2 * out_.text.size() + size + 1);
    if (!open_) {
      open_ = true;
      if (!out_.list.empty()) out_.text[size_++] = ' ';
      begin_ = apostrophe_ = static_cast<uint32_t>(size_);
      upper_ = upper;
      before_ = previous_;
    }
    char* to = &out_.text[size_];
    size_ += size;
    return to;
  }

  void apostrophe() {
    if (open_) apostrophe_ = static_cast<uint32_t>(size_);
  }

  Words& out_;
  size_t size_ = 0;
  bool open_ = false, upper_ = false;
  uint32_t begin_ = 0, apostrophe_ = 0, before_ = 0, previous_ = 0;
};

}  // namespace

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

void Words::read(std::string_view source, size_t most) {
  list.clear();
  Builder builder(*this, source.size() + 1);
  const auto* p = reinterpret_cast<const unsigned char*>(source.data());
  const auto* end = p + source.size();
  while (p < end && list.size() < most) {
    const unsigned char* start = p;
    if (kWordBytes[*p]) {
      while (++p < end && kWordBytes[*p]) {
      }
      builder.put_run(start, static_cast<size_t>(p - start));
      continue;
    }
    const uint32_t code = decode(p, end);
    builder.put(code, start, static_cast<size_t>(p - start));
  }
  builder.finish();
}

std::string normalise(std::string_view text) {
  Words words;
  words.read(text);
  return std::move(words.text);
}

bool has_word(std::string_view text) {
  for (char c : text) {
    if (is_ascii_word(static_cast<unsigned char>(to_lower(c))) || c == '&') return true;
    if (c & 0x80) {
      Words words;
      words.read(text);
      return words.size() > 0;
    }
  }
  return false;
}

uint64_t hash_bytes(std::string_view bytes) {
  constexpr uint64_t kMultiplier = 0x9FB21C651E98DF25ull;
  uint64_t hash = 1469598103934665603ull ^ bytes.size() * 0x9E3779B97F4A7C15ull;
  const char* p = bytes.data();
  size_t n = bytes.size();
  for (; n >= 8; n -= 8, p += 8) {
    uint64_t block;
    std::memcpy(&block, p, 8);
    hash = (hash ^ block) * kMultiplier;
    hash ^= hash >> 29;
  }
  uint64_t rest = 0;
  if (n > 0) std::memcpy(&rest, p, n);
  hash = (hash ^ rest) * kMultiplier;
  return hash ^ hash >> 32;
}

}  // namespace rerec
