// Where a response stands, and which tokens may follow: within \boxed{...} those that continue a title, or end one.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <vector>

#include "constrain/title_set.hpp"
#include "constrain/token_tree.hpp"

namespace rerec {

// Of a text that grows byte by byte. An answer is "\boxed{" [break] [space] title, then break [space] title and so on,
// "}"; blanks may stand before the brace. No title is named twice in one box.
struct AnswerPlace {
  static constexpr uint8_t kBreak = 1, kSpace = 2;
  static constexpr size_t kMostFresh = 3;

  TitleRange range;      // inside: titles that begin like the text since the last break
  uint32_t depth = 0;    // inside: its bytes
  bool inside = false;
  uint8_t lead = 0;      // inside: what may stand before a title
  uint8_t matched = 0;   // outside: bytes of "\boxed" that the text ends with
  bool left = false;     // a box has ended, or begun, since the last token: what was named before counts no more
  uint8_t fresh_count = 0;
  std::array<uint32_t, kMostFresh> fresh{};  // titles named since the last token; with more the text is refused
};

// One response.
struct AnswerRow {
  std::shared_ptr<const TitleSet> titles;
  AnswerPlace place;
  std::vector<uint32_t> named;  // titles of the box that is open, ascending
  std::vector<int32_t> answer;  // items of the last box that was closed, in their order
  std::vector<int32_t> saying;  // items of the box that is open, in their order
};

// What may be drawn next. None: everything. denied: all tokens but `ids`; else `ids` alone. Ascending.
struct Allowed {
  bool constrained = false, denied = false;
  std::vector<int32_t> ids;
};

class Walk {
 public:
  Walk(std::shared_ptr<const TokenTree> tokens, std::shared_ptr<const TitleSet> whole);

  const std::shared_ptr<const TitleSet>& whole() const { return whole_; }
  const TokenTree& tokens() const { return *tokens_; }
  // Several threads may ask.
  void allowed(const AnswerRow& row, Allowed& out) const;
  // False where the token cannot follow; the row is then spoilt.
  bool advance(AnswerRow& row, int32_t token) const;
  // What becomes of a row in a box, of which nothing has been said but one title at most, by one more token.
  enum class Fate : int8_t { kGoesOn, kEnds, kSeveral };  // several: another title begins
  // place: where the row then stands.
  Fate fate(const AnswerRow& row, int32_t token, AnswerPlace& place) const;

 private:
  struct Search;
  // Tokens of a place where nothing has been named, of many titles: kept.
  struct Known {
    std::vector<int32_t> plain, breaking;  // breaking: an entry ends within and another begins
  };
  using Key = std::tuple<uint32_t, uint32_t, uint32_t, uint8_t>;

  bool fits(const AnswerRow& row, int32_t token) const;
  std::shared_ptr<const Known> known(const AnswerRow& row) const;
  void without_named(const AnswerRow& row, std::vector<int32_t>& ids) const;

  std::shared_ptr<const TokenTree> tokens_;
  std::shared_ptr<const TitleSet> whole_;
  std::array<std::vector<int32_t>, 7> entering_;  // tokens that begin a box, by the bytes of "\boxed" before them
  mutable std::mutex mutex_;
  mutable std::map<Key, std::shared_ptr<const Known>> known_;
  mutable size_t known_ids_ = 0;
};

}  // namespace rerec
