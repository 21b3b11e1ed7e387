// Code points of UTF-8 text, and what they are in words. Specification: rerec_engine/graph/titles.py.
#pragma once

#include <cstdint>

namespace rerec {

// A character without accent, case and compatibility form.
struct Fold {
  uint32_t code;
  bool upper;
  const char* text;
};

inline constexpr uint32_t kInvalid = 0xFFFD;

// One code point; an invalid byte is U+FFFD on its own, as Python's "replace" leaves the words around it.
inline uint32_t decode(const unsigned char*& p, const unsigned char* end) {
  const uint32_t lead = *p++;
  if (lead < 0x80) return lead;
  const int extra = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
  if (lead < 0xC2 || lead > 0xF4 || end - p < extra) return kInvalid;
  uint32_t code = lead & (0x3F >> extra);
  for (int i = 0; i < extra; ++i) {
    if ((p[i] & 0xC0) != 0x80) return kInvalid;
    code = code << 6 | (p[i] & 0x3F);
  }
  constexpr uint32_t kSmallest[] = {0, 0x80, 0x800, 0x10000};
  if (code < kSmallest[extra] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return kInvalid;
  p += extra;
  return code;
}

bool is_apostrophe(uint32_t code);
bool is_ignored(uint32_t code);
bool is_break(uint32_t code);
// nullptr: it stays as it is.
const Fold* find_fold(uint32_t code);

}  // namespace rerec
