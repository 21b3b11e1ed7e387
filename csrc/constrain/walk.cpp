#include "constrain/walk.hpp"

#include <algorithm>
#include <string>
#include <string_view>

namespace rerec {
namespace {

using std::string_view;

constexpr string_view kBoxed = "\\boxed";
constexpr uint32_t kMany = 64;               // titles of a place whose tokens are kept
constexpr size_t kMostKnown = size_t{1} << 24;  // ids that are kept

// What has been named, of a row and in the token at hand.
struct Named {
  const std::vector<uint32_t>& before;
  const AnswerPlace& place;

  bool holds(uint32_t title) const {
    if (!place.left && std::binary_search(before.begin(), before.end(), title)) return true;
    const auto end = place.fresh.begin() + place.fresh_count;
    return std::find(place.fresh.begin(), end, title) != end;
  }
  uint32_t among(TitleRange range) const {
    uint32_t count = 0;
    if (!place.left) {
      const auto lo = std::lower_bound(before.begin(), before.end(), range.lo);
      count = static_cast<uint32_t>(std::lower_bound(lo, before.end(), range.hi) - lo);
    }
    for (size_t i = 0; i < place.fresh_count; ++i) count += place.fresh[i] >= range.lo && place.fresh[i] < range.hi;
    return count;
  }
};

bool alive(TitleRange range, const Named& named) { return range.size() > named.among(range); }

// Whether the text since the last break is a whole title, not named before.
bool is_title(const AnswerPlace& place, const TitleSet& titles, const Named& named) {
  return place.depth > 0 && place.range.size() > 0 && titles.next(place.range.lo, place.depth) < 0 &&
         !named.holds(place.range.lo);
}

bool step_outside(AnswerPlace& place, unsigned char byte, TitleRange titles) {
  if (byte == '\\') {
    place.matched = 1;
  } else if (place.matched == kBoxed.size() && byte == '{') {
    place = AnswerPlace();
    place.inside = place.left = true;
    place.lead = AnswerPlace::kBreak | AnswerPlace::kSpace;
    place.range = titles;
    return titles.size() > 0;
  } else if (place.matched == kBoxed.size()) {
    if (!is_space(static_cast<char>(byte))) place.matched = 0;
  } else {
    const bool next = place.matched > 0 && byte == static_cast<unsigned char>(kBoxed[place.matched]);
    place.matched = next ? static_cast<uint8_t>(place.matched + 1) : uint8_t{0};
  }
  return true;
}

// What ends a title or stands before one; `taken` tells whether the byte did.
bool step_mark(AnswerPlace& place, unsigned char byte, const TitleSet& titles, const Named& named, bool& taken) {
  taken = true;
  if (place.depth == 0 && byte == '\n' && (place.lead & AnswerPlace::kBreak) != 0) {
    place.lead = AnswerPlace::kSpace;
    return true;
  }
  if (place.depth == 0 && byte == ' ' && (place.lead & AnswerPlace::kSpace) != 0) {
    place.lead = 0;
    return true;
  }
  if ((byte == '}' || byte == '\n') && is_title(place, titles, named)) {
    if (place.fresh_count == AnswerPlace::kMostFresh) return false;
    place.fresh[place.fresh_count++] = place.range.lo;
    if (byte == '}') {
      place = AnswerPlace();
      place.left = true;
      return true;
    }
    place.range = titles.all();
    place.depth = 0;
    place.lead = AnswerPlace::kSpace;
    return alive(place.range, named);
  }
  taken = false;
  return true;
}

bool step(AnswerPlace& place, unsigned char byte, const TitleSet& titles, const std::vector<uint32_t>& before) {
  if (!place.inside) return step_outside(place, byte, titles.all());
  const Named named{before, place};
  bool taken = false;
  if (!step_mark(place, byte, titles, named, taken)) return false;
  if (taken) return true;
  place.range = titles.narrow(place.range, place.depth, byte);
  ++place.depth;
  place.lead = 0;
  return alive(place.range, named);
}

}  // namespace

// Walks down the tree of tokens and the titles at once.
struct Walk::Search {
  const TokenTree& tokens;
  const TitleSet& titles;
  const std::vector<uint32_t>& before;
  std::vector<int32_t>& plain;
  std::vector<int32_t>& breaking;

