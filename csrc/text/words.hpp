// UTF-8 and normalised words. Specification: rerec_engine/graph/titles.py (`words`, `normalise`).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rerec {

inline bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_ascii_alnum(char c) {
  return is_digit(c) || (static_cast<char>(c | 0x20) >= 'a' && static_cast<char>(c | 0x20) <= 'z');
}
inline char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::string_view trim(std::string_view text);

struct Word {
  uint32_t begin, end;  // bytes of Words::text
  uint32_t stem_end;    // end without a possessive 's
  bool upper;           // begins with a capital
  bool year;            // is a bracketed year
};

// The normalised words of a text, joined by one space in `text`; buffers are reused.
struct Words {
  std::string text;
  std::vector<Word> list;

  // Stops after `most` words.
  void read(std::string_view source, size_t most = ~size_t{0});
  std::string_view operator[](size_t i) const { return view(list[i].begin, list[i].end); }
  std::string_view stem(size_t i) const { return view(list[i].begin, list[i].stem_end); }
  size_t size() const { return list.size(); }

 private:
  std::string_view view(uint32_t begin, uint32_t end) const { return {text.data() + begin, end - begin}; }
};

std::string normalise(std::string_view text);
bool has_word(std::string_view text);

uint64_t hash_bytes(std::string_view bytes);

}  // namespace rerec
