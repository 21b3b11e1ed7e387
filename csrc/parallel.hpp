// Runs chunks of a loop on threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <exception>
#include <system_error>
#include <thread>
#include <vector>

namespace rerec {

// Calls body(begin, end) for chunks that cover 0..count; which thread takes which chunk must not matter to it. The
// first exception is thrown again once all threads are done.
template <class Body>
void parallel_for(size_t count, int threads, const Body& body) {
  constexpr size_t kChunk = 16;
  const size_t chunks = (count + kChunk - 1) / kChunk;
  const size_t workers = std::min(static_cast<size_t>(std::max(threads, 1)), chunks);
  if (workers <= 1) {
    if (count > 0) body(size_t{0}, count);
    return;
  }
  std::atomic<size_t> next{0};
  std::vector<std::exception_ptr> errors(workers);
  const auto work = [&](size_t worker) {
    try {
      for (size_t chunk; (chunk = next.fetch_add(1)) < chunks;) {
        body(chunk * kChunk, std::min(count, (chunk + 1) * kChunk));
      }
    } catch (...) {
      errors[worker] = std::current_exception();
      next.store(chunks);
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

}  // namespace rerec