  void arrive(uint32_t at, const AnswerPlace& place) {
    const TokenTree::Node& node = tokens.node(at);
    std::vector<int32_t>& found = place.fresh_count > 0 ? breaking : plain;
    found.insert(found.end(), tokens.ids() + node.tokens, tokens.ids() + node.tokens_end);
    visit(at, place);
  }

  void visit(uint32_t at, const AnswerPlace& place) {
    const TokenTree::Node& node = tokens.node(at);
    if (node.children == node.children_end) return;
    if (!place.inside) {
      for (uint32_t child = node.children; child < node.children_end; ++child) {
        AnswerPlace after = place;
        if (step(after, tokens.node(child).byte, titles, before)) arrive(child, after);
      }
      return;
    }
    for (unsigned char mark : {'\n', ' ', '}'}) {
      const uint32_t child = tokens.child(at, mark);
      AnswerPlace after = place;
      bool taken = false;
      if (child != TokenTree::kNone && step_mark(after, mark, titles, {before, after}, taken) && taken)
        arrive(child, after);
    }
    TitleRange rest = place.range;
    if (rest.size() > 0 && titles.next(rest.lo, place.depth) < 0) ++rest.lo;
    while (rest.size() > 0) {
      const auto byte = static_cast<unsigned char>(titles.next(rest.lo, place.depth));
      const uint32_t end = titles.run_end(rest, place.depth);
      const uint32_t child = tokens.child(at, byte);
      if (child != TokenTree::kNone) {
        AnswerPlace after = place;
        after.range = {rest.lo, end};
        ++after.depth;
        after.lead = 0;
        if (alive(after.range, {before, after})) arrive(child, after);
      }
      rest.lo = end;
    }
  }
};

Walk::Walk(std::shared_ptr<const TokenTree> tokens, std::shared_ptr<const TitleSet> whole)
    : tokens_(std::move(tokens)), whole_(std::move(whole)) {
  for (size_t matched = 0; matched < entering_.size(); ++matched) {
    for (int32_t token = 0; token < static_cast<int32_t>(tokens_->size()); ++token) {
      AnswerPlace place;
      place.matched = static_cast<uint8_t>(matched);
      for (char byte : tokens_->bytes(token)) {
        if (step_outside(place, static_cast<unsigned char>(byte), {0, 0})) continue;
        entering_[matched].push_back(token);  // where there are no titles a box is refused
        break;
      }
    }
  }
}

bool Walk::fits(const AnswerRow& row, int32_t token) const {
  AnswerPlace place = row.place;
  for (char byte : tokens_->bytes(token)) {
    if (!step(place, static_cast<unsigned char>(byte), *row.titles, row.named)) return false;
  }
  return true;
}

void Walk::allowed(const AnswerRow& row, Allowed& out) const {
  out.ids.clear();
  out.denied = !row.place.inside;
  if (out.denied) {
    for (int32_t token : entering_[row.place.matched]) {
      if (!fits(row, token)) out.ids.push_back(token);
    }
    out.constrained = !out.ids.empty();
    return;
  }
  out.constrained = true;
  if (row.titles == whole_ && row.place.range.size() >= kMany) {
    const std::shared_ptr<const Known> found = known(row);
    out.ids = found->plain;
    if (!row.named.empty()) without_named(row, out.ids);
    for (int32_t token : found->breaking) {
      if (row.named.empty() || fits(row, token)) out.ids.push_back(token);
    }
  } else {
    Search search{*tokens_, *row.titles, row.named, out.ids, out.ids};
    search.visit(TokenTree::root(), row.place);
  }
  std::sort(out.ids.begin(), out.ids.end());
}

Walk::Fate Walk::fate(const AnswerRow& row, int32_t token, AnswerPlace& place) const {
  place = row.place;
  for (char byte : tokens_->bytes(token)) {
    step(place, static_cast<unsigned char>(byte), *row.titles, row.named);
    if (!place.inside) return Fate::kEnds;
    if (place.fresh_count > 0) return Fate::kSeveral;
  }
  return Fate::kGoesOn;
}

std::shared_ptr<const Walk::Known> Walk::known(const AnswerRow& row) const {
  const AnswerPlace& place = row.place;
  const Key key{place.range.lo, place.range.hi, place.depth, place.lead};
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = known_.find(key);
    if (found != known_.end()) return found->second;
  }
  auto made = std::make_shared<Known>();
  const std::vector<uint32_t> none;
  Search search{*tokens_, *whole_, none, made->plain, made->breaking};
  search.visit(TokenTree::root(), place);
  const std::lock_guard<std::mutex> lock(mutex_);
  const size_t size = made->plain.size() + made->breaking.size();
  if (known_ids_ + size > kMostKnown) {
    known_.clear();
    known_ids_ = 0;
  }
  if (known_.emplace(key, made).second) known_ids_ += size;
  return made;
}

