// Runs chunks of a loop on threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <exception>
#include <system_error>
#include <thread>
#include <vector>

namespace rerec {

// Hands out chunks that cover 0..count.
class ChunkQueue {
 public:
  static constexpr size_t kChunk = 16;

  explicit ChunkQueue(size_t count) : count_(count) {}
  static size_t chunks(size_t count) { return (count + kChunk - 1) / kChunk; }

  // The next chunk's bounds; false: none is left. Its number is begin / kChunk.
  bool next(size_t& begin, size_t& end) {
    begin = next_.fetch_add(kChunk, std::memory_order_relaxed);
    if (begin >= count_) return false;
    end = std::min(count_, begin + kChunk);
    return true;
  }
  void stop() { next_.store(count_); }

 private:
  const size_t count_;
  std::atomic<size_t> next_{0};
};

// Calls body(queue) on each thread; which thread takes which chunk must not matter to the result. The first exception
// is thrown again once all threads are done.
template <class Body>
void parallel_for(size_t count, int threads, const Body& body) {
  ChunkQueue queue(count);
  const size_t workers = std::min(static_cast<size_t>(std::max(threads, 1)), ChunkQueue::chunks(count));
  if (workers <= 1) {
    if (count > 0) body(queue);
    return;
  }
  std::vector<std::exception_ptr> errors(workers);
  const auto work = [&](size_t worker) {
    try {
      body(queue);
    } catch (...) {
      errors[worker] = std::current_exception();
      queue.stop();
    }
  };
  std::vector<std::thread> pool;
  try {
    for (size_t worker = 1; worker < workers; ++worker) pool.emplace_back(work, worker);
  } catch (const std::system_error&) {
    // No further thread to be had: those there do the work.
  }
  work(0);
  for (std::thread& thread : pool) thread.join();
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

// Calls body(begin, end) for blocks that cover 0..count, of rows so cheap that a chunk's worth would not pay for a look
// at the queue.
template <class Body>
void for_blocks(size_t count, int threads, const Body& body) {
  constexpr size_t kBlock = 64;
  parallel_for((count + kBlock - 1) / kBlock, threads, [&](ChunkQueue& queue) {
    for (size_t begin, end; queue.next(begin, end);) body(begin * kBlock, std::min(count, end * kBlock));
  });
}

}  // namespace rerec
