// Which items, values and phrases a plain text names. Specification: rerec_engine/metrics/names.py.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/hash_index.hpp"
#include "text/catalogue.hpp"
#include "text/name_table.hpp"
#include "text/plain.hpp"

namespace rerec {

// As `Kind` and the flags of rerec_engine/reward/phrases.py.
enum class PhraseKind : int8_t {
  kFiller, kArticle, kNoun, kVerb, kNot, kOnly, kNo, kYes, kAnd, kOr, kNor, kBut, kNeither, kRelation, kActive, kRoleOf,
  kStop, kAfter, kNone
};
// What came before such a phrase is ended.
inline bool is_stop(PhraseKind kind) { return kind == PhraseKind::kStop || kind == PhraseKind::kAfter; }
enum PhraseFlag : uint8_t { kMany = 1, kAsks = 2, kHides = 4, kResets = 8, kDoubts = 16 };

struct Phrase {
  PhraseKind kind;
  uint8_t flags;
  uint64_t mask;  // bit r for relation r
};

// Attributes of one name: attribute_ids[begin:end]. title: is an item's name too.
struct Value {
  uint32_t begin = 0, end = 0;
  char exact[2] = {0, 0};  // how it must be written, where it is of two characters
  bool any_case = false, number = false, title = false;
};

// Items of one name, in plain text[begin:end] with article and year: ids[first:last] of what found them. owned: has a
// possessive 's.
struct ItemMention {
  size_t begin = 0, end = 0;
  uint32_t first = 0, last = 0;
  bool owned = false;
};

// The words by which attributes are known, bytes[ptr[a]:ptr[a + 1]].
struct AttributeNames {
  const int64_t* ptr = nullptr;
  const char* bytes = nullptr;

  std::string_view operator[](int32_t attribute) const {
    return {bytes + ptr[attribute], static_cast<size_t>(ptr[attribute + 1] - ptr[attribute])};
  }
};

// What values and phrases are, as Python gives it.
struct ReasonWords {
  const int32_t* relations = nullptr;  // [attributes]
  const uint8_t* any_case = nullptr;   // [attributes]
  size_t attributes = 0;
  std::vector<std::string_view> phrases;
  const int8_t* kinds = nullptr;  // of phrases, like the rest
  const uint8_t* flags = nullptr;
  const uint64_t* masks = nullptr;
};

// Built once; read from several threads. The catalogue must outlive it.
class NameIndex {
 public:
  NameIndex(const Catalogue& catalogue, const AttributeNames& names, const ReasonWords& words);

  // The longest item that is named from the word at line[start] on; false: none. floor: where the mention before ends.
  // ids grow by the items.
  bool item_at(const PlainLine& line, size_t listed, size_t floor, size_t start, ItemMention& out,
               std::vector<int32_t>& ids) const;
  // Leaves those places where a title may begin; returns how many. starts: of words in the letters.
  size_t choose_starts(const Letters& letters, uint32_t* starts, size_t count) const {
    return starts_.choose(letters.data(), starts, count);
  }
  // Where the number or bullet of the line ends, else where it begins.
  static size_t listed(const PlainLine& line);

  // The longest value and the longest phrase that begin with a word and end before `limit`; -1: none.
  struct Found {
    int32_t value = -1, phrase = -1;
    size_t value_words = 0, phrase_words = 0, value_end = 0, phrase_end = 0;
  };
  Found find(const PlainLine& line, const PlainWord& first, size_t limit) const;
  // The phrase that a word alone is, or nullptr.
  const Phrase* phrase_of(const PlainLine& line, const PlainWord& word) const;
  // Whether the word may be part of a value or a phrase.
  bool may_be_known(const PlainWord& word) const { return known_.may_hold(word.hash); }
  // ... of a phrase that ends nothing; may begin a value.
  bool may_be_phrase(const PlainWord& word) const { return phrase_words_.may_hold(word.hash); }
  bool may_begin_value(const PlainWord& word) const { return value_begins_[word.upper].may_hold(word.hash); }
  // ... may be the last of a value or a phrase; of one after which an item has the values before: value, noun, verb.
  bool may_end(const PlainWord& word) const { return ends_.may_hold(word.hash); }
  bool may_lead(const PlainWord& word) const { return leads_.may_hold(word.hash); }

  int32_t with() const { return with_; }  // the phrase "with", -1: none
  const Phrase& phrase(int32_t i) const { return phrases_[static_cast<size_t>(i)]; }
  const Value& value(int32_t i) const { return values_[static_cast<size_t>(i)]; }
  ItemSpan attributes_of(const Value& value) const {
    return {attribute_ids_.data() + value.begin, attribute_ids_.data() + value.end};
  }
  int32_t relation_of(int32_t attribute) const { return relations_[static_cast<size_t>(attribute)]; }

 private:
  struct Owner {
    int32_t item;
    int8_t article;  // that must stand before a title of one word
    bool operator<(const Owner& other) const {
      return item != other.item ? item < other.item : article < other.article;
    }
    bool operator==(const Owner& other) const { return item == other.item && article == other.article; }
  };
  // The words from the first on that are a name.
  struct Terminal {
    int32_t name;
    size_t words, end;
    bool last_upper, owned;
  };
  using Hashes = std::vector<uint64_t>;
  static constexpr size_t kMostTitleWords = 64;

  void add_titles(const Catalogue& catalogue);
  void add_values(const AttributeNames& names, const ReasonWords& words);
  void add_phrases(const ReasonWords& words);
  void build_filters();
  bool counts(const PlainLine& line, const PlainWord& word, size_t listed, size_t floor, const Terminal& terminal,
              ItemMention& out, std::vector<int32_t>& ids) const;
  bool stands_out(const PlainLine& line, const PlainWord& word) const;

  const Catalogue& catalogue_;
  NameTable titles_, words_;
  NameStarts starts_;                          // of titles
  std::vector<uint32_t> owner_ptr_;
  std::vector<Owner> owners_;
  std::vector<uint8_t> is_value_;              // of titles
  std::vector<int32_t> value_of_, phrase_of_;  // of the names of words_
  std::vector<Value> values_;
  std::vector<Phrase> phrases_;
  int32_t with_ = -1;
  std::vector<int32_t> attribute_ids_, relations_;
  HashFilter first_, pairs_, singles_;  // of titles: words that begin longer ones, their first two, and single ones
  HashFilter known_, phrase_words_, phrase_begins_, value_begins_[2], ends_, leads_;  // words of values and phrases
};

}  // namespace rerec
