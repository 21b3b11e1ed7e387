#include "reward/parse.hpp"

#include "text/scan.hpp"
#include "text/words.hpp"

namespace rerec {
namespace {

using std::string_view;

constexpr string_view kBoxed = "\\boxed{";
constexpr string_view kSep = "[SEP]";
constexpr int kMostWrappers = 8;

bool is_letter(char c) { return to_lower(c) >= 'a' && to_lower(c) <= 'z'; }

// Whether a backslash at `i` makes the brace after it a character.
bool escapes_brace(string_view text, size_t i) {
  return text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '{' || text[i + 1] == '}');
}

// Length of the mark that `text` begins with: quotes, emphasis, bullets, dashes; 0: none.
size_t leading_mark(string_view text) {
  if (text.empty()) return 0;
  if (is_space(text[0]) || string_view("\"'`*_-#$>").find(text[0]) != string_view::npos) return 1;
  for (string_view mark : {"\u201c", "\u201d", "\u2018", "\u2019", "\u201e", "\u2022", "\u2013", "\u2014", "\u25cf", "\u25e6",
                           "\u00b7", "\u00ab", "\u00bb", "\u00a0"}) {
    if (text.substr(0, mark.size()) == mark) return mark.size();
  }
  return 0;
}

size_t trailing_mark(string_view text) {
  if (text.empty()) return 0;
  if (is_space(text.back()) || string_view("\"'`*_$,.").find(text.back()) != string_view::npos) return 1;
  for (string_view mark : {"\u201c", "\u201d", "\u2019", "\u00ab", "\u00bb", "\u00a0"}) {
    if (text.size() >= mark.size() && text.substr(text.size() - mark.size()) == mark) return mark.size();
  }
  return 0;
}

// "12. ", "4)", "(3) ": length of the numbering, 0 where there is none or nothing follows it. "(500) Days" and
// "9.5 Weeks" have none.
size_t numbering(string_view text) {
  const bool bracketed = !text.empty() && text[0] == '(';
  const size_t begin = bracketed ? 1 : 0, most = bracketed ? 2 : 3;
  size_t i = begin;
  while (i < text.size() && i < begin + most && is_digit(text[i])) ++i;
  if (i == begin || i >= text.size() || (text[i] != ')' && (bracketed || text[i] != '.'))) return 0;
  const size_t after = ++i;
  while (i < text.size() && is_space(text[i])) ++i;
  if (i == text.size() || (after == i && (bracketed || is_digit(text[i])))) return 0;
  return i;
}

}  // namespace

Box find_box(string_view text, Which which, std::vector<size_t>& open) {
  Box best;
  open.clear();  // begin of each open brace's box, or npos for a plain brace
  // Outside a box braces do not count: only a backslash can begin one.
  const auto find_next = [&](size_t from) {
    return open.empty() ? find_any<'\\'>(text, from) : find_any<'\\', '{', '}'>(text, from);
  };
  size_t i = find_next(0);
  while (i != string_view::npos) {
    size_t next = i + 1;
    if (text[i] == '\\') {
      if (text.substr(i, kBoxed.size()) == kBoxed) {
        open.push_back(i);
        next = i + kBoxed.size();
      } else if (escapes_brace(text, i)) {
        ++next;
      }
    } else if (text[i] == '{') {
      open.push_back(string_view::npos);
    } else {
      const size_t begin = open.back();
      open.pop_back();
      const bool better = !best.found || (which == Which::kFirst ? begin < best.begin : begin > best.begin);
      if (begin != string_view::npos && better) {
        best.found = true;
        best.begin = begin;
        best.content = text.substr(begin + kBoxed.size(), i - begin - kBoxed.size());
      }
    }
    i = find_next(next);
  }
  return best;
}

string_view unwrap(string_view content) {
  content = trim(content);
  for (int depth = 0; depth < kMostWrappers; ++depth) {
    if (content.size() < 3 || content[0] != '\\' || content.back() != '}') return content;
    size_t i = 1;
    while (i < content.size() && is_letter(content[i])) ++i;
    if (i == 1 || i >= content.size() || content[i] != '{') return content;
    int level = 0;
    for (size_t j = i; j < content.size(); ++j) {
      if (escapes_brace(content, j)) {
        ++j;
      } else if (content[j] == '{') {
        ++level;
      } else if (content[j] == '}' && --level == 0 && j + 1 != content.size()) {
        return content;
      }
    }
    if (level != 0) return content;
    content = trim(content.substr(i + 1, content.size() - i - 2));
  }
  return content;
}

void split_lines(string_view content, std::vector<string_view>& lines) {
  lines.clear();
  size_t begin = 0, i = 0;
  const auto add = [&](size_t end) {
    const string_view line = trim(content.substr(begin, end - begin));
    if (!line.empty()) lines.push_back(line);
  };
  while ((i = find_any<'\n', '\r', '['>(content, i)) != string_view::npos) {
    const bool sep = content[i] == '[';
    if (sep && content.substr(i, kSep.size()) != kSep) {
      ++i;
      continue;
    }
    add(i);
    i += sep ? kSep.size() : 1;
    begin = i;
  }
  add(content.size());
}

string_view clean_entry(string_view entry) {
  const auto strip_marks = [&entry] {
    while (const size_t n = leading_mark(entry)) entry.remove_prefix(n);
  };
  strip_marks();
  if (const size_t n = numbering(entry)) {
    entry.remove_prefix(n);
    strip_marks();
  }
  while (const size_t n = trailing_mark(entry)) entry.remove_suffix(n);
  return entry;
}

}  // namespace rerec
