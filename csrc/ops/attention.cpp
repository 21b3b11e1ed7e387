#include "ops/attention.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

#include "common/half.hpp"
#include "ops/vector_levels.hpp"

namespace rerec {

namespace {

constexpr size_t kQueries = 16;  // of a task, as near as whole responses allow: their scores stay in the first cache

size_t blocks_of(size_t positions) { return (positions + kBlock - 1) / kBlock; }

constexpr std::align_val_t kCacheLine{64};

// Keys and values of `count` positions from `begin` on; they lie `stride` apart.
template <class Stored>
void fill_pages(char* const* pages, size_t offset, size_t begin, size_t count, const float* keys, const float* values,
                size_t stride, size_t dim) {
  for (size_t p = begin; p < begin + count; ++p, keys += stride, values += stride) {
    Stored* at = reinterpret_cast<Stored*>(pages[p / kBlock] + offset);
    for (size_t j = 0; j < dim; ++j) put(at + j * kBlock + p % kBlock, keys[j]);
    at += (kBlock + p % kBlock) * dim;
    for (size_t j = 0; j < dim; ++j) put(at + j, values[j]);
  }
}

}  // namespace

void PagePool::Free::operator()(char* p) const { ::operator delete[](p, kCacheLine); }

char* PagePool::take() {
  char* page;
  if (!free_.empty()) {
    page = free_.back();
    free_.pop_back();
  } else {
    if (fresh_ == kPages) {
      chunks_.emplace_back(static_cast<char*>(::operator new[](layers_ * layer_stride(), kCacheLine)));
      fresh_ = 0;
    }
    page = chunks_.back().get() + bytes_ * fresh_++;
  }
  for (size_t layer = 0; layer < layers_; ++layer) std::memset(page + layer * layer_stride(), 0, bytes_);
  return page;
}

char* PagePool::copy(const char* page) {
  char* const copied = take();
  for (size_t layer = 0; layer < layers_; ++layer)
    std::memcpy(copied + layer * layer_stride(), page + layer * layer_stride(), bytes_);
  return copied;
}

size_t attention_scratch(size_t responses, size_t groups, size_t dim, size_t prompt, size_t longest) {
  return responses * groups * (2 * dim + 1 + (blocks_of(prompt) + blocks_of(longest)) * kBlock);
}

AttentionCache::AttentionCache(AttentionShape shape, size_t positions, const float* cos, const float* sin)
    : shape_(shape),
      pool_(shape.layers, shape.kv_heads * block_bytes()),
      cos_(cos, cos + positions * shape.dim),
      sin_(sin, sin + positions * shape.dim) {}

void AttentionCache::add(const std::vector<int64_t>& lengths, size_t responses) {
  last_.clear();
  for (const int64_t length : lengths) {
    auto prompt = std::make_shared<Prompt>(common_);
    prompt->length += static_cast<size_t>(length), prompt->rows = responses;
    while (prompt->pages.size() < blocks_of(prompt->length)) prompt->pages.push_back(pool_.take());
    for (size_t i = 0; i < responses; ++i) rows_.push_back({prompt, {}, 0});
    last_.push_back(std::move(prompt));
  }
  if (responses == 0) common_ = *last_.front();
  ready_ = false;
}

void AttentionCache::set_prompts(size_t layer, const float* qkv, [[maybe_unused]] int threads) {
  const size_t dim = shape_.dim, count = last_.size() * shape_.kv_heads;
  std::vector<size_t> first, begin;  // row of qkv, position
  size_t total = 0;
  for (const auto& prompt : last_) {
    begin.push_back(prompt->rows == 0 ? 0 : common_.length);
    first.push_back(total);
    total += prompt->length - begin.back();
  }
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (size_t task = 0; task < count; ++task) {
    const size_t i = task / shape_.kv_heads, head = task % shape_.kv_heads;
    const Prompt& prompt = *last_[i];
    const float* source = qkv + first[i] * shape_.row();
    const size_t offset = layer * pool_.layer_stride() + head * block_bytes();
    const auto fill = shape_.half ? &fill_pages<uint16_t> : &fill_pages<float>;
    fill(prompt.pages.data(), offset, begin[i], prompt.length - begin[i], source + (shape_.heads + head) * dim,
         source + (shape_.heads + shape_.kv_heads + head) * dim, shape_.row(), dim);
  }
}

void AttentionCache::attend(size_t layer, const float* qkv, float* out, [[maybe_unused]] int threads) {
  const size_t dim = shape_.dim, kv_heads = shape_.kv_heads, groups = shape_.groups(), stride = shape_.row();
  if (!ready_) make_ready();
  const size_t count = shares_.size() * kv_heads;
  const float scale = static_cast<float>(1.44269504088896340736 / std::sqrt(static_cast<double>(dim)));
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    std::unique_ptr<float[]> scratch;
    size_t size = 0;
#pragma omp for schedule(dynamic)
    for (size_t i = 0; i < count; ++i) {
      const Share& share = shares_[i / kv_heads];
      const Prompt& prompt = *rows_[share.begin].prompt;
      const size_t head = i % kv_heads, responses = share.end - share.begin;
      const float* row = qkv + share.begin * stride;
      const size_t needed = attention_scratch(responses, groups, dim, prompt.length, share.longest);
      if (needed > size) scratch.reset(new float[size = needed]);
      AttentionTask task;
      task.responses = responses, task.groups = groups, task.dim = dim, task.half = shape_.half;
      task.prompt = prompt.length, task.longest = share.longest;
      task.prompt_pages = prompt.pages.data(), task.rows = &views_[share.begin];
      task.offset = layer * pool_.layer_stride() + head * block_bytes();
      task.queries = row + head * groups * dim, task.row_stride = stride;
      task.new_keys = row + (shape_.heads + head) * dim;
      task.new_values = row + (shape_.heads + kv_heads + head) * dim;
      task.scale = scale;
      task.out = out + (share.begin * shape_.heads + head * groups) * dim, task.out_stride = shape_.heads * dim;
      task.scratch = scratch.get();
      vector_passes().attend(task);
    }
  }
}

