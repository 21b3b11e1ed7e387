// CMakeLists.txt gives this file the compiler flags of its instruction set.
#include "logits_levels.hpp"

#define REREC_LANES 8
#include "logits_kernels.inc"

namespace rerec {
const LogitPasses kAvx2Passes{fold, gradient};
}
