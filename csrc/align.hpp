// How close a recommended item comes to the ground truth: attributes (QAS) and embeddings (PAS).
#pragma once

#include <cstdint>

#include "hash_index.hpp"

namespace rerec {

enum class QasMode { kShared, kMax, kMean };

// Arrays that the caller keeps alive; the file may be memory-mapped.
struct ItemTables {
  const int64_t* attribute_ptr = nullptr;  // [N + 1]
  const int32_t* attributes = nullptr;     // ascending within an item
  const float* embeddings = nullptr;       // [N, width], unit rows
  int64_t width = 0;
};

// |attrs(item) in attrs(gt)| / |attrs(gt)|, where attrs(gt) is what all ground truths share, or the max / mean over
// them. 0 for an unknown item (-1) and for a ground truth without attributes.
double qas(const ItemTables& tables, int32_t item, ItemSpan truth, QasMode mode);

// Dot product of the unit rows; several ground truths: the max in mode kMax, else the mean. 0 for an unknown item.
double pas(const ItemTables& tables, int32_t item, ItemSpan truth, QasMode mode);

}  // namespace rerec
