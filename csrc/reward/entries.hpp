// The reward of each entry of an answer, and the tokens that wrote it. Specification: docs/method.md.
#pragma once

#include <cstdint>
#include <vector>

#include "common/hash_index.hpp"
#include "reward/align.hpp"
#include "reward/answer.hpp"
#include "text/tokens.hpp"

namespace rerec {

struct Settings;

// Entries of the responses of one chunk, one after the other; repeats are entries too.
struct EntryLists {
  std::vector<float> rewards;
  std::vector<int32_t> counts;  // of each response

  void clear() {
    rewards.clear();
    counts.clear();
  }
};

// Of one thread.
struct EntryBuffers {
  std::vector<double> values, gains, others;
  std::vector<int32_t> attributes;
};

// Appends the rewards of an answer's places: a share of NDCG@K, QAS and PAS by discount, or less than nothing for a repeat
// and for a title that is in no catalogue.
void append_entry_rewards(const Answer& answer, ItemSpan truth, ItemSpan candidates, const ItemTables& tables,
                          const Settings& settings, EntryBuffers& buffers, EntryLists& out);

// Writes the place of the entry that each token belongs to, -1: none. A token belongs to the first entry that it shares
// a byte with, one without bytes to the entry that goes on behind it.
void write_places(const TokenText& tokens, const Answer& answer, int32_t* out);

}  // namespace rerec
