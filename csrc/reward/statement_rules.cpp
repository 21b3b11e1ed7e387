// What an item, a value, a phrase and what stands between them do to the statements of a line.
#include <algorithm>

#include "reward/gaps.hpp"
#include "reward/statements.hpp"

namespace rerec {

using std::string_view;

namespace {

constexpr uint64_t kAny = ~uint64_t{0};
constexpr int kOthers = 63;  // the number of all relations from this one on

}  // namespace

void StatementReader::reset(bool fresh) {
  state_ = State();
  state_.fresh = fresh;
  items_.clear();
  before_.clear();
  broken_ = true;
}

void StatementReader::take_gap(string_view gap, const Element& last) {
  uint8_t least = kKnown;
  bool opens = false, closes = false, marks = false;
  bool other = false;
  for (char c : gap) {
    const uint8_t kind = kGapBytes[static_cast<unsigned char>(c)];
    least = std::min(least, kind);
    other = other || kind == kOther;
    opens = opens || c == '(' || c == '[';
    closes = closes || c == ')' || c == ']';
    marks = marks || c == ',' || c == ':' || c == '-';
  }
  if (least != kKnown) {
    reset(!other);
  } else if (last.type == Type::kItem) {
    if (opens) {
      state_.bracket = true;
    } else if (marks) {
      state_.hidden = static_cast<uint8_t>(state_.hidden & ~kAsks);
      state_.doubt = false;
    }
  } else if (state_.bracket && closes) {
    state_.bracket = state_.denied = state_.over = false;
    if (state_.hidden != 0) items_.clear();
  }
}

void StatementReader::take_item(const PlainLine& line, const Element& element, const Element& last) {
  const uint32_t item = static_cast<uint32_t>(element.id);
  const State old = state_;
  state_ = State();
  state_.fresh = false;
  state_.listing = true;
  if (!items_.empty() && old.listing) {
    const bool together = old.joined || old.either;
    state_.hidden = old.hidden;
    state_.neither = old.neither;
    if (old.either && !old.neither && state_.hidden == 0) state_.hidden = kHides;
    if (state_.hidden != 0 && !together) {
      items_.clear();
      state_.hidden = 0;
      state_.neither = false;
    } else {
      state_.together = together || old.together;
    }
    items_.push_back(item);
    before_.clear();
  } else {
    if (last.kind == PhraseKind::kRoleOf) state_.role = names_.phrase(last.id).mask;
    state_.neither = last.kind == PhraseKind::kNeither;
    const uint8_t flags = last.kind == PhraseKind::kActive ? uint8_t{0} : hidden_at(line, element.begin);
    state_.hidden = static_cast<uint8_t>(flags & (kAsks | kHides));
    state_.doubt = (flags & kDoubts) != 0;
    if (!before_.empty()) values_before(line, element, last, old);
    items_.assign(1, item);
    before_.clear();
  }
  if (mentions_[item].owned) reset(false);
}

// What the word before an item, and before its articles and noun, does to it.
uint8_t StatementReader::hidden_at(const PlainLine& line, size_t begin) const {
  PlainWord word;
  while (line.previous(begin, word) && is_beside(line.text().substr(word.end, begin - word.end))) {
    const Phrase* phrase = names_.phrase_of(line, word);
    if (phrase == nullptr) return 0;
    if (phrase->kind != PhraseKind::kArticle && phrase->kind != PhraseKind::kNoun) {
      return phrase->flags & (kAsks | kHides | kDoubts);
    }
    begin = word.begin;
  }
  return 0;
}

// Statements of values that stand before the item.
void StatementReader::values_before(const PlainLine& line, const Element& element, const Element& last,
                                    const State& old) {
  const string_view text = line.text();
  const ItemMention& item = mentions_[static_cast<size_t>(element.id)];
  const string_view gap = text.substr(last.end, element.begin - last.end);
  if (has(gap, ":")) {
    if (!old.fresh) return;
    for (const Before& value : before_) judge(item, value.value, value.mask, value.denied);
    return;
  }
  const Before& value = before_.back();
  if (last.number > value.number + 1 || !is_beside(gap) || value.denied) return;
  if (last.kind == PhraseKind::kActive) {
    judge(item, value.value, names_.phrase(last.id).mask, false);
  } else if (last.type == Type::kValue || last.kind == PhraseKind::kNoun) {
    PlainWord word;
    if (!line.previous(value.begin, word) || !line.is(word.begin, word.end, "the")) return;
    if (only_spaces(text.substr(word.end, value.begin - word.end))) judge(item, value.value, value.mask, false);
  }
}

void StatementReader::take_value(const PlainLine& line, const Element& element, const Element& last,
                                 const Element& after) {
  const Value& value = names_.value(element.id);
  const size_t gap_end = after.type == Type::kNone ? line.end() : after.begin;
  const string_view gap = line.text().substr(element.end, gap_end - element.end);
  if (is_misread(line, element, last, after)) {
    reset(false);
    return;
  }
  const bool denied = state_.denied || state_.neither;
  bool sure = !state_.over;
  if (state_.over && !state_.neither) sure = state_.choice;
  if (!denied && (state_.choice || after.kind == PhraseKind::kOr)) sure = false;
  const size_t first = gap.find_first_not_of(' ');
  if (first != string_view::npos && gap[first] == kSymbol) sure = false;
  if (after.kind == PhraseKind::kNo && first == string_view::npos && after.end < line.end() &&
      (line.text()[after.end] == ',' || line.text()[after.end] == ';')) {
    sure = false;  // unclear whether it denies the value
  }
  const uint64_t mask = state_.direct || fits(value) ? state_.mask : kAny;
  if (!sure || has(gap, "?")) {
    before_.clear();
  } else if (is_ahead(line, after, gap) || items_.empty()) {
    if (!items_.empty()) before_.clear();
    before_.push_back({element.begin, element.number, element.id, mask, denied});
  } else {
    before_.clear();
    const bool all = state_.many || state_.neither;
    if (state_.bracket || (state_.hidden == 0 && !all && !state_.together)) {
      judge(mentions_[items_.back()], element.id, mask, denied);
    } else if (state_.hidden == 0 && all) {
      for (uint32_t item : items_) judge(mentions_[item], element.id, mask, denied);
    }
  }
  state_.over = denied;
  state_.direct = state_.listing = state_.choice = false;
}

// Whether one of the value's attributes has a relation that may be meant.
bool StatementReader::fits(const Value& value) const {
  const ItemSpan attributes = names_.attributes_of(value);
  return std::any_of(attributes.begin(), attributes.end(),
                     [&](int32_t a) { return state_.mask >> names_.relation_of(a) & 1; });
}

// Whether the value is not meant as one of the items before it.
bool StatementReader::is_misread(const PlainLine& line, const Element& element, const Element& last,
                                 const Element& after) const {
  const Value& value = names_.value(element.id);
  if (value.number && !state_.direct) return true;
  if (value.any_case && state_.direct && !fits(value)) return true;
  if (value.title && state_.listing && !state_.bracket && element.upper) return true;
  const bool not_after = after.kind == PhraseKind::kNot;
  if (last.kind == PhraseKind::kBut && (not_after || after.kind == PhraseKind::kVerb)) return true;
  if (last.kind == PhraseKind::kAnd && not_after) return true;
  return !is_whole(line, element, last, after);
}

// Whether the value is no part of something longer that is not known.
bool StatementReader::is_whole(const PlainLine& line, const Element& element, const Element& last,
                               const Element& after) const {
  const string_view text = line.text();
  if (after.type != Type::kNone && after.is_unknown() &&
      only_spaces(text.substr(element.end, after.begin - element.end)) &&
      (names_.value(element.id).any_case || after.upper)) {
    return after.kind == PhraseKind::kAfter;
  }
  return !(last.type == Type::kUnknown && last.upper && only_spaces(text.substr(last.end, element.begin - last.end)));
}

// Whether the value is of the item right after it, if of any.
bool StatementReader::is_ahead(const PlainLine& line, const Element& after, string_view gap) const {
  if (after.type == Type::kItem) return has(gap, ":") || is_beside(gap);
  if ((after.kind != PhraseKind::kActive && after.kind != PhraseKind::kNoun) || !only_spaces(gap)) return false;
  PlainWord word;
  if (!line.next(after.end, word) || next_item_ == mentions_.size()) return false;
  return mentions_[next_item_].begin == word.begin && is_beside(line.text().substr(after.end, word.begin - after.end));
}

void StatementReader::take_phrase(const Element& element, const Element& last) {
  const Phrase& phrase = names_.phrase(element.id);
  PhraseKind kind = phrase.kind;
  const bool after_value = last.type == Type::kValue;
  if (kind == PhraseKind::kNo && !after_value) {
    const bool after_verb = last.kind == PhraseKind::kVerb || (last.type == Type::kPhrase && last.id == names_.with());
    if (!after_verb) return reset(false);
    kind = PhraseKind::kNot;
  }
  if ((kind == PhraseKind::kYes || kind == PhraseKind::kActive) && !after_value) return reset(false);
  const bool is_verb = kind == PhraseKind::kVerb;
  if (kind == PhraseKind::kNot) {
    state_.denied = true;
    state_.over = false;
  } else if (kind == PhraseKind::kYes || kind == PhraseKind::kNo || kind == PhraseKind::kBut ||
             (kind == PhraseKind::kOnly && last.kind == PhraseKind::kNot) ||
             (state_.over && (is_verb || (phrase.flags & kResets) != 0))) {
    state_.denied = state_.over = false;
  }
  if (kind == PhraseKind::kAnd || kind == PhraseKind::kOr || kind == PhraseKind::kNor) {
    state_.choice = kind != PhraseKind::kAnd;
    state_.joined = state_.joined || kind != PhraseKind::kOr;
    state_.either = state_.either || kind == PhraseKind::kOr;
  } else if (kind != PhraseKind::kArticle) {
    state_.listing = false;
  }
  state_.many = state_.many || (phrase.flags & kMany) != 0;
  if (is_verb && state_.doubt) state_.hidden = kHides;
  if (is_verb || kind == PhraseKind::kBut) {
    state_.mask = kAny;
    state_.choice = false;
  }
  if (kind == PhraseKind::kRelation) {
    state_.mask = phrase.mask;
    state_.direct = true;
  } else if (is_verb && state_.role != 0) {
    state_.mask = state_.role;
    state_.direct = true;
    state_.hidden = 0;
    state_.role = 0;
  } else if (kind != PhraseKind::kArticle && kind != PhraseKind::kOnly && kind != PhraseKind::kNot) {
    state_.direct = false;
  }
}

// Adds the statement, unless the graph does not tell: an item without any value of the relation, several items of one
// name that disagree.
void StatementReader::judge(const ItemMention& mention, int32_t value, uint64_t mask, bool denied) {
  const ItemSpan attributes = names_.attributes_of(names_.value(value));
  const auto fits = [&](int32_t a) { return mask >> names_.relation_of(a) & 1; };
  uint64_t asked = 0;
  for (int32_t a : attributes) {
    if (fits(a)) asked |= uint64_t{1} << names_.relation_of(a);
  }
  if (asked == 0) asked = mask & ~(uint64_t{1} << kOthers);
  bool any = false, all = true;
  for (uint32_t i = mention.first; i < mention.last; ++i) {
    const ItemSpan own = tables_.attributes_of(ids_[i]);
    uint64_t told = 0;
    bool holds = false;
    for (int32_t a : own) {
      told |= uint64_t{1} << names_.relation_of(a);
      holds = holds || (fits(a) && std::binary_search(attributes.begin(), attributes.end(), a));
    }
    if ((told & asked) == 0) return;
    any = any || holds;
    all = all && holds;
  }
  if (mention.first == mention.last || any != all) return;
  found_.push_back({line_, ids_[mention.first], value, denied, any != denied});
}

}  // namespace rerec
