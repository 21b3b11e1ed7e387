#include "constrain/title_set.hpp"

#include <algorithm>
#include <numeric>
#include <string>

#include "common/parallel.hpp"
#include "reward/answer.hpp"

namespace rerec {
namespace {

using std::string_view;

// Whether a reader takes the title for that item, and so it does where it is a line among others.
bool can_be_said(string_view title, int32_t item, Candidates candidates, AnswerReader& reader, std::string& text) {
  if (title.empty() || title.find_first_of("\\{}\n\r") != string_view::npos) return false;
  text.assign("\\boxed{").append(title).append("}");
  const auto names_it = [&] {
    const Answer& answer = reader.read(text, candidates, Which::kLast);
    return answer.entries.size() == 1 && answer.entries[0].item == item;
  };
  if (!names_it()) return false;
  text.pop_back();
  text.append("\n").append(title).append("}");
  return names_it();
}

struct Keyed {
  uint64_t key;  // the first eight bytes
  int32_t item;
};

uint64_t key_of(string_view title) {
  uint64_t key = 0;
  for (size_t i = 0; i < 8; ++i) key = key << 8 | (i < title.size() ? static_cast<unsigned char>(title[i]) : 0);
  return key;
}

}  // namespace

std::vector<int32_t> title_order(const Catalogue& catalogue, Candidates candidates, const TokenTree& tokens,
                                 int threads) {
  std::vector<int32_t> items(candidates.empty() ? catalogue.size() : candidates.size());
  if (candidates.empty()) {
    std::iota(items.begin(), items.end(), 0);
  } else {
    std::copy(candidates.begin(), candidates.end(), items.begin());
  }
  std::vector<Keyed> keyed(items.size());
  parallel_for(items.size(), threads, [&](ChunkQueue& queue) {
    AnswerReader reader(catalogue);
    std::string text;
    for (size_t begin, end; queue.next(begin, end);) {
      for (size_t i = begin; i < end; ++i) {
        const string_view title = trim(catalogue.title(items[i]));
        const bool said = tokens.spells(title) && can_be_said(title, items[i], candidates, reader, text);
        keyed[i] = {key_of(title), said ? items[i] : -1};
      }
    }
  });
  keyed.erase(std::remove_if(keyed.begin(), keyed.end(), [](const Keyed& k) { return k.item < 0; }), keyed.end());
  const auto title = [&](const Keyed& k) { return trim(catalogue.title(k.item)); };
  std::sort(keyed.begin(), keyed.end(), [&](const Keyed& a, const Keyed& b) {
    if (a.key != b.key) return a.key < b.key;
    const int order = title(a).compare(title(b));
    return order != 0 ? order < 0 : a.item < b.item;
  });
  const auto same = [&](const Keyed& a, const Keyed& b) { return a.key == b.key && title(a) == title(b); };
  keyed.erase(std::unique(keyed.begin(), keyed.end(), same), keyed.end());
  items.resize(keyed.size());
  std::transform(keyed.begin(), keyed.end(), items.begin(), [](const Keyed& k) { return k.item; });
  return items;
}

uint32_t TitleSet::run_end(TitleRange range, uint32_t depth) const {
  const int byte = next(range.lo, depth);
  uint32_t inside = range.lo, step = 1;
  while (inside + step < range.hi && next(inside + step, depth) == byte) {
    inside += step;
    step *= 2;
  }
  uint32_t outside = std::min(inside + step, range.hi);
  while (outside - inside > 1) {
    const uint32_t middle = inside + (outside - inside) / 2;
    (next(middle, depth) == byte ? inside : outside) = middle;
  }
  return outside;
}

TitleRange TitleSet::narrow(TitleRange range, uint32_t depth, unsigned char byte) const {
  uint32_t lo = range.lo, hi = range.hi;
  while (lo < hi) {
    const uint32_t middle = lo + (hi - lo) / 2;
    if (next(middle, depth) < static_cast<int>(byte)) {
      lo = middle + 1;
    } else {
      hi = middle;
    }
  }
  if (lo == range.hi || next(lo, depth) != static_cast<int>(byte)) return {lo, lo};
  return {lo, run_end({lo, range.hi}, depth)};
}

}  // namespace rerec
