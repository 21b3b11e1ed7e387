// Vector instructions, where the compiler knows them; every use has a plain twin with the same result. REREC_PLAIN leaves
// the twins alone, as on other processors.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(REREC_PLAIN)
#include <immintrin.h>
#define REREC_SSE2 1  // part of x86-64
#define REREC_AVX2 __attribute__((target("avx2")))

namespace rerec {

inline bool has_avx2() {
  static const bool has = __builtin_cpu_supports("avx2");
  return has;
}

}  // namespace rerec
#endif
