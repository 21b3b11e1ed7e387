// CMakeLists.txt gives this file the compiler flags of its instruction set.
#include "common/half.hpp"
#include "ops/vector_levels.hpp"

#define REREC_LANES 16  // the compiler cuts them to what there is, and the code of avx512 runs everywhere
#include "ops/vector_math.inc"

#include "ops/attention_kernels.inc"
#include "ops/logits_kernels.inc"
#include "ops/policy_kernels.inc"

namespace rerec {
const VectorPasses kPlainPasses{fold, gradient, policy, attend};
}
