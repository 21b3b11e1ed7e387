// Boxes, wrappers, lines and entries of an answer, and the words of a text. Section 0: the text.
// Options: 0: words that are read of it at most; 1: 7 and every eighth after it: a box that repeats the text, each time
// with a number.
#include <algorithm>
#include <string>

#include "input.hpp"
#include "reward/answer.hpp"
#include "reward/latex.hpp"
#include "reward/parse.hpp"
#include "text/titles.hpp"
#include "text/words.hpp"
#include "text/years.hpp"

using namespace rerec;
using std::string_view;
using fuzz::within;

namespace {

// The closed boxes one by one, in quadratic time.
Box find_box_slowly(string_view text, Which which) {
  constexpr string_view kBoxed = "\\boxed";
  Box best;
  for (size_t begin = text.find(kBoxed); begin != string_view::npos; begin = text.find(kBoxed, begin + 1)) {
    size_t content = begin + kBoxed.size();
    while (content < text.size() && is_space(text[content])) ++content;
    if (content == text.size() || text[content++] != '{') continue;
    int depth = 1;
    for (size_t i = content; i < text.size(); ++i) {
      if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '{' || text[i + 1] == '}')) {
        ++i;
      } else if (text[i] == '{') {
        ++depth;
      } else if (text[i] == '}' && --depth == 0) {
        best = {true, begin, begin, text.substr(content, i - content)};
        if (which == Which::kFirst) return best;
        break;
      }
    }
  }
  return best;
}

void check_boxes(string_view text, Which which) {
  std::vector<size_t> braces;
  std::vector<string_view> lines;
  const Box box = find_box(text, which, braces);
  if (text.size() <= 512) {
    const Box slow = find_box_slowly(text, which);
    REQUIRE(box.found == slow.found);
    REQUIRE(box.begin == slow.begin);
    REQUIRE(box.content == slow.content);
  }
  if (!box.found) return;
  REQUIRE(within(box.content, text));
  REQUIRE(box.outer <= box.begin && text.substr(box.outer, 6) == "\\boxed");
  for (size_t begin : braces) REQUIRE(begin == string_view::npos || text.substr(begin, 6) == "\\boxed");
  std::string content;
  append_without_latex(box.content, content);
  REQUIRE(content.size() <= 2 * box.content.size());
  if (!may_hold_latex(box.content)) REQUIRE(content == box.content);
  split_lines(content, lines);
  for (string_view line : lines) {
    REQUIRE(within(line, content) && !line.empty() && trim(line) == line);
    REQUIRE(line.find_first_of("\r\n") == string_view::npos && line.find("[SEP]") == string_view::npos);
    const CleanEntry clean = clean_entry(line);
    REQUIRE(within(clean.text, line) && within(clean.numbered, line) && clean.text.size() <= clean.numbered.size());
    for (string_view entry : {clean.text, clean.numbered}) {
      if (!entry.empty()) REQUIRE(!is_space(entry.front()) && !is_space(entry.back()));
    }
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

// What is read of a text up to some word is what it begins with.
void check_limit(string_view text, size_t most) {
  Words all, some;
  all.read(text);
  some.read(text, most);
  REQUIRE(some.size() >= std::min(most, all.size()));
  for (size_t i = 0; i < std::min(most, all.size()); ++i) {
    REQUIRE(some[i] == all[i] && some.stem(i) == all.stem(i));
    REQUIRE(some.list[i].upper == all.list[i].upper && some.list[i].year == all.list[i].year);
  }
}

void check_title(string_view text) {
  const YearTold told = told_in_brackets(text);
  REQUIRE(told.year >= kUnclearYear && told.year < 2040 && told.begin <= told.end && told.end <= text.size());
  REQUIRE((told.year == 0) == (told.end == 0));
  const BareYear bare = bare_year(text);
  REQUIRE(bare.year == 0 || (bare.year >= 1880 && bare.year < 2040 && within(bare.name, text) && has_word(bare.name)));
  const SplitTitle split = split_title(text);
  REQUIRE(within(split.name, text) && within(split.tail, text));
  REQUIRE(split.year == 0 || (split.year >= 1000 && split.year <= 2999));
  const Forms forms = title_forms(split.full_name());
  REQUIRE(!forms.names.empty() && forms.own() <= forms.names.size());
  for (const std::string& name : forms.names) loose_key(name), plain_key(name);
}

const Catalogue& catalogue() {
  static const auto titles =
      fuzz::catalogue_of({"The Glass Harbour (1987)", "Owls; a Winter (2003)", "Quiet", "Río (El) (1999)"});
  return *titles;
}

void check_answer(AnswerReader& reader, string_view text, Which which) {
  const Answer& answer = reader.read(text, {}, which);
  std::vector<size_t> braces;
  const Box box = find_box(text, which, braces);
  const bool plain = !may_hold_latex(box.content);
  std::vector<int32_t> items;
  for (const Entry& entry : answer.entries) {
    REQUIRE(entry.item >= -1 && entry.item < static_cast<int32_t>(catalogue().size()));
    REQUIRE((within(entry.text, text) || !plain) && !entry.text.empty());
    if (entry.item >= 0) items.push_back(entry.item);
  }
  std::sort(items.begin(), items.end());
  REQUIRE(std::adjacent_find(items.begin(), items.end()) == items.end());
  REQUIRE(answer.entries.size() <= kMostEntries);
  REQUIRE(answer.answered() || answer.repeats == 0);
  REQUIRE(!answer.answered() || answer.begin == box.begin);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::Case given(data, size);
  const std::vector<char> exact = fuzz::exact_copy(given.section(0));
  const string_view text(exact.data(), exact.size());
  AnswerReader reader(catalogue());  // one for all: its buffers are used again
  for (Which which : {Which::kFirst, Which::kLast}) {
    check_boxes(text, which);
    check_answer(reader, text, which);
  }
  check_words(text);
  check_limit(text, given.options[0]);
  check_title(text);
  if (given.options[1] % 8 == 7) {  // more entries and parts than are read
    std::string many = "\\boxed{";
    for (int i = 0; i < 2000 && many.size() < 12000; ++i) {
      many.append(text).append(std::to_string(i)).append(1, i % 2 ? ';' : '\n');
    }
    check_answer(reader, many + "}", Which::kFirst);
    check_answer(reader, text, Which::kLast);
  }
  return 0;
}
