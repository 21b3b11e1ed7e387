// CMakeLists.txt gives this file the compiler flags of its instruction set.
#include "common/half.hpp"
#include "ops/vector_levels.hpp"

#define REREC_LANES 8
#include "ops/vector_math.inc"

#include "ops/attention_kernels.inc"
#include "ops/logits_kernels.inc"
#include "ops/policy_kernels.inc"

namespace rerec {
const VectorPasses kAvx2Passes{fold, gradient, policy, attend};
}
