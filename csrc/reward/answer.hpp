// The items that a response recommends, in rank order.
#pragma once

#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "reward/latex.hpp"
#include "reward/parse.hpp"
#include "reward/thinking.hpp"
#include "text/catalogue.hpp"

namespace rerec {

// Distinct entries read from one answer; further ones are left unread (K is at most 1000).
inline constexpr size_t kMostEntries = 1000;
// Parts between ';' and line breaks that are read of one answer, repeats and blank ones included.
inline constexpr size_t kMostParts = 4096;

struct Entry {
  int32_t item;           // -1: in no catalogue, or ambiguous
  std::string_view text;  // of the response, or of the reader's own where LaTeX was taken out
};

// text[begin:end]: an entry as it was written, without marks, numbering and what separates it from others.
struct Place {
  size_t begin, end;
  int32_t entry;  // of Answer::entries; -1: a repeat
};

struct Answer {
  size_t begin = 0;            // of the box; without entries: none
  std::vector<Entry> entries;  // best first, without repeats (unknown ones compared by their normalised text)
  size_t repeats = 0;          // entries left out since they were there before
  std::vector<Place> places;   // of all entries, repeats too, in the order of the text; where asked for

  bool answered() const { return !entries.empty(); }
};

// Reads answers; its buffers are reused. The entries are those of the first or last box, without LaTeX, split at line
// breaks, "[SEP]" and ';'. Text with ';' that is a title as a whole is one entry, and so are neighbours that together are a title of
// the catalogue which holds ';'.
class AnswerReader {
 public:
  explicit AnswerReader(const Catalogue& catalogue) : catalogue_(catalogue) {}

  // Valid until the next call; its texts are views of `text` or of the reader.
  const Answer& read(std::string_view text, Candidates candidates, Which which, bool opened = false,
                     bool places = false);

 private:
  Box find_answer(std::string_view text, Which which, bool opened);
  bool full() const { return answer_.entries.size() >= kMostEntries || parts_read_ >= kMostParts; }
  void read_line(std::string_view line);
  size_t read_joined(size_t first);
  void read_part(std::string_view text);
  Entry resolve(std::string_view text, Strictness strictness) const;
  void add(const Entry& entry);
  void note(std::string_view written, bool repeat);

  const Catalogue& catalogue_;
  Candidates candidates_;
  Answer answer_;
  size_t parts_read_ = 0;
  std::vector<size_t> braces_;
  std::vector<Part> said_;
  std::string plain_;  // the content without LaTeX
  std::string_view source_;  // of the entries' texts: the response, or `plain_`
  size_t content_ = 0;       // where the content begins in the response
  bool places_ = false;
  std::vector<Origin> origins_;  // of `plain_`
  std::vector<std::string_view> lines_, parts_;
  std::unordered_set<std::string_view> seen_, blank_;  // texts of parts that are entries, and that are none
  std::unordered_set<int32_t> items_;
  std::unordered_set<std::string> unknown_;
};

}  // namespace rerec
