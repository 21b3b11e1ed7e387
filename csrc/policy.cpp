#include "policy.hpp"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <vector>

namespace rerec {

namespace {

constexpr double kLogRatioLimit = 20, kGrpoStdEps = 1e-6;

// Comparisons with a NaN are false: each of these lets one through.
double clamp(double x, double low, double high) { return x < low ? low : x > high ? high : x; }
void raise_to(double& top, double x) {
  if (!(x <= top)) top = x;
}

// e^x - x - 1 and its derivative e^x - 1, exact also where x is small.
struct K3 {
  double value, slope;
};
K3 k3(double x) {
  const double slope = std::expm1(x);
  if (!(std::fabs(x) < 0.03125)) return {slope - x, slope};
  return {x * x * (1 / 2. + x * (1 / 6. + x * (1 / 24. + x * (1 / 120. + x * (1 / 720. + x / 5040))))), slope};
}

double kl_of(Kl kind, double x, const K3& third, double& slope) {
  switch (kind) {
    case Kl::kK1: slope = -1; return -x;
    case Kl::kK2: slope = x; return x * x / 2;
    case Kl::kK3: break;
  }
  slope = third.slope;
  return third.value;
}

}  // namespace

void policy_tokens(const PolicyTokens& tokens, const PolicyOptions& options, float* gradient, PolicySums& sums) {
  const double low = 1 - options.clip_low, high = 1 + options.clip_high;
  for (size_t i = 0; i < tokens.count; ++i) {
    const double own = static_cast<double>(tokens.logp[i]) - tokens.old[i];
    const double log_ratio = tokens.log_ratio ? tokens.log_ratio[i] : own;
    const double held = clamp(log_ratio, -kLogRatioLimit, kLogRatioLimit);
    const double own_held = clamp(own, -kLogRatioLimit, kLogRatioLimit);
    const K3 approx = k3(own_held);
    const double ratio = tokens.log_ratio ? std::exp(held) : approx.slope + 1;
    const double free = ratio * tokens.adv[i], clipped = clamp(ratio, low, high) * tokens.adv[i];
    const bool takes_clip = clipped < free;
    double loss = takes_clip ? -clipped : -free;
    double slope = takes_clip || held != log_ratio ? 0 : -free;
    if (tokens.ref) {
      const double x = static_cast<double>(tokens.ref[i]) - tokens.logp[i];
      const double x_held = clamp(x, -kLogRatioLimit, kLogRatioLimit);
      const K3 third = k3(x_held);
      sums.kl += third.value;
      if (options.beta != 0) {
        double kl_slope;
        loss += options.beta * kl_of(options.kl, x_held, third, kl_slope);
        if (x_held == x) slope -= options.beta * kl_slope;
      }
    }
    if (tokens.entropy) {
      sums.entropy += tokens.entropy[i];
      if (options.entropy_coef != 0) loss -= options.entropy_coef * tokens.entropy[i];
    }
    gradient[i] = static_cast<float>(slope * tokens.weight[i]);
    sums.loss += loss * tokens.weight[i];
    sums.clipped += takes_clip;
    sums.ratio += ratio;
    raise_to(sums.ratio_max, ratio);
    raise_to(sums.log_ratio_max, std::fabs(own));
    sums.approx_kl += approx.value;
  }
}

namespace {

// Weighted statistics of a group, in two passes.
struct Group {
  double count = 0, total = 0, squares = 0;
  double low = INFINITY, high = -INFINITY;

  void add(double value, double weight) {
    count += weight;
    total += weight * value;
    if (weight > 0) {
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  double mean() const { return total / std::max(count, 1.); }
  void add_square(double value, double weight) { squares += weight * (value - mean()) * (value - mean()); }
  bool varies() const { return high > low; }

  double advantage(double value, Estimator estimator) const {
    const double deviation = value - mean(), others = std::max(count - 1, 1.);
    if (!varies()) return 0;
    switch (estimator) {
      case Estimator::kRaae: break;
      case Estimator::kGrpo: return deviation / (std::sqrt(squares / others) + kGrpoStdEps);
      case Estimator::kDrGrpo: return deviation;
      case Estimator::kRloo: return deviation * (count / others);
    }
    return squares > 0 ? deviation / std::sqrt(squares / count) : 0;
  }
};

// Calls body(group, value, weight, first segment, last segment) for each value that the statistics are made of.
template <class Body>
void for_values(const Segments& s, const std::vector<size_t>& dense, double w_penalty, Estimator estimator, Body body) {
  for (size_t i = 0; i < s.responses; ++i) {
    const auto begin = static_cast<size_t>(s.cu_segments[i]), end = static_cast<size_t>(s.cu_segments[i + 1]);
    const double reward = s.rewards[i];
    if (estimator != Estimator::kRaae) {
      body(dense[i], reward, 1., begin, end);
      continue;
    }
    const double penalised = reward - w_penalty * std::fabs(reward);
    for (size_t j = begin; j < end; ++j) {
      body(dense[i], s.penalised[j] ? penalised : reward, static_cast<double>(s.lengths[j]), j, j + 1);
    }
  }
}

}  // namespace

void segment_advantage(const Segments& s, double w_penalty, Estimator estimator, float* advantages) {
  std::vector<size_t> dense(s.responses);  // groups numbered from 0; ids may be any
  std::unordered_map<int64_t, size_t> known;
  for (size_t i = 0; i < s.responses; ++i) {
    dense[i] = i > 0 && s.group[i] == s.group[i - 1] ? dense[i - 1] : known.try_emplace(s.group[i], known.size()).first->second;
  }
  std::vector<Group> groups(known.size());
  const auto each = [&](auto body) { for_values(s, dense, w_penalty, estimator, body); };
  each([&](size_t g, double value, double weight, size_t, size_t) { groups[g].add(value, weight); });
  each([&](size_t g, double value, double weight, size_t, size_t) { groups[g].add_square(value, weight); });
  each([&](size_t g, double value, double, size_t begin, size_t end) {
    std::fill(advantages + begin, advantages + end, static_cast<float>(groups[g].advantage(value, estimator)));
  });
}

}  // namespace rerec
