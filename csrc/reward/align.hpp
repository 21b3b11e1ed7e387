// How close a recommended item comes to the ground truth: attributes (QAS) and embeddings (PAS).
#pragma once

#include <cstdint>
#include <vector>

#include "common/hash_index.hpp"

namespace rerec {

enum class QasMode { kShared, kMax, kMean };

// Arrays that the caller keeps alive; they may be memory-mapped.
struct ItemTables {
  const int64_t* attribute_ptr = nullptr;  // [N + 1]
  const int32_t* attributes = nullptr;     // ascending within an item
  const float* embeddings = nullptr;       // [N, width], unit rows
  int64_t width = 0;
  size_t items = 0;                          // N
  const float* attribute_weights = nullptr;  // [A]; null: each counts 1
  const float* mean_embedding = nullptr;     // [width], of all items; null: not asked for

  ItemSpan attributes_of(int32_t item) const {
    const int64_t* ptr = attribute_ptr + item;
    return {attributes + ptr[0], attributes + ptr[1]};
  }
  const float* embedding(int64_t item) const { return embeddings + item * width; }
};

// The weight of attrs(item) in attrs(gt) over that of attrs(gt), where attrs(gt) is what all ground truths share, or the
// max / mean over them. 0 for an unknown item (-1) and for a ground truth without attributes. buffer: of any content.
double qas(const ItemTables& tables, int32_t item, ItemSpan truth, QasMode mode, std::vector<int32_t>& buffer);

// Dot product of the unit rows; several ground truths: the max in mode kMax, else the mean. 0 for an unknown item.
double pas(const ItemTables& tables, int32_t item, ItemSpan truth, QasMode mode);

// pas minus its mean over the candidates, or over all items where there are none.
double centred_pas(const ItemTables& tables, int32_t item, ItemSpan truth, QasMode mode, ItemSpan candidates,
                   std::vector<int32_t>& buffer);

// out[i]: QAS (PAS) of items[i] for the single ground truth truths[i]; an item of -1 scores 0.
template <class Id>
void qas_pairs(const ItemTables& tables, const Id* items, const Id* truths, size_t count, int threads, float* out);
template <class Id>
void pas_pairs(const ItemTables& tables, const Id* items, const Id* truths, size_t count, int threads, float* out);

}  // namespace rerec
