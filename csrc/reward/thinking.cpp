#include "reward/thinking.hpp"

#include "text/scan.hpp"

namespace rerec {

using std::string_view;

namespace {

constexpr string_view kOpen = "<think>", kClose = "</think>";

}  // namespace

void find_said(string_view text, bool opened, std::vector<Part>& parts) {
  parts.clear();
  bool inside = opened;
  size_t begin = 0;
  for (size_t i = find_any<'<'>(text, 0); i != string_view::npos; i = find_any<'<'>(text, i + 1)) {
    if (!inside && text.substr(i, kOpen.size()) == kOpen) {
      parts.push_back({begin, i});
      inside = true;
      begin = i + kOpen.size();
    } else if (text.substr(i, kClose.size()) == kClose) {
      inside = false;  // or what stood since the block before was one
      begin = i + kClose.size();
    }
  }
  if (!inside) parts.push_back({begin, text.size()});
}

}  // namespace rerec
