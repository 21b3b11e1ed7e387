#include "reward/answer.hpp"

#include <algorithm>

#include "reward/latex.hpp"
#include "text/words.hpp"

namespace rerec {

using std::string_view;

// The first or last box outside of blocks of reasoning.
Box AnswerReader::find_answer(string_view text, Which which, bool opened) {
  find_said(text, opened, said_);
  if (which == Which::kLast) std::reverse(said_.begin(), said_.end());
  for (const Part& part : said_) {
    Box box = find_box(text.substr(part.begin, part.end - part.begin), which, braces_);
    if (!box.found) continue;
    box.begin += part.begin;
    box.outer += part.begin;
    return box;
  }
  return Box();
}

const Answer& AnswerReader::read(string_view text, Candidates candidates, Which which, bool opened, bool places) {
  answer_.begin = answer_.repeats = 0;
  answer_.entries.clear();
  answer_.places.clear();
  places_ = places;
  source_ = text;
  const Box box = find_answer(text, which, opened);
  if (!box.found) return answer_;
  answer_.begin = box.begin;
  candidates_ = candidates;
  string_view content = trim(box.content);
  if (may_hold_latex(content)) {
    const int32_t exact = catalogue_.match_exact(content, candidates_);
    if (exact >= 0) {
      answer_.entries.push_back({exact, content});
      note(content, false);
      return answer_;
    }
    content_ = static_cast<size_t>(content.data() - text.data());
    plain_.clear();
    append_without_latex(content, plain_, places ? &origins_ : nullptr);
    content = source_ = plain_;
  }
  split_lines(content, lines_);
  if (lines_.size() == 1 && lines_[0].find(';') == string_view::npos) {  // one entry: nothing to compare it with
    const Entry entry = resolve(lines_[0], Strictness::kFull);
    if (!entry.text.empty()) {
      answer_.entries.push_back(entry);
      note(entry.text, false);
    }
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
  const Entry whole = resolve(line, Strictness::kWholeName);
  if (whole.item >= 0) {
    add(whole);
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
    const Entry entry = resolve(text, Strictness::kWholeName);
    if (entry.item >= 0 && holds_semicolon(catalogue_.title(entry.item))) {
      add(entry);
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
    if (places_) {
      const CleanEntry clean = clean_entry(text);
      note(clean.text.empty() ? text : clean.text, true);
    }
    return;
  }
  const Entry entry = resolve(text, Strictness::kFull);
  if (!entry.text.empty()) {
    add(entry);
  } else {
    seen_.erase(text);
    blank_.insert(text);
  }
}

// The bytes as they are (a title may begin with a quote or a number and a dot), then without the marks around them, at
// last without a number that may be the title's own. Its text is empty where no title is left and none is named.
Entry AnswerReader::resolve(string_view text, Strictness strictness) const {
  text = trim(text);
  const CleanEntry clean = clean_entry(text);
  const int32_t exact = catalogue_.match_exact(text, candidates_);
  if (exact >= 0) return {exact, clean.text.empty() ? text : clean.text};
  if (clean.numbered.size() != clean.text.size()) {
    const Match match = catalogue_.match(clean.numbered, candidates_, strictness);
    if (match.rule != Rule::kNone || !match.alternatives.empty()) return {match.item, clean.numbered};
  }
  const int32_t item = catalogue_.match(clean.text, candidates_, strictness).item;
  return {item, item >= 0 && clean.text.empty() ? text : clean.text};
}

void AnswerReader::add(const Entry& entry) {
  const auto [item, text] = entry;
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
  note(text, !added);
}

void AnswerReader::note(string_view written, bool repeat) {
  if (!places_) return;
  const string_view title = strip_semicolons(written);  // of a line that is a title as a whole, "Heat;"
  if (!title.empty()) written = title;
  const size_t begin = static_cast<size_t>(written.data() - source_.data());
  Range at{begin, begin + written.size()};
  if (source_.data() == plain_.data()) {
    at = origin_of(origins_, at.begin, at.end);
    at = {at.begin + content_, at.end + content_};
  }
  answer_.places.push_back({at.begin, at.end, repeat ? -1 : static_cast<int32_t>(answer_.entries.size()) - 1});
}

}  // namespace rerec
