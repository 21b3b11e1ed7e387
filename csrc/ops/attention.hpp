// Decoding on a CPU: a key-value cache in fp32 and the attention of one new token a response, over its prompt and over
// what it has generated. A prompt's keys and values are kept once and read once for several of its responses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace rerec {

// Positions of a block of keys and values: keys [dim][kBlock], so that a score needs no sum across a vector, and values
// [kBlock][dim] after them.
constexpr size_t kBlock = 16;

struct AttentionShape {
  size_t layers, heads, kv_heads, dim;  // dim: a multiple of kBlock

  size_t groups() const { return heads / kv_heads; }
  size_t row() const { return (heads + 2 * kv_heads) * dim; }  // of queries, keys and values
};

// One key-value head of some responses to one prompt.
struct AttentionTask {
  size_t responses, groups, dim;
  size_t prompt, filled;  // positions: of the prompt, of the responses before the new one
  const float* prompt_blocks;
  float* const* blocks;  // block b of response i is at blocks[b] + offset + i * 2 * kBlock * dim
  size_t offset;
  const float *queries, *new_keys, *new_values;  // before the rotation; of response i, i * row_stride further on
  size_t row_stride;
  const float *cos, *sin;  // [dim] of the new position, see AttentionCache
  float scale;             // log2(e) / sqrt(dim)
  float* out;              // [groups * dim] of each response
  size_t out_stride;
  float* scratch;  // attention_scratch floats
};

size_t attention_scratch(size_t responses, size_t groups, size_t dim, size_t prompt, size_t filled);

class AttentionCache {
 public:
  // cos and sin [prompt_length + new_length, dim] rotate x by x[j] * cos[j] + x[(j + dim / 2) % dim] * sin[j]; they are
  // copied. lengths [prompts]: positions of each prompt; they come at the end of prompt_length.
  AttentionCache(AttentionShape shape, size_t prompt_length, size_t new_length, size_t responses,
                 const std::vector<int64_t>& lengths, const float* cos, const float* sin);

  // Keeps keys and values of a layer, rotated: qkv [prompts, prompt_length, heads + 2 kv_heads, dim].
  void set_prompts(size_t layer, const float* qkv, int threads);

  // The new token of each response: qkv [rows, heads + 2 kv_heads, dim], not rotated -> out [rows, heads, dim].
  void attend(size_t layer, const float* qkv, float* out, int threads);

  // All layers have seen the new token.
  void advance() { ++filled_; }

  // Goes on with these rows only, in ascending order.
  void keep(const std::vector<int64_t>& rows);

 private:
  struct Free {
    void operator()(float* p) const;
  };
  using Buffer = std::unique_ptr<float[], Free>;  // zeros, on a cache line's boundary
  struct Layer {
    Buffer prompts;              // [prompts, kv_heads, blocks, 2 * kBlock * dim]
    std::vector<Buffer> owned;   // a block of all responses each, made when needed: [kv_heads, rows, 2 * kBlock * dim]
    std::vector<float*> blocks;  // the same
  };
  struct Share {
    size_t prompt, begin, end;  // rows
  };

  static Buffer allocate(size_t count);
  size_t block() const { return 2 * kBlock * shape_.dim; }
  void share_out();

  AttentionShape shape_;
  size_t prompt_length_, prompt_blocks_, filled_ = 0;
  std::vector<size_t> lengths_, owner_;
  std::vector<float> cos_, sin_;
  std::vector<Layer> layers_;
  std::vector<Share> shares_;
};

}  // namespace rerec
