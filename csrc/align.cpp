#include "align.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "parallel.hpp"
#include "simd.hpp"

namespace rerec {
namespace {

// Up to this many comparisons, all pairs cost less than a merge whose branches nobody can predict.
constexpr size_t kAllPairs = 1024;
constexpr size_t kAhead = 8;  // pairs between a prefetch and its use

size_t common_by_merge(ItemSpan a, ItemSpan b) {
  size_t count = 0;
  const int32_t *x = a.begin(), *y = b.begin();
  while (x != a.end() && y != b.end()) {
    const int32_t left = *x, right = *y;
    count += left == right;
    x += left <= right;
    y += right <= left;
  }
  return count;
}

REREC_CLONES size_t common_by_pairs(const int32_t* a, size_t a_size, const int32_t* b, size_t b_size) {
  int32_t count = 0;
  for (size_t i = 0; i < a_size; ++i) {
    const int32_t value = a[i];
    for (size_t j = 0; j < b_size; ++j) count += value == b[j];
  }
  return static_cast<size_t>(count);
}

// The number of equal elements of two ascending lists without repeats.
size_t common(ItemSpan a, ItemSpan b) {
  if (a.size() * b.size() > kAllPairs) return common_by_merge(a, b);
  return a.size() < b.size() ? common_by_pairs(a.begin(), a.size(), b.begin(), b.size())
                             : common_by_pairs(b.begin(), b.size(), a.begin(), a.size());
}

double weight_of(ItemSpan attributes, const float* weights) {
  double sum = 0;
  for (int32_t attribute : attributes) sum += weights[attribute];
  return sum;
}

double common_weight(ItemSpan a, ItemSpan b, const float* weights) {
  double sum = 0;
  const int32_t *x = a.begin(), *y = b.begin();
  while (x != a.end() && y != b.end()) {
    const int32_t left = *x, right = *y;
    if (left == right) sum += weights[left];
    x += left <= right;
    y += right <= left;
  }
  return sum;
}

double share(const ItemTables& tables, ItemSpan item, ItemSpan wanted) {
  if (wanted.empty()) return 0;
  const float* weights = tables.attribute_weights;
  if (weights == nullptr) return static_cast<double>(common(item, wanted)) / static_cast<double>(wanted.size());
  const double all = weight_of(wanted, weights);
  return all > 0 ? common_weight(item, wanted, weights) / all : 0;
}

double shared_by_all(const ItemTables& tables, int32_t item, ItemSpan truth, std::vector<int32_t>& shared) {
  const ItemSpan first = tables.attributes_of(*truth.begin());
  shared.assign(first.begin(), first.end());
  for (const int32_t* other = truth.begin() + 1; other != truth.end(); ++other) {
    const ItemSpan wanted = tables.attributes_of(*other);
    // Written over what has been read already.
    shared.erase(std::set_intersection(shared.begin(), shared.end(), wanted.begin(), wanted.end(), shared.begin()),
                 shared.end());
  }
  return share(tables, tables.attributes_of(item), {shared.data(), shared.data() + shared.size()});
}

// The max or mean of f over the ground truths.
template <class F>
double over(ItemSpan truth, bool take_max, F f) {
  double most = f(*truth.begin()), sum = 0;
  for (int32_t item : truth) {
    const double value = f(item);
    most = std::max(most, value);
    sum += value;
  }
  return take_max ? most : sum / static_cast<double>(truth.size());
}

// Sixteen partial sums in a fixed order: the same result on every processor.
REREC_CLONES float dot(const float* a, const float* b, int64_t width) {
  constexpr int64_t kLanes = 16;
  float sums[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  for (int64_t lane = 0; i < width; ++i, ++lane) sums[lane] += a[i] * b[i];
  for (int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (int64_t lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
  }
  return sums[0];
}

double mean_pas(const ItemTables& tables, ItemSpan candidates, int32_t truth) {
  const float* wanted = tables.embedding(truth);
  if (candidates.empty()) return dot(tables.mean_embedding, wanted, tables.width);
  double sum = 0;
  for (int32_t candidate : candidates) sum += dot(tables.embedding(candidate), wanted, tables.width);
  return sum / static_cast<double>(candidates.size());
}

void prefetch_row(const float* row, int64_t width) {
  constexpr int64_t kLine = 64 / sizeof(float);
  for (int64_t i = 0; i < std::min<int64_t>(width, 8 * kLine); i += kLine) __builtin_prefetch(row + i);
}

}  // namespace

double qas(const ItemTables& tables, int32_t item, ItemSpan truth, QasMode mode, std::vector<int32_t>& buffer) {
  if (item < 0) return 0;
  const ItemSpan own = tables.attributes_of(item);
  if (truth.size() == 1) return share(tables, own, tables.attributes_of(*truth.begin()));
  if (mode == QasMode::kShared) return shared_by_all(tables, item, truth, buffer);
  return over(truth, mode == QasMode::kMax, [&](int32_t gt) { return share(tables, own, tables.attributes_of(gt)); });
}

double pas(const ItemTables& tables, int32_t item, ItemSpan truth, QasMode mode) {
  if (item < 0) return 0;
  const float* own = tables.embedding(item);
  return over(truth, mode == QasMode::kMax,
              [&](int32_t gt) { return static_cast<double>(dot(own, tables.embedding(gt), tables.width)); });
}

double centred_pas(const ItemTables& tables, int32_t item, ItemSpan truth, QasMode mode, ItemSpan candidates) {
  if (item < 0) return 0;
  const float* own = tables.embedding(item);
  return over(truth, mode == QasMode::kMax, [&](int32_t gt) {
    return dot(own, tables.embedding(gt), tables.width) - mean_pas(tables, candidates, gt);
  });
}

template <class Id>
void qas_pairs(const ItemTables& tables, const Id* items, const Id* truths, size_t count, int threads, float* out) {
  parallel_for(count, threads, [&](ChunkQueue& queue) {
    for (size_t begin, end; queue.next(begin, end);) {
      for (size_t i = begin; i < end; ++i) {
        if (i + 2 * kAhead < count) {
          const size_t far = i + 2 * kAhead, near = i + kAhead;
          __builtin_prefetch(tables.attribute_ptr + std::max<Id>(items[far], 0));
          __builtin_prefetch(tables.attribute_ptr + truths[far]);
          __builtin_prefetch(tables.attributes + tables.attribute_ptr[std::max<Id>(items[near], 0)]);
          __builtin_prefetch(tables.attributes + tables.attribute_ptr[truths[near]]);
        }
        const int32_t item = static_cast<int32_t>(items[i]), truth = static_cast<int32_t>(truths[i]);
        out[i] = item < 0 ? 0.f
                          : static_cast<float>(share(tables, tables.attributes_of(item), tables.attributes_of(truth)));
      }
    }
  });
}

template <class Id>
void pas_pairs(const ItemTables& tables, const Id* items, const Id* truths, size_t count, int threads, float* out) {
  parallel_for(count, threads, [&](ChunkQueue& queue) {
    for (size_t begin, end; queue.next(begin, end);) {
      for (size_t i = begin; i < end; ++i) {
        if (i + kAhead < count) {
          prefetch_row(tables.embedding(std::max<Id>(items[i + kAhead], 0)), tables.width);
          prefetch_row(tables.embedding(truths[i + kAhead]), tables.width);
        }
        out[i] = items[i] < 0 ? 0.f : dot(tables.embedding(items[i]), tables.embedding(truths[i]), tables.width);
      }
    }
  });
}

template void qas_pairs(const ItemTables&, const int32_t*, const int32_t*, size_t, int, float*);
template void qas_pairs(const ItemTables&, const int64_t*, const int64_t*, size_t, int, float*);
template void pas_pairs(const ItemTables&, const int32_t*, const int32_t*, size_t, int, float*);
template void pas_pairs(const ItemTables&, const int64_t*, const int64_t*, size_t, int, float*);

}  // namespace rerec
