// The items that a response recommends, in rank order.
#pragma once

#include <string_view>
#include <vector>

#include "catalogue.hpp"
#include "parse.hpp"

namespace rerec {

// Distinct entries read from one answer; further ones are left unread (K is at most 1000).
inline constexpr size_t kMostEntries = 1000;

struct Entry {
  int32_t item;           // -1: in no catalogue, or ambiguous
  std::string_view text;  // of the response
};

struct Answer {
  size_t begin = 0;            // of the box; without entries: none
  std::vector<Entry> entries;  // best first, without repeats (unknown ones compared by their normalised text)

  bool answered() const { return !entries.empty(); }
};

// The entries of the first or last box, split at line breaks, "[SEP]" and ';'. Text with ';' that is a title as a whole
// is one entry, and so are neighbours that together are a title of the catalogue which holds ';'.
Answer read_answer(std::string_view text, const Catalogue& catalogue, Candidates candidates, Which which);

}  // namespace rerec
