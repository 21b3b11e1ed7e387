// The numbering of a list's entries.
#pragma once

#include <string_view>

namespace rerec {

struct Numbering {
  size_t size = 0;            // bytes, the blanks behind it too; 0: none, or nothing follows it
  bool may_be_title = false;  // "24: Legacy", "#1 Cheerleader Camp": a title may begin like that
};

// The numbering that an entry begins with: "12. ", "4)", "(3) ", "[3]", "#3", "No. 3", "3: ", "3 - ", "Item 3:", "b) ",
// circled and full-width digits. "(500) Days", "9.5 Weeks" and "3:10 to Yuma" have none.
Numbering read_numbering(std::string_view text);

}  // namespace rerec
