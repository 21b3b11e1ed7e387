// Blocks of reasoning, "<think>...</think>": what stands in one is no answer. As rerec_engine/model/thinking.py.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace rerec {

// text[begin:end]
struct Part {
  size_t begin, end;
};

// The parts of a response outside of its blocks, in order. opened: the prompt opened the first block; a mark that closes
// what was not opened tells that it was. A block that is never closed runs to the end. Linear in the length of the text.
void find_said(std::string_view text, bool opened, std::vector<Part>& parts);

}  // namespace rerec
