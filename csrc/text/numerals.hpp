// Numerals of titles. Specification: rerec_engine/graph/titles.py (`NUMERALS`, `TENS`, `loose_key`).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rerec {

// II -> 2, two -> 2, twenty -> 20, third -> 3rd; any other word stays.
std::string_view numeral(std::string_view word);

// "twenty", "eight" -> "28"; words that do not make a number stay. Words are replaced in place; what is written lies in
// `made`.
void join_tens(std::vector<std::string_view>& words, std::vector<std::string>& made);

}  // namespace rerec
