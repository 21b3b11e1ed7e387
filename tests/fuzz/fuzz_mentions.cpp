// Which lines mention which titles. Sections: titles, the text.
// Options: 0: bit 0: odd titles in any case, bit 1: the first mentions are there before (their buffers are used again);
// 1: owners, one more; 2: lines that are looked at, 0: all.
#include <algorithm>
#include <set>
#include <string>

#include "input.hpp"
#include "text/mentions.hpp"
#include "text/titles.hpp"
#include "text/words.hpp"

using namespace rerec;
using std::string;
using std::string_view;

namespace {

constexpr size_t kMostTitleWords = 64;

std::vector<Line> split_lines(string_view text) {
  std::vector<Line> lines;
  size_t begin = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\n' && text[i] != '\r') continue;
    lines.push_back({begin, i + 1});
    begin = i + 1;
  }
  if (begin < text.size()) lines.push_back({begin, text.size()});
  return lines;
}

struct Title {
  std::vector<string> words;  // without a leading article; none: never found
  string article;
  bool upper = false;
  int32_t owner = 0;

  Title(string_view title, int32_t owner_in, bool any_case) : owner(owner_in) {
    Words read;
    read.read(title);
    if (read.size() > kMostTitleWords) return;
    for (size_t i = 0; i < read.size(); ++i) words.emplace_back(read[i]);
    if (words.size() > 1 && is_english_article(words[0])) {
      article = words[0];
      words.erase(words.begin());
    }
    upper = !words.empty() && !any_case && read.list[read.size() - words.size()].upper;
  }

  // Whether it stands at line[at], word by word.
  bool stands_at(const Words& line, size_t at) const {
    if (words.empty() || line.size() - at < words.size()) return false;
    const size_t last = at + words.size() - 1;
    for (size_t i = at; i < last; ++i) {
      if (line[i] != words[i - at]) return false;
    }
    if (line[last] != words.back() && line.stem(last) != words.back()) return false;
    if (words.size() > 1) return true;
    const bool preceded = article.empty() || (at > 0 && line[at - 1] == article);
    return preceded && !line.list[at].year && (line.list[at].upper || !upper);
  }
};

std::vector<int32_t> owners_slowly(const std::vector<Title>& titles, string_view line) {
  Words words;
  words.read(line);
  std::set<int32_t> owners;
  for (const Title& title : titles) {
    for (size_t at = 0; at < words.size(); ++at) {
      if (title.stands_at(words, at)) owners.insert(title.owner);
    }
  }
  return {owners.begin(), owners.end()};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::Case given(data, size);
  const std::vector<char> exact = fuzz::exact_copy(given.section(1));
  const string_view text(exact.data(), exact.size());
  const std::vector<string_view> names = given.list(0, 16);

  const std::vector<Line> lines = split_lines(text);
  const size_t count = given.options[2] == 0 ? lines.size() : std::min<size_t>(lines.size(), given.options[2]);

  // `whole` reads every line in whole, since one of its titles may begin with any byte.
  constexpr string_view kAnyByte = "\u044f";  // a letter that stays as it is
  constexpr int32_t kOther = 1 << 20;
  Mentions mentions, whole;
  std::vector<uint8_t> found, found_whole, again;
  mentions.clear();
  if (given.options[0] & 2) {
    mentions.add("The Glass Harbour");
    mentions.find(text, lines, count, found);
    mentions.clear();
  }
  whole.clear();
  whole.add(kAnyByte, kOther, true);
  std::vector<Title> titles;
  for (size_t i = 0; i < names.size(); ++i) {
    const int32_t owner = static_cast<int32_t>(i % (given.options[1] + 1u));
    const bool any_case = given.options[0] & 1 && i % 2 == 1;
    mentions.add(names[i], owner, any_case);
    whole.add(names[i], owner, any_case);
    titles.emplace_back(names[i], owner, any_case);
  }
  if (mentions.empty()) {
    for (const Title& title : titles) REQUIRE(title.words.empty());
    return 0;
  }
  mentions.find(text, lines, count, found);
  REQUIRE(found.size() == count);
  whole.find(text, lines, count, found_whole);
  std::vector<int32_t> owners, owners_whole;
  for (size_t i = 0; i < count; ++i) {
    const string_view line = text.substr(lines[i].begin, lines[i].end - lines[i].begin);
    const std::vector<int32_t> slowly = owners_slowly(titles, line);
    REQUIRE((found[i] != 0) == !slowly.empty());
    mentions.owners_in(line, owners);
    REQUIRE(owners == slowly);
    whole.owners_in(line, owners_whole);
    REQUIRE((found_whole[i] != 0) == !owners_whole.empty());
    if (!owners_whole.empty() && owners_whole.back() == kOther) owners_whole.pop_back();
    REQUIRE(owners_whole == slowly);
  }
  mentions.find(text, lines, count, again);  // the trie is there now
  REQUIRE(again == found);
  return 0;
}
