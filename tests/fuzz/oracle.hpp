// A world to score in, and the scores by their formulas, in double and without haste.
#pragma once

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "input.hpp"
#include "reward/rank.hpp"
#include "reward/score.hpp"

namespace fuzz {

using rerec::ItemSpan;
using rerec::QasMode;

// Items of made-up attributes and embeddings (unit rows, some of them 0), from the options that fuzz_score.cpp lists.
struct World {
  std::shared_ptr<const rerec::Catalogue> catalogue;
  std::vector<int64_t> attribute_ptr{0}, name_ptr{0};
  std::vector<int32_t> attributes;
  std::vector<float> embeddings, weights, mean;
  std::string name_bytes;
  int64_t width;

  World(const std::vector<std::string_view>& given_titles, const std::vector<std::string_view>& given_names,
        const uint8_t* options, bool with_years, bool weighted, bool centred)
      : width(1 + options[6] % 40) {
    const std::vector<std::string> titles(given_titles.begin(), given_titles.end());
    const int32_t in_all = 1 + options[5] % 100;
    uint32_t state = options[4] * 2654435761u + 1;
    const auto draw = [&state] { return (state = state * 1664525u + 1013904223u) >> 24; };
    std::vector<int32_t> years;
    for (size_t i = 0; i < titles.size(); ++i) {
      if (with_years) years.push_back(1980 + (options[3] + static_cast<int>(i)) % 40);
      const uint32_t share = draw();
      for (int32_t a = 0; a < in_all; ++a) {
        if (draw() < share) attributes.push_back(a);
      }
      attribute_ptr.push_back(static_cast<int64_t>(attributes.size()));
      add_embedding(draw() % 5 == 0, draw);
    }
    for (int32_t a = 0; a < in_all; ++a) {
      if (weighted) weights.push_back(static_cast<float>(draw() % 16) / 4);
      name_bytes += given_names[static_cast<size_t>(a) % given_names.size()];
      name_ptr.push_back(static_cast<int64_t>(name_bytes.size()));
    }
    catalogue = catalogue_of(titles, years);
    if (!centred) return;
    for (int64_t j = 0; j < width; ++j) {
      double sum = 0;
      for (size_t i = 0; i < titles.size(); ++i) sum += static_cast<double>(embedding(static_cast<int32_t>(i))[j]);
      mean.push_back(static_cast<float>(sum / static_cast<double>(titles.size())));
    }
  }

  rerec::ItemTables tables() const {
    return {attribute_ptr.data(), attributes.data(),
            embeddings.data(),    width,
            catalogue->size(),    weights.empty() ? nullptr : weights.data(),
            mean.empty() ? nullptr : mean.data()};
  }
  rerec::AttributeNames names() const { return {name_ptr.data(), name_bytes.data()}; }

  const float* embedding(int32_t item) const { return embeddings.data() + item * width; }

  std::set<int32_t> attributes_of(int32_t item) const {
    return {attributes.begin() + attribute_ptr[static_cast<size_t>(item)],
            attributes.begin() + attribute_ptr[static_cast<size_t>(item) + 1]};
  }

  // One a byte; in order and distinct, or as they come where the scorer takes them so.
  std::vector<int32_t> items(std::string_view bytes, bool ordered) const {
    std::vector<int32_t> out;
    for (char c : bytes) out.push_back(static_cast<int32_t>(static_cast<unsigned char>(c) % catalogue->size()));
    if (!ordered && out.size() <= rerec::kFewItems) return out;
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
  }

