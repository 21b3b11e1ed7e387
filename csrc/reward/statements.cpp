#include "reward/statements.hpp"

#include "reward/gaps.hpp"

namespace rerec {

using std::string_view;

namespace {

// Whether a word begins there: no apostrophe joins it to one before.
bool begins_word(string_view text, size_t at) {
  size_t before = at;
  while (before > 0 && is_plain_apostrophe(text[before - 1])) --before;
  return before == at || before == 0 || !is_plain_word(text[before - 1]) || text[at] == '&';
}

}  // namespace

const std::vector<Statement>& StatementReader::read(string_view text, const std::vector<Line>& lines, size_t count) {
  found_.clear();
  if (count == 0) return found_;
  const std::vector<Line>* at = &lines;
  if (!letters_.read(text, lines[count - 1].end)) {
    plain_.clear();
    plain_lines_.clear();
    for (size_t i = 0; i < count; ++i) {
      const size_t begin = plain_.size();
      append_plain(text.substr(lines[i].begin, lines[i].end - lines[i].begin), plain_);
      plain_lines_.push_back({begin, plain_.size()});
    }
    text = plain_;
    at = &plain_lines_;
    letters_.read(text, text.size());
  }
  read_lines(text, *at);
  return found_;
}

// Finds the items of each line, and reads those lines that name some.
void StatementReader::read_lines(string_view text, const std::vector<Line>& lines) {
  size_t listed = 0, floor = 0;
  bool open = false;  // the line at hand is line_
  PlainLine line;
  const auto end_line = [&] {
    if (open && !mentions_.empty()) read_line(line, listed);
    open = false;
  };
  line_ = 0;
  const uint32_t* starts = letters_.starts();
  const size_t count = names_.choose_starts(letters_, letters_.starts(), letters_.count());
  for (size_t i = 0; i < count; ++i) {
    const uint32_t start = starts[i];
    if (!open || start >= lines[line_].end) {
      end_line();
      while (lines[line_].end <= start) ++line_;
      size_t end = lines[line_].end;
      while (end > lines[line_].begin && (text[end - 1] == '\n' || text[end - 1] == '\r')) --end;
      line = PlainLine(text, letters_, lines[line_].begin, end);
      listed = floor = NameIndex::listed(line);
      mentions_.clear();
      ids_.clear();
      open = true;
    }
    if (start < floor || !begins_word(text, start)) continue;
    ItemMention mention;
    if (!names_.item_at(line, listed, floor, start, mention, ids_)) continue;
    mentions_.push_back(mention);
    floor = mention.end;
  }
  end_line();
}

// One pass over the elements around the items: what lies between a word that is no element and the next item's values
// and phrases is left unread.
void StatementReader::read_line(const PlainLine& line, size_t listed) {
  const string_view text = line.text();
  Element last, element, after;
  next_item_ = 0;
  reset(true);
  size_t end = listed;
  PlainWord word;
  size_t known_item = ~size_t{0}, known_begin = 0;  // where the words before an item begin: looked for once
  const auto skip = [&] {  // to the words before the next item
    if (known_item == next_item_ && known_begin <= end) {
      line.next(end, word);
      return;
    }
    while (const size_t idle = idle_items(line, end)) {
      last = Element();
      last.type = Type::kItem;
      next_item_ += idle;
      end = mentions_[next_item_ - 1].end;
      if (next_item_ == mentions_.size()) return;
    }
    const size_t begin = left_of(line, mentions_[next_item_].begin, end, last);
    if (last.type == Type::kUnknown && last.end > end) {
      end = last.end;
      reset(false);
    }
    line.read(begin, word);
    known_item = next_item_;
    known_begin = begin;
  };
  skip();
  if (next_item_ == mentions_.size()) return;
  element = element_at(line, word);
  for (size_t number = 1;; ++number) {
    element.number = number;
    take_gap(text.substr(end, element.begin - end), last);
    if (element.type == Type::kPhrase && has(text.substr(end, element.begin - end), ";") &&
        (line.is(element.begin, element.end, "a") || line.is(element.begin, element.end, "an"))) {
      reset(false);
    }
    broken_ = false;
    after = Element();
    if (element.type == Type::kValue && line.next(element.end, word)) after = element_at(line, word);
    switch (element.type) {
      case Type::kItem: take_item(line, element, last); break;
      case Type::kValue: take_value(line, element, last, after); break;
      case Type::kPhrase:
        if (!element.is_unknown()) {
          take_phrase(element, last);
          break;
        }
        [[fallthrough]];
      default: reset(false);
    }
    last = element;
    end = element.end;
    while (next_item_ < mentions_.size() && mentions_[next_item_].begin < end) ++next_item_;
    if (next_item_ == mentions_.size() && items_.empty()) return;
    if (broken_) {
      skip();
      if (next_item_ == mentions_.size()) return;
      ++number;
      element = element_at(line, word);
    } else if (after.type != Type::kNone) {
      element = after;
    } else if (line.next(end, word)) {
      element = element_at(line, word);
    } else {
      return;
    }
  }
}

// How many of the next mentions have no values, where what came before is ended and read up to `floor`: none stand in
// front of the first, and none behind them before a word or gap that ends all.
size_t StatementReader::idle_items(const PlainLine& line, size_t floor) const {
  const string_view text = line.text();
  const ItemMention* item = &mentions_[next_item_];
  PlainWord word;
  if (line.previous(item->begin, word) && word.begin >= floor) {
    const string_view gap = text.substr(word.end, item->begin - word.end);
    if (!ends_all(gap) && (has(gap, ":") ? names_.may_end(word) : is_beside(gap) && names_.may_lead(word))) return 0;
  }
  size_t count = 1, end = item->end;
  while (!item->owned && line.next(end, word) && !ends_all(text.substr(end, word.begin - end))) {
    if (next_item_ + count < mentions_.size() && mentions_[next_item_ + count].begin == word.begin) {
      ++item;
      ++count;
      end = item->end;
    } else {
      if (names_.may_begin_value(word)) return 0;
      if (!names_.may_be_phrase(word)) break;
      end = word.end;
    }
  }
  return count;
}

// Where the words that may be values or phrases begin which lead up to an item. The word before them becomes `last`.
size_t StatementReader::left_of(const PlainLine& line, size_t begin, size_t floor, Element& last) const {
  PlainWord word;
  while (line.previous(begin, word) && word.begin >= floor) {
    if (!names_.may_be_known(word)) {
      last = Element();
      last.type = Type::kUnknown;
      last.upper = word.upper;
      last.begin = word.begin;
      last.end = word.end;
      break;
    }
    begin = word.begin;
  }
  return begin;
}

// The longest of what begins with the word; of a phrase and a value of one length the phrase.
StatementReader::Element StatementReader::element_at(const PlainLine& line, const PlainWord& word) {
  Element out;
  out.begin = word.begin;
  out.end = word.end;
  out.upper = word.upper;
  while (next_item_ < mentions_.size() && mentions_[next_item_].begin < word.begin) ++next_item_;
  size_t limit = line.end();
  if (next_item_ < mentions_.size()) {
    limit = mentions_[next_item_].begin;
    if (limit == word.begin) {
      out.type = Type::kItem;
      out.id = static_cast<int32_t>(next_item_);
      out.end = mentions_[next_item_].end;
      return out;
    }
  }
  const NameIndex::Found found = names_.find(line, word, limit);
  if (found.phrase >= 0 && found.phrase_words >= found.value_words) {
    out.type = Type::kPhrase;
    out.id = found.phrase;
    out.end = found.phrase_end;
    out.kind = names_.phrase(found.phrase).kind;
  } else if (found.value >= 0) {
    out.type = Type::kValue;
    out.id = found.value;
    out.end = found.value_end;
  } else {
    out.type = Type::kUnknown;
  }
  return out;
}

}  // namespace rerec
