// Titles that an answer may hold, sorted by their bytes: those that begin alike stand together, and no tree is needed.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "constrain/token_tree.hpp"
#include "text/catalogue.hpp"
#include "text/words.hpp"

namespace rerec {

// Items by their titles' bytes, ascending, equal titles once. Left out: those whose title, alone in a box or a line of
// it, an answer's reader does not take for that item (braces, line breaks, a title that several items share),
// and those that the tokens cannot spell. candidates: empty for the whole catalogue.
std::vector<int32_t> title_order(const Catalogue& catalogue, Candidates candidates, const TokenTree& tokens,
                                 int threads);

// Titles lo .. hi - 1.
struct TitleRange {
  uint32_t lo = 0, hi = 0;

  uint32_t size() const { return hi - lo; }
};

class TitleSet {
 public:
  // order: as `title_order` gives it; owner keeps it alive.
  TitleSet(const Catalogue& catalogue, const int32_t* order, size_t count, std::shared_ptr<const void> owner)
      : catalogue_(&catalogue), order_(order), count_(static_cast<uint32_t>(count)), owner_(std::move(owner)) {}

  uint32_t size() const { return count_; }
  TitleRange all() const { return {0, count_}; }
  int32_t item(uint32_t i) const { return order_[i]; }
  std::string_view title(uint32_t i) const { return trim(catalogue_->title(order_[i])); }
  // The byte after the first `depth`; -1: the title ends there.
  int next(uint32_t i, uint32_t depth) const {
    const std::string_view text = title(i);
    return depth < text.size() ? static_cast<unsigned char>(text[depth]) : -1;
  }
  // Of titles that share their first `depth` bytes: where those end whose next is that of the first one.
  uint32_t run_end(TitleRange range, uint32_t depth) const;
  // Of the same: those whose next byte is this one.
  TitleRange narrow(TitleRange range, uint32_t depth, unsigned char byte) const;

 private:
  const Catalogue* catalogue_;
  const int32_t* order_;
  uint32_t count_;
  std::shared_ptr<const void> owner_;
};

}  // namespace rerec