// Takes out what leads nowhere but to titles that were named: tokens along those titles, and past their ends.
void Walk::without_named(const AnswerRow& row, std::vector<int32_t>& ids) const {
  const AnswerPlace& place = row.place;
  std::vector<int32_t> wrong;
  const auto look_at = [&](uint32_t at) {
    const TokenTree::Node& node = tokens_->node(at);
    for (uint32_t i = node.tokens; i < node.tokens_end; ++i) {
      if (!fits(row, tokens_->ids()[i])) wrong.push_back(tokens_->ids()[i]);
    }
  };
  const auto look_below = [&](uint32_t at, const auto& self) -> void {
    look_at(at);
    for (uint32_t child = tokens_->node(at).children; child < tokens_->node(at).children_end; ++child) self(child, self);
  };
  // What may stand before a title goes before its bytes.
  const auto follow = [&](string_view text) {
    uint32_t at = TokenTree::root();
    for (char byte : text) {
      at = tokens_->child(at, static_cast<unsigned char>(byte));
      if (at == TokenTree::kNone) return;
      look_at(at);
    }
    const uint32_t end = tokens_->child(at, '}');
    if (end != TokenTree::kNone) look_below(end, look_below);
  };
  const auto first = std::lower_bound(row.named.begin(), row.named.end(), place.range.lo);
  for (auto title = first; title != row.named.end() && *title < place.range.hi; ++title) {
    const string_view rest = row.titles->title(*title).substr(place.depth);
    follow(rest);
    const bool space = (place.lead & AnswerPlace::kSpace) != 0, line = (place.lead & AnswerPlace::kBreak) != 0;
    if (space) follow(" " + std::string(rest));
    if (line) follow("\n" + std::string(rest));
    if (line && space) follow("\n " + std::string(rest));
  }
  std::sort(wrong.begin(), wrong.end());
  ids.erase(std::remove_if(ids.begin(), ids.end(),
                           [&](int32_t id) { return std::binary_search(wrong.begin(), wrong.end(), id); }),
            ids.end());
}

bool Walk::advance(AnswerRow& row, int32_t token) const {
  if (row.place.inside && (token < 0 || static_cast<size_t>(token) >= tokens_->size() || tokens_->bytes(token).empty()))
    return false;
  if (token < 0 || static_cast<size_t>(token) >= tokens_->size()) return true;  // of a head that is padded: no bytes
  AnswerPlace& place = row.place;
  for (char byte : tokens_->bytes(token)) {
    const bool inside = place.inside;
    const uint32_t title = place.range.lo;
    if (!step(place, static_cast<unsigned char>(byte), *row.titles, row.named)) return false;
    const bool closed = inside && !place.inside;
    if (closed || place.fresh_count > 0) row.saying.push_back(row.titles->item(title));
    if (closed) row.answer = row.saying;
    if (place.left) {
      row.named.clear();
      row.saying.clear();
    } else if (place.fresh_count > 0) {
      row.named.insert(std::lower_bound(row.named.begin(), row.named.end(), title), title);
    }
    place.left = false;
    place.fresh_count = 0;
  }
  return true;
}

}  // namespace rerec
