// AVX2 where the compiler knows it and the processor has it; every use has a plain twin with the same result.
#pragma once

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include <immintrin.h>
#define REREC_AVX2 __attribute__((target("avx2")))

namespace rerec {

inline bool has_avx2() {
  static const bool has = __builtin_cpu_supports("avx2");
  return has;
}

}  // namespace rerec
#endif
