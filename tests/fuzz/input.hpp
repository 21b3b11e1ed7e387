// What the fuzzers share: how bytes become a case, and how a broken invariant is told.
//
// A case is 8 bytes of options, then sections between 0x1E, whose lists are between 0x1F.
// tests/fuzz/test_seeds.py reads the same.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace fuzz {

#define REQUIRE(condition)                                                        \
  do {                                                                            \
    if (!(condition)) {                                                           \
      std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                               \
    }                                                                             \
  } while (0)

inline std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0;;) {
    const size_t end = text.find(at, begin);
    parts.push_back(text.substr(begin, end - begin));
    if (end == std::string_view::npos) return parts;
    begin = end + 1;
  }
}

struct Case {
  uint8_t options[8] = {};
  std::vector<std::string_view> sections;

  Case(const uint8_t* data, size_t size) {
    const size_t count = size < 8 ? size : 8;
    for (size_t i = 0; i < count; ++i) options[i] = data[i];
    sections = split({reinterpret_cast<const char*>(data) + count, size - count}, '\x1e');
  }

  std::string_view section(size_t i) const { return i < sections.size() ? sections[i] : std::string_view(); }

  std::vector<std::string_view> list(size_t i, size_t most) const {
    std::vector<std::string_view> parts = split(section(i), '\x1f');
    if (parts.size() > most) parts.resize(most);
    return parts;
  }
};

// Whether `part` lies within `whole`.
inline bool within(std::string_view part, std::string_view whole) {
  return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

}  // namespace fuzz
