// The policy objective of GRPO token by token, and advantages from segments; see rerec_engine/ops for the formulas.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rerec {

enum class Kl { kK1, kK2, kK3 };

struct PolicyOptions {
  double clip_low, clip_high, beta, entropy_coef;
  Kl kl;
};

// Live tokens alone; null where there is none.
struct PolicyTokens {
  size_t count;
  const float *logp, *old, *adv, *weight;
  const float* ref;
  const float* log_ratio;  // of the token's response (GSPO), else the token's own
  const float* entropy;
};

// Sums over tokens, but for the two maxima; log_ratio is that of magnitudes.
struct PolicySums {
  double loss, clipped, ratio, ratio_square, ratio_max, log_ratio, log_ratio_max, approx_kl, kl, entropy;
};

// Adds to sums; gradient[i] = d loss / d logp[i].
void policy_tokens(const PolicyTokens& tokens, const PolicyOptions& options, float* gradient, PolicySums& sums);

enum class Estimator { kRaae, kGrpo, kDrGrpo, kRloo };

struct Segments {
  size_t count, responses;
  const int64_t *lengths, *cu_segments, *group;  // [count], [responses + 1], [responses]
  const uint8_t* penalised;                      // [count]
  const float* rewards;                          // [responses]
};

// Advantage of every segment, [count].
void segment_advantage(const Segments& segments, double w_penalty, Estimator estimator, float* advantages);

// Each value lengths[i] times.
template <class T>
void repeat(const T* values, const int64_t* lengths, size_t count, T* out) {
  for (size_t i = 0; i < count; ++i) {
    for (int64_t j = 0; j < lengths[i]; ++j) *out++ = values[i];
  }
}

}  // namespace rerec
