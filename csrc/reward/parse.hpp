// The boxed answer of a response and its entries. Linear in the length of the text.
#pragma once

#include <string_view>
#include <vector>

namespace rerec {

struct Box {
  bool found = false;
  size_t begin = 0;          // of "\boxed" in the text
  size_t outer = 0;          // the same of the outermost closed box around it
  std::string_view content;  // between its braces
};

enum class Which { kFirst, kLast };

// The first or last \boxed{...} that is closed; blanks may stand before the brace, braces nest, \{ and \} do not count.
// A box around a box is the inner one: the outer counts as LaTeX around it. buffer: of any content; then it holds where
// the boxes and braces begin that are still open, npos for a plain brace.
Box find_box(std::string_view text, Which which, std::vector<size_t>& buffer);

// The lines of an answer: split at line breaks and "[SEP]"; blank ones left out.
void split_lines(std::string_view content, std::vector<std::string_view>& lines);

struct CleanEntry {
  std::string_view text;      // without bullets, numbering, quotes and emphasis around it
  std::string_view numbered;  // with a number that may be the title's own: "3: Heat", "#1 Heat"; else the text
};

CleanEntry clean_entry(std::string_view entry);

// Without semicolons at its ends, and the marks within them.
std::string_view strip_semicolons(std::string_view entry);

}  // namespace rerec
