// Passes over tiles of logits that a matrix product has left in the cache: online softmax statistics with entropy, and
// the gradient with respect to the product. Vector code is chosen at run time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace rerec {

// Of every row, over the columns seen so far; units of log2. Zero, but for top at -infinity, before the first tile.
struct SoftmaxState {
  float* top;    // largest logit, before the scale
  float* total;  // sum of 2^d, d = (z - top) * scale
  float* dot;    // sum of 2^d * d
};

// Columns first .. first + columns of rows of logits, contiguous.
struct LogitTile {
  float* z;
  size_t rows, columns;
  int64_t first;
  const int64_t* targets;  // [rows]
  double scale;            // log2(e) / temperature
  float softcap;           // z becomes softcap * tanh(z / softcap); 0: it stays
};

// What the gradient of row i with respect to scaled logits is made of, all in nats:
// dz = p * (base + slope * log p) + at_target * onehot(target), p = exp(z - lse).
struct GradientRows {
  const float* lse;
  const float* base;
  const float* slope;  // null: 0
  const float* at_target;
  bool capped;  // fold_logits has put the softcap on already
};

// Merges the tile into the state; picked[i] is set where row i's target lies in the tile. z is overwritten by the
// capped logits where there is a softcap.
void fold_logits(const LogitTile& tile, SoftmaxState state, float* picked);

// Overwrites z by the gradient with respect to the matrix product: dz times the softcap's slope, over the temperature.
void logit_gradient(const LogitTile& tile, const GradientRows& rows);

// States of shares of the columns, one after the other, to nats.
void merge_softmax(const std::vector<SoftmaxState>& shares, size_t rows, const float* picked, double scale, float* logp,
                   float* entropy, float* lse);

}  // namespace rerec
