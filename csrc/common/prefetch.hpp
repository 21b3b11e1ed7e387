// Asks for memory ahead of its use.
#pragma once

#include <cstddef>

namespace rerec {

inline constexpr size_t kCacheLine = 64;
inline constexpr size_t kMostPrefetched = 4096;  // bytes

// Always inlined: GCC takes a call that does nothing but prefetch for one without effect, and drops it.
__attribute__((always_inline)) inline void prefetch_lines(const void* begin, size_t bytes) {
  const char* p = static_cast<const char*>(begin);
  if (bytes > kMostPrefetched) bytes = kMostPrefetched;
  for (size_t at = 0; at < bytes; at += kCacheLine) __builtin_prefetch(p + at);
}

}  // namespace rerec
