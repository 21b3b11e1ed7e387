#include "reward/answer.hpp"

#include <algorithm>

#include "text/words.hpp"

namespace rerec {

using std::string_view;

const Answer& AnswerReader::read(string_view text, Candidates candidates, Which which) {
  answer_.begin = answer_.repeats = 0;
  answer_.entries.clear();
  const Box box = find_box(text, which, braces_);
  if (!box.found) return answer_;
  answer_.begin = box.begin;
  candidates_ = candidates;
  split_lines(unwrap(box.content), lines_);
  if (lines_.size() == 1 && lines_[0].find(';') == string_view::npos) {  // one entry: nothing to compare it with
    const string_view cleaned = clean_entry(lines_[0]);
    const int32_t item = resolve(lines_[0], Strictness::kFull);
    if (item >= 0 || !cleaned.empty()) answer_.entries.push_back({item, cleaned.empty() ? lines_[0] : cleaned});
    return answer_;
  }
  seen_.clear();
  blank_.clear();
  items_.clear();
  unknown_.clear();
  parts_read_ = 0;
  for (string_view line : lines_) {
    if (full()) break;
    read_line(line);
  }
  return answer_;
}

void AnswerReader::read_line(string_view line) {
  if (line.find(';') == string_view::npos) {
    read_part(line);
    return;
  }
  const int32_t whole = resolve(line, Strictness::kWholeName);
  if (whole >= 0) {
    add(whole, clean_entry(line));
    return;
  }
  parts_.clear();
  for (size_t begin = 0; begin <= line.size() && parts_.size() < kMostParts;) {
    const size_t end = std::min(line.find(';', begin), line.size());
    parts_.push_back(line.substr(begin, end - begin));
    begin = end + 1;
  }
  for (size_t i = 0; i < parts_.size() && !full();) i += read_joined(i);
}

// The longest run of parts from `first` that is a title with ';', else the part alone; how many were taken.
size_t AnswerReader::read_joined(size_t first) {
  const size_t most = std::min(parts_.size() - first - 1, static_cast<size_t>(catalogue_.most_semicolons()));
  for (size_t more = most; more > 0; --more) {
    const string_view last = parts_[first + more];
    const string_view text(parts_[first].data(), static_cast<size_t>(last.data() + last.size() - parts_[first].data()));
    const int32_t item = resolve(text, Strictness::kWholeName);
    if (item >= 0 && catalogue_.title(item).find(';') != string_view::npos) {
      add(item, clean_entry(text));
      return more + 1;
    }
  }
  read_part(parts_[first]);
  return 1;
}

void AnswerReader::read_part(string_view text) {
  ++parts_read_;
  text = trim(text);
  if (text.empty() || blank_.count(text) > 0) return;
  if (!seen_.insert(text).second) {
    ++answer_.repeats;
    return;
  }
  const string_view cleaned = clean_entry(text);
  const int32_t item = resolve(text, Strictness::kFull);
  if (item >= 0 || !cleaned.empty()) {
    add(item, cleaned.empty() ? text : cleaned);
  } else {
    seen_.erase(text);
    blank_.insert(text);
  }
}

// The bytes as they are (a title may begin with a quote or a number and a dot), then without the marks around them.
int32_t AnswerReader::resolve(string_view text, Strictness strictness) const {
  text = trim(text);
  const int32_t exact = catalogue_.match_exact(text, candidates_);
  return exact >= 0 ? exact : catalogue_.match(clean_entry(text), candidates_, strictness).item;
}

void AnswerReader::add(int32_t item, string_view text) {
  bool added = false;
  if (item >= 0) {
    added = items_.insert(item).second;
  } else {
    std::string key = normalise(text);
    added = unknown_.insert(key.empty() ? std::string(text) : std::move(key)).second;
  }
  if (added) {
    answer_.entries.push_back({item, text});
  } else {
    ++answer_.repeats;
  }
}

}  // namespace rerec
