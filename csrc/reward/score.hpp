// Scores and token rewards of responses, in batches over threads. Results do not depend on the number of threads.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "reward/align.hpp"
#include "reward/answer.hpp"
#include "reward/entries.hpp"
#include "reward/names.hpp"
#include "reward/statements.hpp"
#include "text/catalogue.hpp"
#include "text/mentions.hpp"
#include "text/tokens.hpp"

namespace rerec {

struct Settings {
  double ndcg = 1.0, format = 0.1, qas = 0.01, pas = 0.01;  // weights
  int k = 1;
  QasMode mode = QasMode::kShared;
  Which which = Which::kLast;
  double penalty = 0.3;  // of token rewards
  int threads = 1;
  bool graded = false;       // gains of wrong items: their QAS
  bool centred = false;      // PAS minus its mean over the candidates
  double repeat = 0;         // weight of the repeats' share, taken off
  double credit = 0;         // of token rewards: a candidate rejected for what it lacks
  double falsehood = 0;      // of token rewards: a false statement
  double verdict = 0;        // of token rewards: share of a line's own verdict in place of the answer's NDCG
  bool reasons = false;      // read the statements
  bool entries = false;      // rewards of entries
  double invalid = 0;        // of an entry that is a repeat, or in no catalogue: taken off
  std::string opened;        // a byte a response, 1: its prompt opened a block of reasoning; empty: none did

  bool is_opened(size_t i) const { return i < opened.size() && opened[i] != 0; }
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

enum ScoreColumn { kTotal, kNdcg, kQas, kPas, kFormat, kHit, kPrecision, kRecall, kMrr, kRepeats, kColumns };
inline constexpr const char* kColumnNames[kColumns] = {"total",     "ndcg",   "qas", "pas",    "format",
                                                       "hit",       "precision", "recall", "mrr", "repeats"};

// Where scores go; rows of B, but for `places`.
struct ScoreArrays {
  std::array<float*, kColumns> columns;
  uint8_t* answered;
  int32_t* statements = nullptr;  // before the answer, or in all where there is none; null: not asked for
  int32_t* true_statements = nullptr;
  int32_t* places = nullptr;  // entry of each token, -1: none; they lie as the rewards do; null: not asked for
};

// Lists of the responses of one chunk, one after the other.
struct ItemLists {
  std::vector<int32_t> items;  // -1: in no catalogue, or ambiguous
  std::vector<int32_t> counts;

  void clear() {
    items.clear();
    counts.clear();
  }
};
// Bits: kPenalised or kCredited; kFalse but with kCredited; kUpheld or kRefuted, a right or wrong verdict, with any.
enum SegmentKind : int8_t { kPlain = 0, kPenalised = 1, kCredited = 2, kFalse = 4, kUpheld = 8, kRefuted = 16 };
inline constexpr size_t kKinds = 32;
struct SegmentLists {
  std::vector<int32_t> lengths;  // tokens of each run of tokens of one line
  std::vector<int8_t> kinds;
  std::vector<int32_t> counts;  // runs of each response

  void clear() {
    lengths.clear();
    kinds.clear();
    counts.clear();
  }
};

// A batch's results that have no fixed size, by chunk.
struct BatchLists {
  std::vector<ItemLists> items;
  std::vector<SegmentLists> segments;
  std::vector<EntryLists> entries;  // where asked for
};

class Scorer {
 public:
  Scorer(std::shared_ptr<const Catalogue> catalogue, ItemTables tables, AttributeNames names)
      : catalogue_(std::move(catalogue)), tables_(tables), names_(names) {}

  void score(const std::vector<std::string_view>& texts, const Targets& targets, const Settings& settings,
             ScoreArrays out, BatchLists& lists) const;

  // Writes a reward a token, and 0 where a padded row has none. Throws std::out_of_range for the first bad token.
  void score_tokens(const TokenSource& source, const Targets& targets, const Settings& settings, ScoreArrays out,
                    float* rewards, BatchLists& lists) const;

  const Catalogue& catalogue() const { return *catalogue_; }
  // Must be set before statements are read.
  void set_names(std::shared_ptr<const NameIndex> names) { index_ = std::move(names); }
  const NameIndex* names() const { return index_.get(); }
  const ItemTables& tables() const { return tables_; }

 private:
  struct Workspace;

  void score_all(const TokenSource& source, const Targets& targets, const Settings& settings, ScoreArrays out,
                 float* rewards, BatchLists& lists) const;
  // The response's total reward.
  double score_one(const Answer& answer, size_t i, const Targets& targets, const Settings& settings, Workspace& work,
                   ScoreArrays out) const;
  void mark_lines(const TokenText& tokens, const Answer& answer, size_t i, const Targets& targets,
                  const Settings& settings, Workspace& work) const;
  // Counts the statements and marks the lines of false ones.
  void read_reasons(std::string_view text, const Answer& answer, size_t i, Workspace& work, ScoreArrays out) const;
  void add_candidates(Candidates candidates, ItemSpan without, Mentions& mentions) const;
  void find_rejections(const TokenText& tokens, size_t before, ItemSpan truth, Candidates candidates,
                       Workspace& work) const;
  void read_verdicts(const TokenText& tokens, size_t before, ItemSpan truth, Candidates candidates,
                     Workspace& work) const;

  std::shared_ptr<const Catalogue> catalogue_;
  ItemTables tables_;
  AttributeNames names_;
  std::shared_ptr<const NameIndex> index_;
};

}  // namespace rerec
