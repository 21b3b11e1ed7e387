// CMakeLists.txt gives this file the compiler flags of its instruction set.
#include "logits_levels.hpp"

#define REREC_LANES 16  // the compiler cuts them to what there is, and the code of avx512 runs everywhere
#include "logits_kernels.inc"

namespace rerec {
const LogitPasses kPlainPasses{fold, gradient};
}
