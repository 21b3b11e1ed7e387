// Ranking metrics of one answer, binary gains. Repeats must have been dropped.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "hash_index.hpp"

namespace rerec {

struct Ranking {
  double ndcg = 0;       // DCG@K / DCG of min(K, |gt|) hits first; gain 1 / log2(rank + 1)
  double precision = 0;  // hits in the first K / K
  double recall = 0;     // hits in the first K / |gt|
  double hit = 0;        // 1 where the first K hold a hit
  double mrr = 0;        // 1 / rank of the first hit among the first K
};

// items: best first, -1 is a wrong one; truth: ascending, distinct, not empty.
inline Ranking rank(const int32_t* items, size_t count, ItemSpan truth, int k) {
  Ranking out;
  const size_t depth = static_cast<size_t>(k), relevant = static_cast<size_t>(truth.end() - truth.begin());
  double gain = 0, ideal = 0;
  size_t hits = 0;
  for (size_t i = 0; i < std::min(count, depth); ++i) {
    if (!std::binary_search(truth.begin(), truth.end(), items[i])) continue;
    gain += 1 / std::log2(static_cast<double>(i) + 2);
    if (hits++ == 0) out.mrr = 1 / (static_cast<double>(i) + 1);
  }
  for (size_t i = 0; i < std::min(relevant, depth); ++i) ideal += 1 / std::log2(static_cast<double>(i) + 2);
  out.ndcg = gain / ideal;
  out.precision = static_cast<double>(hits) / static_cast<double>(depth);
  out.recall = static_cast<double>(hits) / static_cast<double>(relevant);
  out.hit = hits > 0;
  return out;
}

}  // namespace rerec
