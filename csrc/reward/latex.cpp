#include "reward/latex.hpp"

#include <algorithm>

#include "text/catalogue.hpp"
#include "text/scan.hpp"
#include "text/words.hpp"

namespace rerec {
namespace {

using std::string;
using std::string_view;

constexpr size_t kLongestArgument = 256;  // of those left out

struct Symbol {
  string_view name, text;
};

constexpr Symbol kSymbols[] = {
    {"quad", " "}, {"qquad", " "}, {"enspace", " "}, {"enskip", " "}, {"thinspace", " "}, {"medspace", " "},
    {"thickspace", " "}, {"space", " "}, {"nobreakspace", " "}, {"hfill", " "}, {"newline", "\n"}, {"linebreak", "\n"},
    {"par", "\n"}, {"item", "\n"}, {"cr", "\n"}, {"hline", "\n"}, {"ldots", "..."}, {"dots", "..."}, {"cdots", "..."},
    {"textellipsis", "..."}, {"textquotesingle", "'"}, {"textquoteright", "'"}, {"textquoteleft", "'"}, {"rq", "'"},
    {"lq", "'"}, {"textquotedblleft", "\""}, {"textquotedblright", "\""}, {"textendash", "-"}, {"textemdash", "-"},
    {"bullet", " "}, {"textbullet", " "}, {"cdot", " "}, {"frac", " "}, {"tfrac", " "}, {"dfrac", " "}, {"sfrac", " "},
    {"textsuperscript", " "}, {"textsubscript", " "}, {"ss", "ss"}, {"ae", "ae"}, {"AE", "AE"}, {"oe", "oe"}, {"OE", "OE"},
    {"o", "o"}, {"O", "O"}, {"aa", "a"}, {"AA", "A"}, {"l", "l"}, {"L", "L"}, {"i", "i"}, {"j", "j"}, {"dh", "d"},
    {"DH", "D"}, {"dj", "d"}, {"DJ", "D"}, {"th", "th"}, {"TH", "Th"}, {"textdollar", "$"}, {"pounds", "\u00a3"},
    {"textsterling", "\u00a3"}, {"textunderscore", "_"}, {"textasciitilde", "~"}, {"textbackslash", "\\"}, {"times", "x"},
    {"bf", ""}, {"it", ""}, {"rm", ""}, {"sf", ""}, {"tt", ""}, {"sc", ""}, {"em", ""}, {"sl", ""}, {"bfseries", ""},
    {"itshape", ""}, {"rmfamily", ""}, {"sffamily", ""}, {"ttfamily", ""}, {"scshape", ""}, {"upshape", ""},
    {"normalfont", ""}, {"normalsize", ""}, {"tiny", ""}, {"small", ""}, {"large", ""}, {"Large", ""}, {"LARGE", ""},
    {"huge", ""}, {"Huge", ""}, {"displaystyle", ""}, {"textstyle", ""}, {"scriptstyle", ""}, {"centering", ""},
    {"raggedright", ""}, {"noindent", ""}, {"left", ""}, {"right", ""}, {"big", ""}, {"Big", ""}, {"bigl", ""},
    {"bigr", ""}, {"Bigl", ""}, {"Bigr", ""}, {"bigg", ""}, {"Bigg", ""}, {"limits", ""}, {"protect", ""}, {"relax", ""}};

// Commands whose first arguments print nothing, and how many those are.
struct Silent {
  string_view name;
  int arguments;
};
constexpr Silent kSilent[] = {{"textcolor", 1}, {"color", 1},  {"colorbox", 1}, {"fcolorbox", 2}, {"href", 1},
                              {"hspace", 1},    {"vspace", 1}, {"fontsize", 2}, {"label", 1},     {"phantom", 1},
                              {"hphantom", 1},  {"vphantom", 1}};

bool is_letter(char c) { return to_lower(c) >= 'a' && to_lower(c) <= 'z'; }

template <class Row, size_t n>
const Row* find_row(const Row (&rows)[n], string_view name) {
  for (const Row& row : rows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

class Printer {
 public:
  Printer(string_view text, string& out, std::vector<Origin>* origins)
      : text_(text), out_(out), origins_(origins), from_(out.size()) {}

  void print() {
    while (at_ < text_.size()) {
      const size_t next = std::min(find_any<'\\', '{', '}', '\xEF'>(text_, at_), text_.size());
      note(true);
      out_.append(text_.substr(at_, next - at_));
      at_ = next;
      if (at_ == text_.size()) break;
      note(false);
      switch (text_[at_]) {
        case '\\': print_command(); break;
        case '{': ++at_; break;
        case '}':
          if (char_at(++at_) == '{') out_.push_back(' ');
          break;
        default: print_wide();
      }
    }
    note(false);
  }

 private:
  void note(bool same) {
    if (origins_ != nullptr) origins_->push_back({out_.size() - from_, at_, same});
  }

  char char_at(size_t i) const { return i < text_.size() ? text_[i] : '\0'; }

  size_t skip_blanks(size_t i) const {
    while (i < text_.size() && is_space(text_[i])) ++i;
    return i;
  }

  void print_wide() {
    const bool semicolon = text_.substr(at_, kWideSemicolon.size()) == kWideSemicolon;
    const size_t size = semicolon ? kWideSemicolon.size() : 1;
    out_.append(semicolon ? string_view(";") : text_.substr(at_, 1));
    at_ += size;
  }

  string_view name_at(size_t i) const {
    const size_t begin = i;
    while (i < text_.size() && is_letter(text_[i])) ++i;
    return text_.substr(begin, i - begin);
  }

  // "\n" as two characters
  static bool is_newline(string_view name) {
    return name[0] == 'n' && (name.size() == 1 || (name[1] >= 'A' && name[1] <= 'Z'));
  }

  // Whether letters behind a backslash are a command that is known, or has an argument.
  bool is_command(size_t i) const {
    const string_view name = name_at(i);
    return is_newline(name) || find_row(kSymbols, name) != nullptr || name == "begin" || name == "end" || char_at(i + name.size()) == '{';
  }

  void print_command() {
    const char c = char_at(at_ + 1);
    if (is_letter(c)) return print_word();
    switch (c) {
      case '\\': return print_break();
      case ',': case ';': case ':': case '>': case ' ': case '\t': case '\n': case '\r':
        out_.push_back(c == '\n' || c == '\r' ? '\n' : ' ');
        break;
      case '/': break;
      case '"': case '^': case '~': return print_accent(c);
      default:
        if ((c & 0x80) != 0 || c == '\0' || is_digit(c)) {
          out_.push_back('\\');
          ++at_;
          return;
        }
        out_.push_back(c);
    }
    at_ += 2;
  }

  // "\"o" within a word; else the character.
  void print_accent(char c) {
    const char next = char_at(at_ + 2);
    const bool within = out_.size() > from_ && is_letter(out_.back());
    if (!(is_letter(next) || next == '{') || (c == '"' && !within)) out_.push_back(c);
    at_ += 2;
  }

  // A line break, or a backslash that was escaped itself.
  void print_break() {
    const char next = char_at(at_ + 2);
    if (next == '{' || next == '}' || (is_letter(next) && is_command(at_ + 2)) ||
        (next != '\0' && string_view("%$#_").find(next) != string_view::npos) || (next == '&' && !aligned_)) {
      ++at_;
      return;
    }
    at_ += 2;
    begin_line();
  }

  void begin_line() {
    out_.push_back('\n');
    const size_t next = skip_blanks(at_);
    if (char_at(next) == '&') at_ = next + 1;  // a column's
  }

  void print_word() {
    const string_view name = name_at(at_ + 1);
    if (is_newline(name)) {
      at_ += 2;
      out_.push_back('\n');
      return;
    }
    const size_t end = at_ + 1 + name.size() + (char_at(at_ + 1 + name.size()) == '*');
    if (name == "begin" || name == "end") return print_environment(name, end);
    if (const Silent* silent = find_row(kSilent, name)) {
      at_ = end;
      for (int i = 0; i < silent->arguments; ++i) skip_argument();
      return;
    }
    if (const Symbol* symbol = find_row(kSymbols, name)) {
      out_.append(symbol->text);
      at_ = end;
      while (char_at(at_) == ' ') ++at_;
      if (name == "item") begin_line();
      return;
    }
    const size_t next = skip_blanks(end);
    if (char_at(next) == '{') {
      at_ = next;
    } else {
      out_.append(text_.substr(at_, end - at_));
      at_ = end;
    }
  }

  void print_environment(string_view command, size_t end) {
    aligned_ = command == "begin";
    at_ = skip_blanks(end);
    const size_t brace = at_;
    skip_argument();
    const string_view name = text_.substr(brace, at_ - brace);
    if (command == "begin" && (name == "{array}" || name == "{tabular}" || name == "{minipage}")) skip_argument();
    begin_line();
  }

  // A short {...} at hand, blanks before it.
  void skip_argument() {
    size_t i = skip_blanks(at_);
    if (char_at(i) != '{') return;
    int depth = 0;
    for (const size_t most = std::min(text_.size(), i + kLongestArgument); i < most; ++i) {
      if (text_[i] == '\\') {
        ++i;
      } else if (text_[i] == '{') {
        ++depth;
      } else if (text_[i] == '}' && --depth == 0) {
        at_ = i + 1;
        return;
      }
    }
  }

  string_view text_;
  string& out_;
  std::vector<Origin>* origins_;
  size_t from_, at_ = 0;
  bool aligned_ = false;  // '&' may begin a column
};

}  // namespace

bool may_hold_latex(string_view text) {
  const size_t first = find_any<'\\', '{', '}', '\xEF'>(text);
  if (first == string_view::npos) return false;
  return text[first] != '\xEF' || find_any<'\\', '{', '}'>(text, first) != string_view::npos ||
         text.find(kWideSemicolon, first) != string_view::npos;
}

void append_without_latex(string_view text, string& out, std::vector<Origin>* origins) {
  if (origins != nullptr) origins->clear();
  Printer(text, out, origins).print();
}

Range origin_of(const std::vector<Origin>& origins, size_t begin, size_t end) {
  const auto at = [&](size_t place) {  // of several that begin there the last printed it
    const auto begins_later = [](size_t p, const Origin& origin) { return p < origin.out; };
    return std::upper_bound(origins.begin(), origins.end(), place, begins_later) - 1;
  };
  const auto first = at(begin), last = at(end - 1);
  return {first->same ? first->from + (begin - first->out) : first->from,
          last->same ? last->from + (end - last->out) : (last + 1)->from};
}

}  // namespace rerec
