#include "ops/logits.hpp"

#include <cmath>
#include <limits>

#include "ops/vector_levels.hpp"

namespace rerec {

namespace {

constexpr double kLn2 = 0.693147180559945309417;

}  // namespace

void fold_logits(const LogitTile& tile, SoftmaxState state, float* picked) { vector_passes().fold(tile, state, picked); }

void logit_gradient(const LogitTile& tile, const GradientRows& rows) { vector_passes().gradient(tile, rows); }

void merge_softmax(const std::vector<SoftmaxState>& shares, size_t rows, const float* picked, double scale, float* logp,
                   float* entropy, float* lse) {
  for (size_t i = 0; i < rows; ++i) {
    double top = -std::numeric_limits<double>::infinity(), total = 0, dot = 0;
    for (const SoftmaxState& share : shares) {
      if (!(share.top[i] <= top)) top = share.top[i];
    }
    for (const SoftmaxState& share : shares) {
      if (share.total[i] == 0) continue;
      const double moved = (share.top[i] - top) * scale, factor = std::exp2(moved);
      total += factor * share.total[i];
      dot += factor * (share.dot[i] + share.total[i] * moved);
    }
    const double log_total = std::log2(total);
    logp[i] = static_cast<float>(((picked[i] - top) * scale - log_total) * kLn2);
    lse[i] = static_cast<float>((top * scale + log_total) * kLn2);
    entropy[i] = static_cast<float>((log_total - dot / total) * kLn2);
  }
}

}  // namespace rerec
