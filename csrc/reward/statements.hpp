// Statements "item has value" of reasoning, judged by the item-attribute graph. Specification:
// rerec_engine/metrics/truth.py.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "reward/align.hpp"
#include "reward/names.hpp"
#include "text/mentions.hpp"

namespace rerec {

struct Statement {
  size_t line;
  int32_t item, value;
  bool denied, is_true;
};

// Of one thread; its buffers are reused.
class StatementReader {
 public:
  StatementReader(const NameIndex& names, const ItemTables& tables) : names_(names), tables_(tables) {}

  // The statements of text's first `count` lines, valid until the next call.
  const std::vector<Statement>& read(std::string_view text, const std::vector<Line>& lines, size_t count);

 private:
  enum class Type : int8_t { kNone, kUnknown, kPhrase, kValue, kItem };
  // What text[begin:end] is; number: counts the elements of a line.
  struct Element {
    Type type = Type::kNone;
    bool upper = false;
    int32_t id = -1;  // of the phrase or value, or the mention's place
    size_t begin = 0, end = 0, number = 0;
    PhraseKind kind = PhraseKind::kNone;

    bool is_unknown() const {
      return type == Type::kUnknown || (type == Type::kPhrase && is_stop(kind));
    }
  };
  // A value whose item is still to come.
  struct Before {
    size_t begin, number;
    int32_t value;
    uint64_t mask;
    bool denied;
  };
  // What the words so far say of the value to come: `_State` of the specification.
  struct State {
    bool fresh = true, listing = false, joined = false, either = false, together = false, many = false;
    bool neither = false, bracket = false, direct = false, denied = false, over = false, choice = false;
    bool doubt = false;
    uint8_t hidden = 0;
    uint64_t role = 0, mask = ~uint64_t{0};
  };

  void read_lines(std::string_view text, const std::vector<Line>& lines);
  void read_line(const PlainLine& line, size_t listed);
  size_t left_of(const PlainLine& line, size_t begin, size_t floor, Element& last) const;
  size_t idle_items(const PlainLine& line, size_t floor) const;
  Element element_at(const PlainLine& line, const PlainWord& word);

  void reset(bool fresh);
  void take_gap(std::string_view gap, const Element& last);
  void take_item(const PlainLine& line, const Element& element, const Element& last);
  void take_value(const PlainLine& line, const Element& element, const Element& last, const Element& after);
  void take_phrase(const Element& element, const Element& last);
  uint8_t hidden_at(const PlainLine& line, size_t begin) const;
  void values_before(const PlainLine& line, const Element& element, const Element& last, const State& old);
  bool is_whole(const PlainLine& line, const Element& element, const Element& last, const Element& after) const;
  bool fits(const Value& value) const;
  bool is_misread(const PlainLine& line, const Element& element, const Element& last, const Element& after) const;
  bool is_ahead(const PlainLine& line, const Element& after, std::string_view gap) const;
  void judge(const ItemMention& mention, int32_t value, uint64_t mask, bool denied);

  const NameIndex& names_;
  const ItemTables& tables_;
  Letters letters_;
  std::vector<ItemMention> mentions_;  // of the line at hand
  std::vector<int32_t> ids_;
  std::vector<Statement> found_;
  std::string plain_;
  std::vector<Line> plain_lines_;

  State state_;
  std::vector<uint32_t> items_;  // mentions that the state speaks of
  std::vector<Before> before_;
  size_t line_ = 0, next_item_ = 0;  // the first mention that has not been passed
  bool broken_ = false;               // what came before is ended
};

}  // namespace rerec
