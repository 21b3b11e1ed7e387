#include "reward/thinking.hpp"

#include "text/scan.hpp"

namespace rerec {

using std::string_view;

namespace {

constexpr string_view kOpen = "<think>", kClose = "</think>";

// The next mark from `i` on, or npos.
size_t find_mark(string_view text, size_t i, string_view mark) {
  for (i = find_any<'<'>(text, i); i != string_view::npos; i = find_any<'<'>(text, i + 1)) {
    if (text.substr(i, mark.size()) == mark) return i;
  }
  return string_view::npos;
}

}  // namespace

void find_said(string_view text, bool opened, std::vector<Part>& parts) {
  parts.clear();
  const size_t first_open = find_mark(text, 0, kOpen), first_close = find_mark(text, 0, kClose);
  bool inside = opened || (first_close != string_view::npos && first_close < first_open);
  for (size_t begin = 0;;) {
    const string_view mark = inside ? kClose : kOpen;
    const size_t end = find_mark(text, begin, mark);
    if (!inside) parts.push_back({begin, end == string_view::npos ? text.size() : end});
    if (end == string_view::npos) return;
    begin = end + mark.size();
    inside = !inside;
  }
}

}  // namespace rerec