void AttentionCache::advance() {
  for (Row& row : rows_) ++row.filled;
  ready_ = false;
}

void AttentionCache::keep(const std::vector<int64_t>& rows) {
  std::vector<Row> kept;
  kept.reserve(rows.size());
  std::vector<bool> used(rows_.size(), false);
  for (const int64_t i : rows) {
    const Row& row = rows_.at(static_cast<size_t>(i));
    kept.push_back(row);
    if (!used[static_cast<size_t>(i)]) {
      used[static_cast<size_t>(i)] = true;
      continue;
    }
    ++row.prompt->rows;
    for (char*& page : kept.back().pages) page = pool_.copy(page);
  }
  for (size_t i = 0; i < rows_.size(); ++i) {
    if (used[i]) continue;
    const Row& row = rows_[i];
    pool_.give_back(row.pages);
    if (--row.prompt->rows == 0) {
      const auto& pages = row.prompt->pages;
      pool_.give_back({pages.begin() + static_cast<std::ptrdiff_t>(common_.pages.size()), pages.end()});
    }
  }
  rows_ = std::move(kept);
  ready_ = false;
}

void AttentionCache::make_ready() {
  views_.clear();
  for (Row& row : rows_) {
    if (row.filled == row.pages.size() * kBlock) row.pages.push_back(pool_.take());
    const size_t position = (row.prompt->length + row.filled) * shape_.dim;
    views_.push_back({row.pages.data(), row.filled, &cos_[position], &sin_[position]});
  }
  const size_t most = std::max<size_t>(1, kQueries / shape_.groups());
  shares_.clear();
  for (size_t begin = 0, end; begin < rows_.size(); begin = end) {
    size_t longest = 0;
    for (end = begin; end < rows_.size() && rows_[end].prompt == rows_[begin].prompt && end - begin < most; ++end) {
      longest = std::max(longest, rows_[end].filled + 1);
    }
    shares_.push_back({begin, end, longest});
  }
  ready_ = true;
}

}  // namespace rerec
