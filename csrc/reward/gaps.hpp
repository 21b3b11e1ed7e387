// What stands between the elements of a statement. Specification: rerec_engine/metrics/truth.py.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

namespace rerec {

enum GapByte : uint8_t { kEnds, kOther, kKnown };

constexpr std::array<uint8_t, 256> make_gap_bytes() {
  std::array<uint8_t, 256> table{};
  for (uint8_t& kind : table) kind = kOther;
  for (char c : {' ', '\t', ',', ';', ':', '(', ')', '[', ']', '"', '\'', '`', '-', '*', '_', '/', '|'}) {
    table[static_cast<size_t>(c)] = kKnown;
  }
  for (char c : {'.', '!', '?'}) table[static_cast<size_t>(c)] = kEnds;
  return table;
}
inline constexpr std::array<uint8_t, 256> kGapBytes = make_gap_bytes();

inline bool only_spaces(std::string_view gap) { return gap.find_first_not_of(' ') == std::string_view::npos; }
// Of what may stand between two elements: whether it ends what came before.
inline bool ends_all(std::string_view gap) {
  return std::any_of(gap.begin(), gap.end(), [](char c) { return kGapBytes[static_cast<unsigned char>(c)] != kKnown; });
}
// Of what may stand between a word and the item that it belongs to.
inline bool is_beside(std::string_view gap) { return gap.find_first_not_of(" \"'`*_") == std::string_view::npos; }
inline bool has(std::string_view gap, std::string_view any) { return gap.find_first_of(any) != std::string_view::npos; }

}  // namespace rerec
