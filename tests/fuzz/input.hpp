// What the fuzzers share: how bytes become a case, and how a broken invariant is told.
//
// A case is 8 bytes of options, then sections between 0x1E, whose lists are between 0x1F.
// tests/fuzz/test_seeds.py reads the same.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/catalogue.hpp"

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

// Of the exact size, so that a read past its end is seen.
inline std::vector<char> exact_copy(std::string_view text) { return {text.begin(), text.end()}; }

inline rerec::CatalogueArrays arrays_of(const std::vector<std::string>& titles, std::vector<int32_t> years,
                                        int threads) {
  std::vector<int64_t> ptr{0};
  std::string bytes;
  for (const std::string& title : titles) {
    bytes += title;
    ptr.push_back(static_cast<int64_t>(bytes.size()));
  }
  return {std::move(ptr), std::move(bytes), std::move(years), threads};
}

inline std::shared_ptr<const rerec::Catalogue> catalogue_of(const std::vector<std::string>& titles,
                                                            std::vector<int32_t> years = {}) {
  const auto arrays = std::make_shared<rerec::CatalogueArrays>(arrays_of(titles, std::move(years), 1));
  return std::make_shared<const rerec::Catalogue>(arrays->view(), arrays);
}

}  // namespace fuzz
