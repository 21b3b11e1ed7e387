// CMakeLists.txt gives this file the compiler flags of its instruction set.
#include "logits_levels.hpp"

#define REREC_LANES 4
#include "logits_kernels.inc"

namespace rerec {
const LogitPasses kPlainPasses{fold, gradient};
}
