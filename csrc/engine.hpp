// Scores and token rewards of responses, in batches over threads. Results do not depend on the number of threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "align.hpp"
#include "answer.hpp"
#include "catalogue.hpp"
#include "segment.hpp"

namespace rerec {

struct Settings {
  double ndcg = 1.0, format = 0.1, qas = 0.01, pas = 0.01;  // weights
  int k = 1;
  QasMode mode = QasMode::kShared;
  Which which = Which::kLast;
  double penalty = 0.3;  // of token rewards
  int threads = 1;
};

struct Score {
  double total = 0, ndcg = 0, qas = 0, pas = 0, format = 0, hit = 0, precision = 0, recall = 0, mrr = 0;
};

// Response i has ground truth truth[truth_ptr[i]:truth_ptr[i + 1]] (ascending, distinct, not empty) and likewise
// candidates (empty: none given).
struct Targets {
  const int64_t* truth_ptr;
  const int32_t* truth;
  const int64_t* candidate_ptr;
  const int32_t* candidates;

  ItemSpan truth_of(size_t i) const { return {truth + truth_ptr[i], truth + truth_ptr[i + 1]}; }
  Candidates candidates_of(size_t i) const {
    return {candidates + candidate_ptr[i], candidates + candidate_ptr[i + 1]};
  }
};

// A response's text and the byte offsets of its tokens, [tokens + 1].
struct TokenText {
  std::string_view text;
  const int64_t* offsets = nullptr;
  size_t tokens = 0;
};

// Tokens of responses, response i has tokens cu[i]:cu[i + 1] of the batch. Read from several threads.
class TokenSource {
 public:
  // Buffers of one thread.
  struct Buffers {
    std::string text;
    std::vector<int64_t> offsets;
  };

  TokenSource(const int64_t* cu, size_t count) : cu_(cu), count_(count) {}
  virtual ~TokenSource() = default;
  virtual TokenText read(size_t i, Buffers& buffers) const = 0;
  size_t count() const { return count_; }
  const int64_t* cu() const { return cu_; }

 private:
  const int64_t* cu_;
  size_t count_;
};

struct Segments {
  std::vector<int32_t> lengths;    // tokens of each run of tokens of one line
  std::vector<uint8_t> penalised;  // [runs]
};

struct BatchScores {
  std::vector<Score> scores;                // [B]
  std::vector<uint8_t> answered;            // [B]
  std::vector<std::vector<int32_t>> items;  // [B] ragged, -1: in no catalogue, or ambiguous

  explicit BatchScores(size_t count) : scores(count), answered(count), items(count) {}
};

class Engine {
 public:
  Engine(std::shared_ptr<const Catalogue> catalogue, ItemTables tables)
      : catalogue_(std::move(catalogue)), tables_(tables) {}

  BatchScores score(const std::vector<std::string_view>& texts, const Targets& targets, const Settings& settings) const;

  // rewards [T] and segments [B] are filled.
  BatchScores score_tokens(const TokenSource& source, const Targets& targets, const Settings& settings, float* rewards,
                           std::vector<Segments>& segments) const;

 private:
  struct Workspace;

  Answer score_one(std::string_view text, size_t i, const Targets& targets, const Settings& settings,
                   BatchScores& out) const;
  void reward_tokens(const TokenText& tokens, const Answer& answer, double reward, ItemSpan truth, double penalty,
                     Workspace& work, float* rewards, Segments& segments) const;

  std::shared_ptr<const Catalogue> catalogue_;
  ItemTables tables_;
};

}  // namespace rerec
