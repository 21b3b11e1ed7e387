// LaTeX in answers: "\text{Heat}\; (1995)" is Heat (1995).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rerec {

// Whether a text holds what `append_without_latex` changes.
bool may_hold_latex(std::string_view text);

// Appends the text as LaTeX would print it, in linear time: commands and braces around text are left out (also where
// their backslash is doubled), symbols and accents become their characters, spacing a blank, "\\", \item and the ends of
// environments a line break, and a full-width semicolon a plain one. An unknown command without braces stays.
// origins: where what was appended comes from, nothing before it in `out`; null: not asked for.
struct Origin {
  size_t out, from;  // out[out..] comes from text[from..], up to the next origin's; the last is the end of both
  bool same;         // byte by byte; else as a whole, a command's
};
void append_without_latex(std::string_view text, std::string& out, std::vector<Origin>* origins = nullptr);

// The part of the text that out[begin:end] comes from, which is not empty.
struct Range {
  size_t begin, end;
};
Range origin_of(const std::vector<Origin>& origins, size_t begin, size_t end);

}  // namespace rerec
