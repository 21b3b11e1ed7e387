// The boxed answer of a response and its entries. Linear in the length of the text.
#pragma once

#include <string_view>
#include <vector>

namespace rerec {

struct Box {
  bool found = false;
  size_t begin = 0;          // of "\boxed{" in the text
  std::string_view content;  // between its braces
};

enum class Which { kFirst, kLast };

// The first or last \boxed{...} that is closed; braces nest, \{ and \} do not count. A box around a box is the inner
// one: the outer counts as LaTeX around it. buffer: of any content.
Box find_box(std::string_view text, Which which, std::vector<size_t>& buffer);

// The content without enclosing LaTeX commands such as \text{...}, up to eight deep, and without blanks.
std::string_view unwrap(std::string_view content);

// The lines of an answer: split at line breaks and "[SEP]"; blank ones left out.
void split_lines(std::string_view content, std::vector<std::string_view>& lines);

// An entry without bullets, numbering, quotes and emphasis around it.
std::string_view clean_entry(std::string_view entry);

}  // namespace rerec
