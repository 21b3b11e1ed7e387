// Decoding on a CPU: a paged key-value cache in fp32 or bf16 and the attention of one new token a response, over its
// prompt and over what it has generated. A prompt's keys and values are kept once and read once for several of its
// responses; prompts come and go while others are decoded.
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
  bool half;                            // keys and values are kept in bf16

  size_t groups() const { return heads / kv_heads; }
  size_t row() const { return (heads + 2 * kv_heads) * dim; }  // of queries, keys and values
};

// What a response has generated.
struct AttentionRow {
  char* const* pages;  // of kBlock positions each
  size_t filled;       // positions before the new one
  const float *cos, *sin;  // [dim] of the new position, see AttentionCache
};

// One key-value head of some responses to one prompt. A page's block for it begins `offset` bytes further on.
struct AttentionTask {
  size_t responses, groups, dim;
  bool half;
  size_t prompt, longest;  // positions: of the prompt, of the response that has generated most, its new one included
  char* const* prompt_pages;
  const AttentionRow* rows;
  size_t offset;
  const float *queries, *new_keys, *new_values;  // before the rotation; of response i, i * row_stride further on
  size_t row_stride;
  float scale;  // log2(e) / sqrt(dim)
  float* out;   // [groups * dim] of each response
  size_t out_stride;
  float* scratch;  // attention_scratch floats
};

size_t attention_scratch(size_t responses, size_t groups, size_t dim, size_t prompt, size_t longest);

// Pages of one size, taken and given back. Of each layer, what several pages taken after another hold lies together.
class PagePool {
 public:
  PagePool(size_t layers, size_t bytes) : layers_(layers), bytes_(bytes) {}  // bytes: of a page, in one layer

  char* take();  // zeros in all layers
  char* copy(const char* page);
  void give_back(const std::vector<char*>& pages) { free_.insert(free_.end(), pages.begin(), pages.end()); }
  size_t layer_stride() const { return kPages * bytes_; }  // from a page's layer to the next, in bytes

 private:
  static constexpr size_t kPages = 64;  // of a chunk
  struct Free {
    void operator()(char* p) const;
  };
  size_t layers_, bytes_, fresh_ = kPages;
  std::vector<std::unique_ptr<char[], Free>> chunks_;
  std::vector<char*> free_;
};

class AttentionCache {
 public:
  // cos and sin [positions, dim] rotate x by x[j] * cos[j] + x[(j + dim / 2) % dim] * sin[j]; they are copied.
  AttentionCache(AttentionShape shape, size_t positions, const float* cos, const float* sin);

  // Takes in prompts of `lengths` positions, with so many responses each, whose rows come after those that there are.
  // Without responses it is one, of whole blocks, with which all that come later begin; their lengths are without it.
  void add(const std::vector<int64_t>& lengths, size_t responses);

  // Keeps keys and values of a layer, rotated, of the prompts that came last: qkv [sum of lengths, heads + 2 kv_heads,
  // dim].
  void set_prompts(size_t layer, const float* qkv, int threads);

  // The new token of each response: qkv [rows, heads + 2 kv_heads, dim], not rotated -> out [rows, heads, dim].
  void attend(size_t layer, const float* qkv, float* out, int threads);

  // All layers have seen the new token.
  void advance();

  // Goes on with these rows, which may repeat (each then goes its own way); rows of one prompt stand together.
  void keep(const std::vector<int64_t>& rows);

 private:
  struct Prompt {
    std::vector<char*> pages;  // the common ones first
    size_t length, rows;
  };
  struct Row {
    std::shared_ptr<Prompt> prompt;
    std::vector<char*> pages;
    size_t filled;
  };
  struct Share {
    size_t begin, end, longest;  // rows of one prompt
  };

  size_t block_bytes() const { return 2 * kBlock * shape_.dim * (shape_.half ? 2 : 4); }
  void make_ready();

  AttentionShape shape_;
  PagePool pool_;
  std::vector<float> cos_, sin_;
  Prompt common_{{}, 0, 0};
  std::vector<std::shared_ptr<Prompt>> last_;  // that came last
  std::vector<Row> rows_;
  bool ready_ = false;  // what follows is of the rows as they are
  std::vector<AttentionRow> views_;
  std::vector<Share> shares_;
};

}  // namespace rerec
