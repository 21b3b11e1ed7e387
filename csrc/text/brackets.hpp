// Brackets of titles: ( and [, their full-width forms, 【 and 〔.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace rerec {

inline bool is_open_bracket(uint32_t code) {
  return code == '(' || code == '[' || code == 0xFF08 || code == 0xFF3B || code == 0x3010 || code == 0x3014;
}
inline bool is_closed_bracket(uint32_t code) {
  return code == ')' || code == ']' || code == 0xFF09 || code == 0xFF3D || code == 0x3011 || code == 0x3015;
}

struct Bracket {
  size_t begin = 0, end = 0;  // of the bracket with its two signs
  std::string_view inner;
};

// A bracket's sign: its place and size, and whether it opens; size 0: there is none.
struct BracketSign {
  size_t at = 0, size = 0;
  bool opens = false;
};

// Bytes that signs begin with.
constexpr std::array<bool, 256> make_sign_leads() {
  std::array<bool, 256> table{};
  for (unsigned lead : {0x28u, 0x29u, 0x5Bu, 0x5Du, 0xE3u, 0xEFu}) table[lead] = true;
  return table;
}
inline constexpr std::array<bool, 256> kSignLead = make_sign_leads();

// The first sign at or after `from`.
inline BracketSign next_sign(std::string_view text, size_t from) {
  for (size_t i = from; i < text.size(); ++i) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (!kSignLead[lead]) continue;
    if (lead < 0x80) return {i, 1, is_open_bracket(lead)};
    if (text.size() - i < 3) continue;
    const auto second = static_cast<unsigned char>(text[i + 1]), third = static_cast<unsigned char>(text[i + 2]);
    if ((second & 0xC0) != 0x80 || (third & 0xC0) != 0x80) continue;
    const uint32_t code = (lead & 0x0Fu) << 12 | (second & 0x3Fu) << 6 | (third & 0x3Fu);
    if (is_open_bracket(code) || is_closed_bracket(code)) return {i, 3, is_open_bracket(code)};
  }
  return {};
}

// The next innermost bracket at or after `from`.
inline bool next_bracket(std::string_view text, size_t from, Bracket& out) {
  BracketSign open;
  for (BracketSign sign = next_sign(text, from); sign.size > 0; sign = next_sign(text, sign.at + sign.size)) {
    if (sign.opens) {
      open = sign;
    } else if (open.size > 0) {
      const size_t begin = open.at + open.size;
      out = {open.at, sign.at + sign.size, text.substr(begin, sign.at - begin)};
      return true;
    }
  }
  return false;
}

inline bool has_open_bracket(std::string_view text) {
  for (BracketSign sign = next_sign(text, 0); sign.size > 0; sign = next_sign(text, sign.at + sign.size)) {
    if (sign.opens) return true;
  }
  return false;
}

}  // namespace rerec
