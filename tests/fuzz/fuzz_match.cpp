// Titles against a catalogue, both hostile, and its index. Sections: the catalogue's titles, the candidates (one byte
// each), queries, entries of an index (two bytes each).
// Options: 0: bit 0: the catalogue has years, bit 1: build it on three threads too; 1: the first of the years.
#include <algorithm>
#include <set>
#include <string>

#include "input.hpp"
#include "text/catalogue.hpp"
#include "text/words.hpp"

using namespace rerec;
using std::string;
using std::string_view;

namespace {

void check_match(const Catalogue& catalogue, string_view query, Candidates candidates, Strictness strictness) {
  const int32_t size = static_cast<int32_t>(catalogue.size());
  const Match match = catalogue.match(query, candidates, strictness);
  REQUIRE(match.item >= -1 && match.item < size);
  REQUIRE((match.item >= 0) == (match.rule < Rule::kAmbiguous));
  REQUIRE(match.item < 0 || match.alternatives.empty());
  REQUIRE(match.rule != Rule::kAmbiguous || match.alternatives.size() > 1);
  for (int32_t item : match.alternatives) REQUIRE(item >= 0 && item < size);
  const string spaced = " " + string(query) + "\n";
  REQUIRE(catalogue.match(spaced, candidates, strictness).item == match.item);
  const int32_t exact = catalogue.match_exact(query, candidates);
  REQUIRE(exact >= -1 && exact < size);
  if (exact >= 0) REQUIRE(trim(catalogue.title(exact)) == trim(query));
  if (exact >= 0 && candidates.begin() == candidates.end()) REQUIRE(match.item == exact);
}

void require_same(const HashIndexArrays& a, const HashIndexArrays& b) {
  REQUIRE(a.slots == b.slots && a.group_ptr == b.group_ptr && a.group_items == b.group_items);
}

void check_threads(const std::vector<string>& titles, const std::vector<int32_t>& years) {
  const CatalogueArrays one = fuzz::arrays_of(titles, years, 1), three = fuzz::arrays_of(titles, years, 3);
  require_same(one.exact, three.exact);
  require_same(one.keys, three.keys);
  REQUIRE(one.years == three.years && one.most_semicolons == three.most_semicolons);
}

// Hashes that are equal, that agree in their upper half and that want the same slot: each entry is found, and none
// whose upper half differs.
void check_index(string_view bytes) {
  std::vector<HashIndexArrays::Entry> entries;
  for (size_t i = 0; i + 1 < bytes.size() && i < 256; i += 2) {
    const auto one = static_cast<unsigned char>(bytes[i]), two = static_cast<unsigned char>(bytes[i + 1]);
    const uint64_t hash = static_cast<uint64_t>(one >> 5) << 32 | static_cast<uint64_t>(one & 31) * 0x0101u;
    entries.emplace_back(one == 255 ? ~uint64_t{0} : hash, static_cast<int32_t>(two));
  }
  HashIndexArrays arrays;
  arrays.build(entries);
  const HashIndex index = arrays.view();
  for (const HashIndexArrays::Entry& entry : entries) {
    std::vector<int32_t> found, wanted, like;
    index.find(entry.first, [&](int32_t item) { found.push_back(item); });
    std::sort(found.begin(), found.end());
    for (const HashIndexArrays::Entry& other : entries) {
      if (other.first == entry.first) wanted.push_back(other.second);
      if (other.first >> 32 == entry.first >> 32) like.push_back(other.second);
    }
    for (int32_t item : wanted) REQUIRE(std::binary_search(found.begin(), found.end(), item));
    std::sort(like.begin(), like.end());
    for (int32_t item : found) REQUIRE(std::binary_search(like.begin(), like.end(), item));
  }
}

// The same titles in the opposite order give the same answers.
void check_order(const Catalogue& catalogue, const Catalogue& reversed, string_view query, Candidates candidates) {
  const int32_t last = static_cast<int32_t>(catalogue.size()) - 1;
  std::vector<int32_t> among;
  for (int32_t item : candidates) among.insert(among.begin(), last - item);
  const Match match = catalogue.match(query, candidates);
  const Match other = reversed.match(query, {among.data(), among.data() + among.size()});
  REQUIRE(match.rule == other.rule);
  REQUIRE(match.item < 0 ? other.item < 0 : other.item == last - match.item);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::Case given(data, size);
  std::vector<string> titles;
  for (string_view title : given.list(0, 80)) titles.emplace_back(title);
  std::vector<int32_t> years;
  if (given.options[0] & 1) {
    for (size_t i = 0; i < titles.size(); ++i) years.push_back(1980 + (given.options[1] + static_cast<int>(i) / 2) % 40);
  }
  const size_t count = titles.size();
  const auto owned = fuzz::catalogue_of(titles, years);
  const auto turned = fuzz::catalogue_of({titles.rbegin(), titles.rend()}, {years.rbegin(), years.rend()});
  const Catalogue &catalogue = *owned, &reversed = *turned;
  REQUIRE(catalogue.size() == count);
  for (size_t i = 0; i < count; ++i) REQUIRE(catalogue.title(static_cast<int32_t>(i)) == titles[i]);
  if (given.options[0] & 2) check_threads(titles, years);
  check_index(given.section(3));

  std::vector<int32_t> given_order;
  for (char c : given.section(1)) given_order.push_back(static_cast<int32_t>(static_cast<unsigned char>(c) % count));
  std::vector<int32_t> candidates = given_order;
  std::sort(candidates.begin(), candidates.end());
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  if (given_order.size() > kFewItems) given_order.resize(kFewItems);
  const Candidates among{candidates.data(), candidates.data() + candidates.size()};
  const Candidates unordered{given_order.data(), given_order.data() + given_order.size()};
  const bool same_set = std::set<int32_t>(given_order.begin(), given_order.end()).size() == candidates.size();

  std::vector<string_view> queries = given.list(2, 16);
  queries.insert(queries.end(), titles.begin(), titles.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(count, 8)));
  for (string_view query : queries) {
    const std::vector<char> exact = fuzz::exact_copy(query);
    query = {exact.data(), exact.size()};
    for (Strictness strictness : {Strictness::kFull, Strictness::kWholeName}) {
      check_match(catalogue, query, {}, strictness);
      check_match(catalogue, query, among, strictness);
      check_match(catalogue, query, unordered, strictness);
      if (!same_set) continue;
      const Match ordered = catalogue.match(query, among, strictness), other = catalogue.match(query, unordered, strictness);
      REQUIRE(ordered.item == other.item && ordered.rule == other.rule && ordered.alternatives == other.alternatives);
      REQUIRE(catalogue.match_exact(query, among) == catalogue.match_exact(query, unordered));
    }
    check_order(catalogue, reversed, query, {});
    check_order(catalogue, reversed, query, among);
  }
  for (size_t i = 0; i < count; ++i) {
    const auto same = [&](const string& other) { return trim(other) == trim(titles[i]); };
    if (trim(titles[i]).empty() || std::count_if(titles.begin(), titles.end(), same) != 1) continue;
    REQUIRE(catalogue.match(titles[i], {}).item == static_cast<int32_t>(i));
  }
  return 0;
}
