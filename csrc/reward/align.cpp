#include "reward/align.hpp"

#include <algorithm>

#include "common/parallel.hpp"
#include "common/prefetch.hpp"
#include "common/simd.hpp"

namespace rerec {
namespace {

constexpr size_t kAhead = 8;  // pairs between a prefetch and its use

// Calls f for each element that two ascending lists without repeats share.
template <class F>
void for_common(ItemSpan a, ItemSpan b, F f) {
  const int32_t *x = a.begin(), *y = b.begin();
  while (x != a.end() && y != b.end()) {
    const int32_t left = *x, right = *y;
    if (left == right) f(left);
    x += left <= right;
    y += right <= left;
  }
}

#if defined(REREC_AVX2)
// Up to this many elements of each list, all pairs cost less than a merge whose branches nobody can predict.
constexpr size_t kAllPairs = 32;
constexpr size_t kLanes = 8;

// b's elements of lanes that it has, -1 in the others.
REREC_AVX2 __m256i load_some(const int32_t* b, size_t size) {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i there = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(std::min(size, kLanes))), lanes);
  const __m256i missing = _mm256_xor_si256(there, _mm256_set1_epi32(-1));
  return _mm256_or_si256(_mm256_maskload_epi32(b, there), missing);
}

REREC_AVX2 size_t common_by_pairs(ItemSpan a, ItemSpan b) {
  __m256i counts = _mm256_setzero_si256();
  for (const int32_t* part = b.begin(); part < b.end(); part += 2 * kLanes) {
    const size_t left = static_cast<size_t>(b.end() - part);
    const __m256i low = load_some(part, left);
    const __m256i high = left > kLanes ? load_some(part + kLanes, left - kLanes) : _mm256_set1_epi32(-1);
    for (int32_t value : a) {
      const __m256i wanted = _mm256_set1_epi32(value);
      counts = _mm256_sub_epi32(counts, _mm256_add_epi32(_mm256_cmpeq_epi32(low, wanted), _mm256_cmpeq_epi32(high, wanted)));
    }
  }
  alignas(32) int32_t lanes[kLanes];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), counts);
  int32_t sum = 0;
  for (int32_t lane : lanes) sum += lane;
  return static_cast<size_t>(sum);
}
#endif

// The number of equal elements of two ascending lists without repeats.
size_t common(ItemSpan a, ItemSpan b) {
#if defined(REREC_AVX2)
  if (has_avx2() && a.size() <= kAllPairs && b.size() <= kAllPairs) return common_by_pairs(a, b);
#endif
  size_t count = 0;
  for_common(a, b, [&](int32_t) { ++count; });
  return count;
}

double weight_of(ItemSpan attributes, const float* weights) {
  double sum = 0;
  for (int32_t attribute : attributes) sum += weights[attribute];
  return sum;
}

double share(const ItemTables& tables, ItemSpan item, ItemSpan wanted) {
  if (wanted.empty()) return 0;
  const float* weights = tables.attribute_weights;
  if (weights == nullptr) return static_cast<double>(common(item, wanted)) / static_cast<double>(wanted.size());
  const double all = weight_of(wanted, weights);
  double common = 0;
  for_common(item, wanted, [&](int32_t attribute) { common += weights[attribute]; });
  return all > 0 ? common / all : 0;
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
constexpr int64_t kSums = 16;

float add_up(float (&sums)[kSums]) {
  for (int64_t half = kSums / 2; half > 0; half /= 2) {
    for (int64_t lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
  }
  return sums[0];
}

float dot_by_lanes(const float* a, const float* b, int64_t width) {
  float sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= width; i += kSums) {
    for (int64_t lane = 0; lane < kSums; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  for (int64_t lane = 0; i < width; ++i, ++lane) sums[lane] += a[i] * b[i];
  return add_up(sums);
}

#if defined(REREC_AVX2)
REREC_AVX2 inline float dot_avx2(const float* a, const float* b, int64_t width) {
  __m256 low = _mm256_setzero_ps(), high = _mm256_setzero_ps();
  int64_t i = 0;
  for (; i + kSums <= width; i += kSums) {
    low = _mm256_add_ps(low, _mm256_mul_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i)));
    high = _mm256_add_ps(high, _mm256_mul_ps(_mm256_loadu_ps(a + i + 8), _mm256_loadu_ps(b + i + 8)));
  }
  if (i < width) {
    float sums[kSums];
    _mm256_storeu_ps(sums, low);
    _mm256_storeu_ps(sums + 8, high);
    for (int64_t lane = 0; i < width; ++i, ++lane) sums[lane] += a[i] * b[i];
    return add_up(sums);
  }
  low = _mm256_add_ps(low, high);
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(low), _mm256_extractf128_ps(low, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_shuffle_ps(four, four, 1)));
}
#endif

