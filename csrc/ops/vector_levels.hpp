// One set of passes for each instruction set, of which the processor chooses one.
#pragma once

#include <string>
#include <vector>

#include "ops/attention.hpp"
#include "ops/logits.hpp"
#include "ops/policy.hpp"

namespace rerec {

struct VectorPasses {
  void (*fold)(const LogitTile&, SoftmaxState, float*);
  void (*gradient)(const LogitTile&, const GradientRows&);
  void (*policy)(const PolicyTokens&, const PolicyOptions&, float*, PolicySums&);
  void (*attend)(const AttentionTask&);
};

extern const VectorPasses kAvx512Passes, kAvx2Passes, kPlainPasses;

// Those in use.
const VectorPasses& vector_passes();

// "avx512", "avx2" and "plain": those that this processor runs, best first. The first is used.
std::vector<std::string> vector_levels();

// Uses that level from now on; false where the processor does not run it.
bool set_vector_level(const std::string& level);

}  // namespace rerec
