// Ranking metrics of one answer. Repeats must have been dropped.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "common/hash_index.hpp"

namespace rerec {

inline constexpr int kMostK = 1000;

// discount[i] = 1 / log2(i + 2), ideal[i]: the sum of the first i.
struct Discounts {
  std::array<double, kMostK> discount;
  std::array<double, kMostK + 1> ideal;

  Discounts() {
    ideal[0] = 0;
    for (size_t i = 0; i < kMostK; ++i) {
      discount[i] = 1 / std::log2(static_cast<double>(i) + 2);
      ideal[i + 1] = ideal[i] + discount[i];
    }
  }
  static const Discounts& get() {
    static const Discounts discounts;
    return discounts;
  }
};

struct Ranking {
  double ndcg = 0;       // DCG@K / DCG of min(K, |gt|) hits first; gain 1 / log2(rank + 1)
  double precision = 0;  // hits in the first K / K
  double recall = 0;     // hits in the first K / |gt|
  double hit = 0;        // 1 where the first K hold a hit
  double mrr = 0;        // 1 / rank of the first hit among the first K
};

// items: best first, -1 is a wrong one; truth: ascending, distinct, not empty; k: 1 .. kMostK.
inline Ranking rank(const int32_t* items, size_t count, ItemSpan truth, int k) {
  const Discounts& table = Discounts::get();
  Ranking out;
  const size_t depth = static_cast<size_t>(k), relevant = truth.size();
  double gain = 0;
  size_t hits = 0;
  for (size_t i = 0; i < std::min(count, depth); ++i) {
    if (!contains(truth, items[i])) continue;
    gain += table.discount[i];
    if (hits++ == 0) out.mrr = 1 / (static_cast<double>(i) + 1);
  }
  out.ndcg = gain / table.ideal[std::min(relevant, depth)];
  out.precision = static_cast<double>(hits) / static_cast<double>(depth);
  out.recall = static_cast<double>(hits) / static_cast<double>(relevant);
  out.hit = hits > 0;
  return out;
}

// DCG@K of the ideal order: all `relevant` hits, then the others by their gain; these are sorted here.
inline double ideal_dcg(std::vector<double>& others, size_t relevant, int k) {
  const Discounts& table = Discounts::get();
  const size_t depth = static_cast<size_t>(k), first = std::min(relevant, depth);
  double ideal = table.ideal[first];
  std::sort(others.begin(), others.end(), std::greater<double>());
  for (size_t i = 0; i < others.size() && first + i < depth; ++i) ideal += others[i] * table.discount[first + i];
  return ideal;
}

// NDCG@K of gains, best first: 1 for each hit, and those of the others.
inline double graded_ndcg(const std::vector<double>& gains, std::vector<double>& others, size_t relevant, int k) {
  const Discounts& table = Discounts::get();
  double gain = 0;
  for (size_t i = 0; i < std::min(gains.size(), static_cast<size_t>(k)); ++i) gain += gains[i] * table.discount[i];
  return gain / ideal_dcg(others, relevant, k);
}

// NDCG@K of `count` items against `truths` ground truths; what is negative is padding. A repeat gains nothing.
template <class Id>
double padded_ndcg(const Id* items, size_t count, const Id* truth, size_t truths, int k) {
  const Discounts& table = Discounts::get();
  const size_t depth = std::min(count, static_cast<size_t>(k));
  double gain = 0;
  size_t relevant = 0;
  for (size_t t = 0; t < truths; ++t) {
    if (truth[t] < 0) continue;
    ++relevant;
    size_t place = depth;
    for (size_t i = depth; i-- > 0;) place = items[i] == truth[t] ? i : place;  // no branch to guess
    if (place < depth) gain += table.discount[place];
  }
  return relevant == 0 ? 0 : gain / table.ideal[std::min(relevant, static_cast<size_t>(k))];
}

}  // namespace rerec
