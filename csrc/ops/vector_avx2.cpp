// CMakeLists.txt gives this file the compiler flags of its instruction set.
#include "vector_levels.hpp"

#define REREC_LANES 8
#include "vector_math.inc"

#include "attention_kernels.inc"
#include "logits_kernels.inc"
#include "policy_kernels.inc"

namespace rerec {
const VectorPasses kAvx2Passes{fold, gradient, policy, attend};
}
