#include "text/characters.hpp"

#include <algorithm>
#include <iterator>

namespace rerec {
namespace {

constexpr Fold kFold[] = {
#include "text/fold_table.inc"
};

struct Range {
  uint32_t first, last;
};

constexpr Range kBreaks[] = {
    {0x80, 0xBF},     {0xD7, 0xD7},     {0xF7, 0xF7},     {0x55A, 0x55F},   {0x589, 0x58A},     {0x5BE, 0x5BE},
    {0x60C, 0x60D},   {0x61B, 0x61F},   {0x66A, 0x66D},   {0x6D4, 0x6D4},   {0x964, 0x965},     {0x1680, 0x1680},
    {0x180E, 0x180E}, {0x2000, 0x20FF}, {0x2190, 0x2BFF}, {0x2E00, 0x2E7F}, {0x3000, 0x3004},   {0x3008, 0x303F},
    {0x30FB, 0x30FB}, {0xD800, 0xF8FF}, {0xFE10, 0xFE1F}, {0xFE30, 0xFE6F}, {0xFF5F, 0xFF65},   {0xFFE0, 0xFFFF},
    {0x1F000, 0x1FAFF}, {0xF0000, 0x10FFFF},
};

}  // namespace

bool is_apostrophe(uint32_t c) {
  switch (c) {
    case '\'': case '`': case 0xB4: case 0x2BB: case 0x2BC: case 0x2018: case 0x2019: case 0x201B: case 0x2032:
      return true;
    default:
      return false;
  }
}

bool is_ignored(uint32_t c) {
  switch (c) {
    case 0xA9: case 0xAD: case 0xAE: case 0x2120: case 0x2122: case 0x200B: case 0x200C: case 0x200D: case 0x2060:
    case 0xFEFF:
      return true;
    default:
      return (c >= 0x300 && c <= 0x36F) || (c >= 0xFE00 && c <= 0xFE0F) || (c >= 0xE0000 && c <= 0xE0FFF);
  }
}

bool is_break(uint32_t c) {
  const Range* found = std::lower_bound(std::begin(kBreaks), std::end(kBreaks), c,
                                        [](const Range& range, uint32_t code) { return range.last < code; });
  return found != std::end(kBreaks) && found->first <= c;
}

const Fold* find_fold(uint32_t c) {
  const Fold* found = std::lower_bound(std::begin(kFold), std::end(kFold), c,
                                       [](const Fold& fold, uint32_t code) { return fold.code < code; });
  return found != std::end(kFold) && found->code == c ? found : nullptr;
}

}  // namespace rerec
