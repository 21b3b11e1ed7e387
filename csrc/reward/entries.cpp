#include "reward/entries.hpp"

#include <algorithm>

#include "reward/rank.hpp"
#include "reward/score.hpp"

namespace rerec {

void append_entry_rewards(const Answer& answer, ItemSpan truth, ItemSpan candidates, const ItemTables& tables,
                          const Settings& settings, EntryBuffers& buffers, EntryLists& out) {
  const Discounts& table = Discounts::get();
  const size_t depth = static_cast<size_t>(settings.k), count = std::min(answer.entries.size(), depth);
  const double all = table.ideal[depth];
  auto& [values, gains, others, attributes] = buffers;
  values.assign(answer.entries.size(), 0);
  gains.resize(count);
  others.clear();
  for (size_t i = 0; i < count; ++i) {
    const int32_t item = answer.entries[i].item;
    const bool hit = item >= 0 && contains(truth, item);
    const double alike = settings.qas != 0 || settings.graded ? qas(tables, item, truth, settings.mode, attributes) : 0;
    const double near = settings.pas == 0  ? 0
                        : settings.centred ? centred_pas(tables, item, truth, settings.mode, candidates, attributes)
                                           : pas(tables, item, truth, settings.mode);
    gains[i] = hit ? 1 : settings.graded ? alike : 0;
    if (!hit && settings.graded) others.push_back(alike);
    values[i] = (settings.qas * alike + settings.pas * near) * table.discount[i] / all;
  }
  const double ideal = ideal_dcg(others, truth.size(), settings.k);
  for (size_t i = 0; i < count; ++i) values[i] += settings.ndcg * gains[i] * table.discount[i] / ideal;
  for (const Place& place : answer.places) {
    const bool named = place.entry >= 0 && answer.entries[static_cast<size_t>(place.entry)].item >= 0;
    const double value = named ? values[static_cast<size_t>(place.entry)] : -settings.invalid;
    out.rewards.push_back(static_cast<float>(value));
  }
  out.counts.push_back(static_cast<int32_t>(answer.places.size()));
}

void write_places(const TokenText& tokens, const Answer& answer, int32_t* out) {
  const uint32_t *begin = tokens.offsets, *end = begin + tokens.tokens;
  std::fill(out, out + tokens.tokens, -1);
  size_t next = 0;  // the first token that is no entry's yet
  for (size_t i = 0; i < answer.places.size(); ++i) {
    const auto [from, to, entry] = answer.places[i];
    // The token of the byte `from` is the last that begins there or before it; the text may go on behind all tokens.
    auto first = static_cast<size_t>(std::upper_bound(begin + next, end, from) - begin);
    if (first > next && begin[first] > from) --first;
    const auto last = static_cast<size_t>(std::lower_bound(begin + first, end, to) - begin);
    std::fill(out + first, out + last, static_cast<int32_t>(i));
    next = std::max(next, last);
  }
}

}  // namespace rerec
