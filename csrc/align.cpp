#include "align.hpp"

#include <algorithm>
#include <iterator>
#include <vector>

namespace rerec {
namespace {

ItemSpan attributes_of(const ItemTables& tables, int32_t item) {
  const int64_t* ptr = tables.attribute_ptr + item;
  return {tables.attributes + ptr[0], tables.attributes + ptr[1]};
}

size_t common(ItemSpan a, ItemSpan b) {
  size_t count = 0;
  const int32_t *x = a.begin(), *y = b.begin();
  while (x != a.end() && y != b.end()) {
    if (*x < *y) {
      ++x;
    } else if (*y < *x) {
      ++y;
    } else {
      ++count, ++x, ++y;
    }
  }
  return count;
}

double share(ItemSpan item, ItemSpan wanted) {
  const auto size = wanted.end() - wanted.begin();
  return size == 0 ? 0 : static_cast<double>(common(item, wanted)) / static_cast<double>(size);
}

double shared_by_all(const ItemTables& tables, int32_t item, ItemSpan truth) {
  const ItemSpan first = attributes_of(tables, *truth.begin());
  std::vector<int32_t> shared(first.begin(), first.end()), next;
  for (const int32_t* other = truth.begin() + 1; other != truth.end(); ++other) {
    const ItemSpan wanted = attributes_of(tables, *other);
    next.clear();
    std::set_intersection(shared.begin(), shared.end(), wanted.begin(), wanted.end(), std::back_inserter(next));
    shared.swap(next);
  }
  return share(attributes_of(tables, item), {shared.data(), shared.data() + shared.size()});
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
  return take_max ? most : sum / static_cast<double>(truth.end() - truth.begin());
}

}  // namespace

double qas(const ItemTables& tables, int32_t item, ItemSpan truth, QasMode mode) {
  if (item < 0) return 0;
  const ItemSpan own = attributes_of(tables, item);
  if (truth.end() - truth.begin() == 1) return share(own, attributes_of(tables, *truth.begin()));
  if (mode == QasMode::kShared) return shared_by_all(tables, item, truth);
  return over(truth, mode == QasMode::kMax, [&](int32_t gt) { return share(own, attributes_of(tables, gt)); });
}

double pas(const ItemTables& tables, int32_t item, ItemSpan truth, QasMode mode) {
  if (item < 0) return 0;
  const float* own = tables.embeddings + item * tables.width;
  return over(truth, mode == QasMode::kMax, [&](int32_t gt) {
    const float* other = tables.embeddings + gt * tables.width;
    double dot = 0;
    for (int64_t i = 0; i < tables.width; ++i) dot += static_cast<double>(own[i]) * other[i];
    return dot;
  });
}

}  // namespace rerec
