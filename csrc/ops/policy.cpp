#include "ops/policy.hpp"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <vector>

#include "ops/vector_levels.hpp"

namespace rerec {

namespace {

constexpr double kGrpoStdEps = 1e-6;

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

void policy_tokens(const PolicyTokens& tokens, const PolicyOptions& options, float* gradient, PolicySums& sums) {
  vector_passes().policy(tokens, options, gradient, sums);
}

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