float dot(const float* a, const float* b, int64_t width) {
#if defined(REREC_AVX2)
  if (has_avx2()) return dot_avx2(a, b, width);
#endif
  return dot_by_lanes(a, b, width);
}

double mean_pas(const ItemTables& tables, const std::vector<int32_t>& candidates, int32_t truth) {
  const float* wanted = tables.embedding(truth);
  if (candidates.empty()) return dot(tables.mean_embedding, wanted, tables.width);
  double sum = 0;
  for (int32_t candidate : candidates) sum += dot(tables.embedding(candidate), wanted, tables.width);
  return sum / static_cast<double>(candidates.size());
}

}  // namespace

double qas(const ItemTables& tables, int32_t item, ItemSpan truth, QasMode mode, std::vector<int32_t>& buffer) {
  if (item < 0) return 0;
  const ItemSpan own = tables.attributes_of(item);
  if (truth.size() == 1 && *truth.begin() == item && tables.attribute_weights == nullptr) return own.empty() ? 0 : 1;
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

double centred_pas(const ItemTables& tables, int32_t item, ItemSpan truth, QasMode mode, ItemSpan candidates,
                   std::vector<int32_t>& buffer) {
  if (item < 0) return 0;
  buffer.assign(candidates.begin(), candidates.end());
  std::sort(buffer.begin(), buffer.end());
  buffer.erase(std::unique(buffer.begin(), buffer.end()), buffer.end());
  const float* own = tables.embedding(item);
  return over(truth, mode == QasMode::kMax, [&](int32_t gt) {
    return dot(own, tables.embedding(gt), tables.width) - mean_pas(tables, buffer, gt);
  });
}

namespace {

template <class Id>
void pas_block(const ItemTables& tables, const Id* items, const Id* truths, size_t begin, size_t end, float* out) {
  for (size_t i = begin; i < end; ++i) {
    out[i] = items[i] < 0 ? 0.f : dot_by_lanes(tables.embedding(items[i]), tables.embedding(truths[i]), tables.width);
  }
}

#if defined(REREC_AVX2)
// Rows of a small table are in the cache: asking for them costs more than they do.
bool worth_asking_for(const ItemTables& tables) {
  constexpr size_t kCached = size_t{4} << 20;
  return tables.items * static_cast<size_t>(tables.width) * sizeof(float) > kCached;
}

template <class Id>
REREC_AVX2 void pas_block_avx2(const ItemTables& tables, const Id* items, const Id* truths, size_t begin, size_t end,
                               bool ask, float* out) {
  const size_t row = static_cast<size_t>(tables.width) * sizeof(float);
  for (size_t i = begin; i < end; ++i) {
    if (ask && i + kAhead < end) {
      prefetch_lines(tables.embedding(std::max<Id>(items[i + kAhead], 0)), row);
      prefetch_lines(tables.embedding(truths[i + kAhead]), row);
    }
    out[i] = items[i] < 0 ? 0.f : dot_avx2(tables.embedding(items[i]), tables.embedding(truths[i]), tables.width);
  }
}
#endif

}  // namespace

template <class Id>
void qas_pairs(const ItemTables& tables, const Id* items, const Id* truths, size_t count, int threads, float* out) {
  for_blocks(count, threads, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      if (i + 2 * kAhead < end) {
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
  });
}

template <class Id>
void pas_pairs(const ItemTables& tables, const Id* items, const Id* truths, size_t count, int threads, float* out) {
#if defined(REREC_AVX2)
  if (has_avx2()) {
    const bool ask = worth_asking_for(tables);
    for_blocks(count, threads, [&](size_t begin, size_t end) {
      pas_block_avx2(tables, items, truths, begin, end, ask, out);
    });
    return;
  }
#endif
  for_blocks(count, threads,
             [&](size_t begin, size_t end) { pas_block(tables, items, truths, begin, end, out); });
}

template void qas_pairs(const ItemTables&, const int32_t*, const int32_t*, size_t, int, float*);
template void qas_pairs(const ItemTables&, const int64_t*, const int64_t*, size_t, int, float*);
template void pas_pairs(const ItemTables&, const int32_t*, const int32_t*, size_t, int, float*);
template void pas_pairs(const ItemTables&, const int64_t*, const int64_t*, size_t, int, float*);

}  // namespace rerec
