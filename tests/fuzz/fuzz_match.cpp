// Titles against a catalogue, both hostile. Sections: the catalogue's titles, the candidates (one byte each), queries.
// Options: 0: whether the catalogue has years, 1: the first of them.
#include <algorithm>
#include <string>

#include "catalogue.hpp"
#include "input.hpp"
#include "text.hpp"

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
  for (string_view title : given.list(0, 48)) titles.emplace_back(title);
  std::vector<int32_t> years;
  if (given.options[0] & 1) {
    for (size_t i = 0; i < titles.size(); ++i) years.push_back(1980 + (given.options[1] + static_cast<int>(i) / 2) % 40);
  }
  const size_t count = titles.size();
  const Catalogue catalogue(titles, years);
  const Catalogue reversed({titles.rbegin(), titles.rend()}, {years.rbegin(), years.rend()});
  REQUIRE(catalogue.size() == count && catalogue.years().size() == count);

  std::vector<int32_t> candidates;
  for (char c : given.section(1)) candidates.push_back(static_cast<int32_t>(static_cast<unsigned char>(c) % count));
  std::sort(candidates.begin(), candidates.end());
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  const Candidates among{candidates.data(), candidates.data() + candidates.size()};

  std::vector<string_view> queries = given.list(2, 16);
  queries.insert(queries.end(), titles.begin(), titles.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(count, 8)));
  for (string_view query : queries) {
    for (Strictness strictness : {Strictness::kFull, Strictness::kWholeName}) {
      check_match(catalogue, query, {}, strictness);
      check_match(catalogue, query, among, strictness);
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
