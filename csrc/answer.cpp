#include "answer.hpp"

#include <algorithm>
#include <string>
#include <unordered_set>

#include "text.hpp"

namespace rerec {
namespace {

using std::string_view;

class Reader {
 public:
  Reader(const Catalogue& catalogue, Candidates candidates, std::vector<Entry>& entries)
      : catalogue_(catalogue), candidates_(candidates), entries_(entries) {}

  bool full() const { return entries_.size() >= kMostEntries; }

  void line(string_view line) {
    if (line.find(';') == string_view::npos) {
      part(line);
      return;
    }
    const int32_t whole = resolve(line, Strictness::kWholeName);
    if (whole >= 0) {
      add(whole, clean_entry(line));
      return;
    }
    std::vector<string_view> parts;
    for (size_t begin = 0; begin <= line.size();) {
      const size_t end = std::min(line.find(';', begin), line.size());
      parts.push_back(line.substr(begin, end - begin));
      begin = end + 1;
    }
    for (size_t i = 0; i < parts.size() && !full();) i += joined(parts, i);
  }

 private:
  // The longest run of parts from `first` that is a title with ';', else the part alone; how many were taken.
  size_t joined(const std::vector<string_view>& parts, size_t first) {
    const size_t most = std::min(parts.size() - first - 1, static_cast<size_t>(catalogue_.most_semicolons()));
    for (size_t more = most; more > 0; --more) {
      const string_view last = parts[first + more];
      const string_view text(parts[first].data(), static_cast<size_t>(last.data() + last.size() - parts[first].data()));
      const int32_t item = resolve(text, Strictness::kWholeName);
      if (item >= 0 && catalogue_.title(item).find(';') != std::string::npos) {
        add(item, clean_entry(text));
        return more + 1;
      }
    }
    part(parts[first]);
    return 1;
  }

  void part(string_view text) {
    text = trim(text);
    if (text.empty() || !seen_.insert(text).second) return;
    const string_view cleaned = clean_entry(text);
    const int32_t item = resolve(text, Strictness::kFull);
    if (item >= 0 || !cleaned.empty()) add(item, cleaned.empty() ? text : cleaned);
  }

  // The bytes as they are (a title may begin with a quote or a number and a dot), then without the marks around them.
  int32_t resolve(string_view text, Strictness strictness) const {
    text = trim(text);
    const int32_t exact = catalogue_.match_exact(text, candidates_);
    return exact >= 0 ? exact : catalogue_.match(clean_entry(text), candidates_, strictness).item;
  }

  void add(int32_t item, string_view text) {
    if (item >= 0) {
      if (!items_.insert(item).second) return;
    } else {
      std::string key = normalise(text);
      if (!unknown_.insert(key.empty() ? std::string(text) : std::move(key)).second) return;
    }
    entries_.push_back({item, text});
  }

  const Catalogue& catalogue_;
  const Candidates candidates_;
  std::vector<Entry>& entries_;
  std::unordered_set<string_view> seen_;
  std::unordered_set<int32_t> items_;
  std::unordered_set<std::string> unknown_;
};

}  // namespace

Answer read_answer(string_view text, const Catalogue& catalogue, Candidates candidates, Which which) {
  Answer answer;
  const Box box = find_box(text, which);
  if (!box.found) return answer;
  answer.begin = box.begin;
  Reader reader(catalogue, candidates, answer.entries);
  for (string_view line : split_lines(unwrap(box.content))) {
    if (reader.full()) break;
    reader.line(line);
  }
  return answer;
}

}  // namespace rerec
