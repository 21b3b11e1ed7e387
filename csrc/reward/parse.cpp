#include "reward/parse.hpp"

#include "reward/numbering.hpp"
#include "text/scan.hpp"
#include "text/words.hpp"

namespace rerec {
namespace {

using std::string_view;

constexpr string_view kBoxed = "\\boxed";
constexpr string_view kSep = "[SEP]";

// Where the content of the box begins whose command stands at `i`; 0: none does.
size_t content_of_box(string_view text, size_t i) {
  if (text.substr(i, kBoxed.size()) != kBoxed) return 0;
  i += kBoxed.size();
  while (i < text.size() && is_space(text[i])) ++i;
  return i < text.size() && text[i] == '{' ? i + 1 : 0;
}

// Whether a backslash at `i` makes the brace after it a character.
bool escapes_brace(string_view text, size_t i) {
  return text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '{' || text[i + 1] == '}');
}

// Length of the mark that `text` begins with: quotes, emphasis, bullets, dashes; 0: none. "#" before a digit is
// numbering.
size_t leading_mark(string_view text) {
  if (text.empty()) return 0;
  if (text[0] == '#') return text.size() > 1 && is_digit(text[1]) ? 0 : 1;
  if (is_space(text[0]) || string_view("\"'`*_-$>").find(text[0]) != string_view::npos) return 1;
  if (!(text[0] & 0x80)) return 0;
  for (string_view mark : {"\u201c", "\u201d", "\u2018", "\u2019", "\u201e", "\u2022", "\u2013", "\u2014", "\u25cf", "\u25e6",
                           "\u00b7", "\u00ab", "\u00bb", "\u00a0", "\u3000", "\u300a", "\u300c", "\u300e", "\u30fb", "\u25aa",
                           "\u25a0", "\u2192", "\u2023"}) {
    if (text.substr(0, mark.size()) == mark) return mark.size();
  }
  return 0;
}

size_t trailing_mark(string_view text) {
  if (text.empty()) return 0;
  if (is_space(text.back()) || string_view("\"'`*_$,.").find(text.back()) != string_view::npos) return 1;
  if (!(text.back() & 0x80)) return 0;
  for (string_view mark : {"\u201c", "\u201d", "\u2019", "\u00ab", "\u00bb", "\u00a0", "\u3000", "\u300b", "\u300d", "\u300f",
                           "\u3001", "\u3002", "\uff0c", "\uff0e"}) {
    if (text.size() >= mark.size() && text.substr(text.size() - mark.size()) == mark) return mark.size();
  }
  return 0;
}

}  // namespace

Box find_box(string_view text, Which which, std::vector<size_t>& open) {
  Box best;
  open.clear();
  // Outside a box braces do not count: only a backslash can begin one.
  const auto find_next = [&](size_t from) {
    return open.empty() ? find_any<'\\'>(text, from) : find_any<'\\', '{', '}'>(text, from);
  };
  size_t i = find_next(0);
  while (i != string_view::npos) {
    size_t next = i + 1;
    if (text[i] == '\\') {
      if (const size_t content = content_of_box(text, i)) {
        open.push_back(i);
        next = content;
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
        best.begin = best.outer = begin;
        const size_t content = content_of_box(text, begin);
        best.content = text.substr(content, i - content);
      } else if (begin < best.outer) {
        best.outer = begin;
      }
    }
    i = find_next(next);
  }
  return best;
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

CleanEntry clean_entry(string_view entry) {
  const auto strip_front = [](string_view& text) {
    while (const size_t n = leading_mark(text)) text.remove_prefix(n);
  };
  strip_front(entry);
  CleanEntry out{entry, entry};
  const Numbering number = read_numbering(entry);
  out.text.remove_prefix(number.size);
  if (number.size > 0) strip_front(out.text);
  if (!number.may_be_title) out.numbered = out.text;
  for (string_view* text : {&out.text, &out.numbered}) {
    while (const size_t n = trailing_mark(*text)) text->remove_suffix(n);
  }
  return out;
}

string_view strip_semicolons(string_view entry) {
  const bool front = !entry.empty() && entry.front() == ';', back = !entry.empty() && entry.back() == ';';
  while (front && !entry.empty()) {
    const size_t n = entry.front() == ';' ? 1 : leading_mark(entry);
    if (n == 0) break;
    entry.remove_prefix(n);
  }
  while (back && !entry.empty()) {
    const size_t n = entry.back() == ';' ? 1 : trailing_mark(entry);
    if (n == 0) break;
    entry.remove_suffix(n);
  }
  return entry;
}

}  // namespace rerec
