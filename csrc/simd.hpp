// Functions compiled for AVX2 too, the processor's best chosen when the module is loaded.
#pragma once

// Sanitizers start after such a choice is made; other compilers and systems do not know it.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define REREC_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define REREC_CLONES
#endif
