// Searches for single bytes, sixteen at a time where SSE2 is there.
#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>

#include "common/simd.hpp"

namespace rerec {

// The first of the given bytes in [p, end), or end.
template <char... bytes>
inline const char* find_any(const char* p, const char* end) {
  if constexpr (sizeof...(bytes) == 1) {
    const void* found = p < end ? std::memchr(p, (bytes, ...), static_cast<size_t>(end - p)) : nullptr;
    return found != nullptr ? static_cast<const char*>(found) : end;
  }
#if defined(REREC_SSE2)
  for (; end - p >= 16; p += 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    __m128i found = _mm_setzero_si128();
    ((found = _mm_or_si128(found, _mm_cmpeq_epi8(block, _mm_set1_epi8(bytes)))), ...);
    const int mask = _mm_movemask_epi8(found);
    if (mask != 0) return p + __builtin_ctz(static_cast<unsigned>(mask));
  }
#endif
  for (; p < end; ++p) {
    if (((*p == bytes) || ...)) return p;
  }
  return end;
}

// Its place in text from `from` on, or npos.
template <char... bytes>
inline size_t find_any(std::string_view text, size_t from = 0) {
  if (from >= text.size()) return std::string_view::npos;
  const char* end = text.data() + text.size();
  const char* found = find_any<bytes...>(text.data() + from, end);
  return found == end ? std::string_view::npos : static_cast<size_t>(found - text.data());
}

}  // namespace rerec
