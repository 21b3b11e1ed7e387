// Storing numbers as bf16, the upper half of a float. A copy for each file: some are compiled for newer processors.
#pragma once

#include <cstdint>

namespace rerec {

namespace {

inline void put(float* at, float x) { *at = x; }

// Rounded to the nearest, ties to even.
inline void put(uint16_t* at, float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  *at = static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

}  // namespace

}  // namespace rerec