 private:
  template <class Draw>
  void add_embedding(bool unknown, Draw draw) {
    std::vector<double> row;
    double square = 0;
    for (int64_t j = 0; j < width; ++j) {
      row.push_back(static_cast<double>(draw()) - 127.5);
      square += row.back() * row.back();
    }
    for (double value : row) embeddings.push_back(unknown ? 0.0f : static_cast<float>(value / std::sqrt(square)));
  }
};

inline double qas_slowly(const World& world, int32_t item, ItemSpan truth, QasMode mode) {
  if (item < 0) return 0;
  const std::set<int32_t> own = world.attributes_of(item);
  const auto weight = [&](int32_t a) {
    return world.weights.empty() ? 1.0 : static_cast<double>(world.weights[static_cast<size_t>(a)]);
  };
  const auto share = [&](const std::set<int32_t>& wanted) {
    double all = 0, common = 0;
    for (int32_t a : wanted) {
      all += weight(a);
      if (own.count(a) > 0) common += weight(a);
    }
    return all > 0 ? common / all : 0;
  };
  std::vector<double> shares;
  std::set<int32_t> shared = world.attributes_of(*truth.begin());
  for (int32_t gt : truth) {
    const std::set<int32_t> wanted = world.attributes_of(gt);
    shares.push_back(share(wanted));
    for (auto a = shared.begin(); a != shared.end();) a = wanted.count(*a) > 0 ? std::next(a) : shared.erase(a);
  }
  if (mode == QasMode::kShared) return share(shared);
  if (mode == QasMode::kMax) return *std::max_element(shares.begin(), shares.end());
  double sum = 0;
  for (double value : shares) sum += value;
  return sum / static_cast<double>(shares.size());
}

inline double pas_slowly(const World& world, int32_t item, ItemSpan truth, QasMode mode, bool centred,
                         ItemSpan candidates) {
  if (item < 0) return 0;
  const auto dot = [&](int32_t a, int32_t b) {
    double sum = 0;
    for (int64_t j = 0; j < world.width; ++j) {
      sum += static_cast<double>(world.embedding(a)[j]) * static_cast<double>(world.embedding(b)[j]);
    }
    return sum;
  };
  std::set<int32_t> over(candidates.begin(), candidates.end());
  if (over.empty()) {
    for (size_t i = 0; i < world.catalogue->size(); ++i) over.insert(static_cast<int32_t>(i));
  }
  double most = 0, sum = 0;
  for (const int32_t* gt = truth.begin(); gt != truth.end(); ++gt) {
    double value = dot(item, *gt);
    if (centred) {
      double mean = 0;
      for (int32_t other : over) mean += dot(other, *gt) / static_cast<double>(over.size());
      value -= mean;
    }
    most = gt == truth.begin() ? value : std::max(most, value);
    sum += value;
  }
  return mode == QasMode::kMax ? most : sum / static_cast<double>(truth.size());
}

// The order in which sixteen partial sums are added, whatever the processor.
inline float dot_by_lanes(const float* a, const float* b, int64_t width) {
  float sums[16] = {};
  for (int64_t i = 0; i < width; ++i) sums[i % 16] += a[i] * b[i];
  for (int half : {8, 4, 2, 1}) {
    for (int lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
  }
  return sums[0];
}

struct SlowRanking {
  double ndcg = 0, precision = 0, recall = 0, hit = 0, mrr = 0;
};

inline SlowRanking rank_slowly(const World& world, const std::vector<int32_t>& items, ItemSpan truth,
                               const rerec::Settings& settings) {
  SlowRanking out;
  const size_t k = static_cast<size_t>(settings.k);
  std::vector<double> gains, best;
  double hits = 0;
  for (size_t i = 0; i < std::min(items.size(), k); ++i) {
    const bool hit = std::find(truth.begin(), truth.end(), items[i]) != truth.end();
    gains.push_back(hit ? 1 : settings.graded ? qas_slowly(world, items[i], truth, settings.mode) : 0);
    if (hit && hits == 0) out.mrr = 1 / (static_cast<double>(i) + 1);
    hits += hit;
    if (!hit) best.push_back(gains.back());
  }
  best.insert(best.end(), truth.size(), 1.0);
  std::sort(best.rbegin(), best.rend());
  const auto discounted = [&](const std::vector<double>& values) {
    double sum = 0;
    for (size_t i = 0; i < std::min(values.size(), k); ++i) sum += values[i] / std::log2(static_cast<double>(i) + 2);
    return sum;
  };
  out.ndcg = discounted(gains) / discounted(best);
  out.precision = hits / static_cast<double>(k);
  out.recall = hits / static_cast<double>(truth.size());
  out.hit = hits > 0;
  return out;
}

}  // namespace fuzz
