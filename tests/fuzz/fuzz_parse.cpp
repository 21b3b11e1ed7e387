// Boxes, wrappers, lines and entries of an answer, and the words of a text. Section 0: the text.
#include <algorithm>
#include <string>

#include "answer.hpp"
#include "input.hpp"
#include "parse.hpp"
#include "text.hpp"
#include "titles.hpp"

using namespace rerec;
using std::string_view;
using fuzz::within;

namespace {

// The closed boxes one by one, in quadratic time.
Box find_box_slowly(string_view text, Which which) {
  constexpr string_view kBoxed = "\\boxed{";
  Box best;
  for (size_t begin = text.find(kBoxed); begin != string_view::npos; begin = text.find(kBoxed, begin + 1)) {
    int depth = 1;
    for (size_t i = begin + kBoxed.size(); i < text.size(); ++i) {
      if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '{' || text[i + 1] == '}')) {
        ++i;
      } else if (text[i] == '{') {
        ++depth;
      } else if (text[i] == '}' && --depth == 0) {
        best = {true, begin, text.substr(begin + kBoxed.size(), i - begin - kBoxed.size())};
        if (which == Which::kFirst) return best;
        break;
      }
    }
  }
  return best;
}

void check_boxes(string_view text, Which which) {
  const Box box = find_box(text, which);
  if (text.size() <= 512) {
    const Box slow = find_box_slowly(text, which);
    REQUIRE(box.found == slow.found);
    REQUIRE(box.begin == slow.begin);
    REQUIRE(box.content == slow.content);
  }
  if (!box.found) return;
  REQUIRE(within(box.content, text));
  const string_view content = unwrap(box.content);
  REQUIRE(within(content, box.content));
  for (string_view line : split_lines(content)) {
    REQUIRE(within(line, content) && !line.empty() && trim(line) == line);
    REQUIRE(line.find_first_of("\r\n") == string_view::npos && line.find("[SEP]") == string_view::npos);
    const string_view entry = clean_entry(line);
    REQUIRE(within(entry, line));
    if (!entry.empty()) REQUIRE(!is_space(entry.front()) && !is_space(entry.back()));
  }
}

void check_words(string_view text) {
  Words words;
  words.read(text);
  size_t end = 0;
  for (size_t i = 0; i < words.size(); ++i) {
    const Word& word = words.list[i];
    REQUIRE(word.begin == end + (i > 0) && word.begin < word.stem_end && word.stem_end <= word.end);
    REQUIRE(words[i].find(' ') == string_view::npos);
    end = word.end;
  }
  REQUIRE(end == words.text.size());
  REQUIRE(has_word(text) == (words.size() > 0));
  REQUIRE(normalise(text) == words.text);
}

void check_title(string_view text) {
  const SplitTitle split = split_title(text);
  REQUIRE(within(split.name, text) && within(split.tail, text));
  REQUIRE(split.year == 0 || (split.year >= 1000 && split.year <= 2999));
  const Forms forms = title_forms(split.full_name());
  REQUIRE(!forms.names.empty() && forms.own() <= forms.names.size());
  for (const std::string& name : forms.names) loose_key(name), plain_key(name);
}

const Catalogue& catalogue() {
  static const Catalogue titles({"The Glass Harbour (1987)", "Owls; a Winter (2003)", "Quiet", "Río (El) (1999)"}, {});
  return titles;
}

void check_answer(string_view text, Which which) {
  const Answer answer = read_answer(text, catalogue(), {}, which);
  std::vector<int32_t> items;
  for (const Entry& entry : answer.entries) {
    REQUIRE(entry.item >= -1 && entry.item < static_cast<int32_t>(catalogue().size()));
    REQUIRE(within(entry.text, text) && !entry.text.empty());
    if (entry.item >= 0) items.push_back(entry.item);
  }
  std::sort(items.begin(), items.end());
  REQUIRE(std::adjacent_find(items.begin(), items.end()) == items.end());
  REQUIRE(answer.entries.size() <= kMostEntries);
  REQUIRE(answer.entries.empty() || answer.begin == find_box(text, which).begin);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::Case given(data, size);
  // A copy of the exact size, so that a read past its end is seen.
  const std::vector<char> copy(given.section(0).begin(), given.section(0).end());
  const string_view text(copy.data(), copy.size());
  for (Which which : {Which::kFirst, Which::kLast}) {
    check_boxes(text, which);
    check_answer(text, which);
  }
  check_words(text);
  check_title(text);
  return 0;
}
