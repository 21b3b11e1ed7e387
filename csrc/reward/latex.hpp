// LaTeX in answers: "\text{Heat}\; (1995)" is Heat (1995).
#pragma once

#include <string>
#include <string_view>

namespace rerec {

// Whether a text holds what `append_without_latex` changes.
bool may_hold_latex(std::string_view text);

// Appends the text as LaTeX would print it, in linear time: commands and braces around text are left out (also where
// their backslash is doubled), symbols and accents become their characters, spacing a blank, "\\", \item and the ends of
// environments a line break, and a full-width semicolon a plain one. An unknown command without braces stays.
void append_without_latex(std::string_view text, std::string& out);

}  // namespace rerec
