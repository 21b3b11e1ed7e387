#include "ops/attention.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

#include "ops/vector_levels.hpp"

namespace rerec {

namespace {

constexpr size_t kQueries = 16;  // of a task, as near as whole responses allow: their scores stay in the first cache

size_t blocks_of(size_t positions) { return (positions + kBlock - 1) / kBlock; }

constexpr std::align_val_t kCacheLine{64};

}  // namespace

void AttentionCache::Free::operator()(float* p) const { ::operator delete[](p, kCacheLine); }

AttentionCache::Buffer AttentionCache::allocate(size_t count) {
  Buffer all(static_cast<float*>(::operator new[](count * sizeof(float), kCacheLine)));
  std::memset(all.get(), 0, count * sizeof(float));
  return all;
}

size_t attention_scratch(size_t responses, size_t groups, size_t dim, size_t prompt, size_t filled) {
  return responses * groups * (2 * dim + 1 + (blocks_of(prompt) + blocks_of(filled + 1)) * kBlock);
}

AttentionCache::AttentionCache(AttentionShape shape, size_t prompt_length, size_t new_length, size_t responses,
                               const std::vector<int64_t>& lengths, const float* cos, const float* sin)
    : shape_(shape),
      prompt_length_(prompt_length),
      prompt_blocks_(blocks_of(prompt_length)),
      lengths_(lengths.begin(), lengths.end()),
      cos_(cos, cos + (prompt_length + new_length) * shape.dim),
      sin_(sin, sin + (prompt_length + new_length) * shape.dim),
      layers_(shape.layers) {
  for (size_t i = 0; i < lengths_.size() * responses; ++i) owner_.push_back(i / responses);
  share_out();
}

void AttentionCache::set_prompts(size_t layer, const float* qkv, int threads) {
  const size_t dim = shape_.dim, count = lengths_.size() * shape_.kv_heads;
  Buffer& prompts = layers_[layer].prompts;
  prompts = allocate(count * prompt_blocks_ * block());
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (size_t task = 0; task < count; ++task) {
    const size_t prompt = task / shape_.kv_heads, head = task % shape_.kv_heads, length = lengths_[prompt];
    const float* source = qkv + (prompt * prompt_length_ + prompt_length_ - length) * shape_.row();
    const float* key = source + (shape_.heads + head) * dim;
    const float* value = source + (shape_.heads + shape_.kv_heads + head) * dim;
    float* target = &prompts[task * prompt_blocks_ * block()];
    for (size_t p = 0; p < length; ++p, key += shape_.row(), value += shape_.row()) {
      float* at = target + (p / kBlock) * block();
      for (size_t j = 0; j < dim; ++j) at[j * kBlock + p % kBlock] = key[j];
      std::memcpy(at + (kBlock + p % kBlock) * dim, value, dim * sizeof(float));
    }
  }
}

void AttentionCache::attend(size_t layer, const float* qkv, float* out, int threads) {
  const size_t dim = shape_.dim, kv_heads = shape_.kv_heads, groups = shape_.groups(), stride = shape_.row();
  const size_t count = shares_.size() * kv_heads;
  const float scale = static_cast<float>(1.44269504088896340736 / std::sqrt(static_cast<double>(dim)));
  Layer& cache = layers_[layer];
  if (filled_ == cache.owned.size() * kBlock) {
    cache.owned.push_back(allocate(owner_.size() * kv_heads * block()));
    cache.blocks.push_back(cache.owned.back().get());
  }
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    Buffer scratch;
    size_t size = 0;
#pragma omp for schedule(dynamic)
    for (size_t i = 0; i < count; ++i) {
      const Share& share = shares_[i / kv_heads];
      const size_t head = i % kv_heads, length = lengths_[share.prompt], responses = share.end - share.begin;
      const float* row = qkv + share.begin * stride;
      const size_t needed = attention_scratch(responses, groups, dim, length, filled_);
      if (needed > size) scratch = allocate(size = needed);
      AttentionTask task;
      task.responses = responses, task.groups = groups, task.dim = dim;
      task.prompt = length, task.filled = filled_;
      task.prompt_blocks = &cache.prompts[(share.prompt * kv_heads + head) * prompt_blocks_ * block()];
      task.blocks = cache.blocks.data(), task.offset = (head * owner_.size() + share.begin) * block();
      task.queries = row + head * groups * dim, task.row_stride = stride;
      task.new_keys = row + (shape_.heads + head) * dim;
      task.new_values = row + (shape_.heads + kv_heads + head) * dim;
      task.cos = &cos_[(length + filled_) * dim], task.sin = &sin_[(length + filled_) * dim];
      task.scale = scale;
      task.out = out + (share.begin * shape_.heads + head * groups) * dim, task.out_stride = shape_.heads * dim;
      task.scratch = scratch.get();
      vector_passes().attend(task);
    }
  }
}

void AttentionCache::keep(const std::vector<int64_t>& rows) {
  for (Layer& layer : layers_) {
    for (float* all : layer.blocks) {
      for (size_t head = 0; head < shape_.kv_heads; ++head) {
        for (size_t i = 0; i < rows.size(); ++i) {  // never to behind where anything still to be moved lies
          const size_t from = head * owner_.size() + static_cast<size_t>(rows[i]), to = head * rows.size() + i;
          if (from != to) std::memcpy(all + to * block(), all + from * block(), block() * sizeof(float));
        }
      }
    }
  }
  for (size_t i = 0; i < rows.size(); ++i) owner_[i] = owner_[static_cast<size_t>(rows[i])];
  owner_.resize(rows.size());
  share_out();
}

void AttentionCache::share_out() {
  const size_t most = std::max<size_t>(1, kQueries / shape_.groups());
  shares_.clear();
  for (size_t begin = 0, end; begin < owner_.size(); begin = end) {
    for (end = begin + 1; end < owner_.size() && owner_[end] == owner_[begin] && end - begin < most;) ++end;
    shares_.push_back({owner_[begin], begin, end});
  }
}

}  // namespace rerec
