#include "reward/names.hpp"

#include <algorithm>

#include "text/pattern_trie.hpp"
#include "text/titles.hpp"

namespace rerec {

using std::string_view;

namespace {

constexpr size_t kMostValueWords = 16;

bool is_blank(char c) { return c == ' ' || c == '\t'; }

// The normalised words of a plain text, at most `most` and one, with their hashes.
struct NameWords {
  std::vector<uint64_t> hashes;
  std::string text;
  std::vector<size_t> begins;
  Letters letters;

  void read(string_view plain, size_t most) {
    hashes.clear();
    begins.clear();
    text.clear();
    letters.read(plain, plain.size());
    const PlainLine line(plain, letters, 0, plain.size());
    PlainWord word;
    for (size_t at = 0; hashes.size() <= most && line.next(at, word); at = word.end) {
      if (!text.empty()) text.push_back(' ');
      begins.push_back(text.size());
      hashes.push_back(word.hash);
      if (plain[word.begin] == '&') text.append("and");
      for (char c : plain.substr(word.begin, word.end - word.begin)) {
        if (is_plain_word(c)) text.push_back(to_lower(c));
      }
    }
  }
  string_view word(size_t i) const {
    const size_t end = i + 1 < begins.size() ? begins[i + 1] - 1 : text.size();
    return string_view(text).substr(begins[i], end - begins[i]);
  }
  void drop_first() {
    text.erase(0, begins.size() > 1 ? begins[1] : text.size());
    hashes.erase(hashes.begin());
  }
};

// Without a bracket at the end.
string_view without_bracket(string_view name) {
  size_t end = name.size();
  while (end > 0 && is_blank(name[end - 1])) --end;
  if (end == 0 || (name[end - 1] != ')' && name[end - 1] != ']')) return name;
  const size_t open = name.substr(0, end - 1).find_last_of("()[]");
  if (open == string_view::npos || name[open] == ')' || name[open] == ']') return name;
  return name.substr(0, open);
}

// As `plural_of` of rerec_engine/data/description.py.
std::string plural_of(string_view noun) {
  const auto ends = [&](string_view tail) {
    return noun.size() >= tail.size() && noun.substr(noun.size() - tail.size()) == tail;
  };
  std::string out(noun);
  if (ends("s") || ends("x") || ends("z") || ends("ch") || ends("sh")) return out + "es";
  if (noun.size() > 1 && noun.back() == 'y' && string_view("aeiou").find(noun[noun.size() - 2]) == string_view::npos) {
    out.back() = 'i';
    return out + "es";
  }
  return out + "s";
}

}  // namespace

NameIndex::NameIndex(const Catalogue& catalogue, const AttributeNames& names, const ReasonWords& words)
    : catalogue_(catalogue), relations_(words.relations, words.relations + words.attributes) {
  add_values(names, words);
  add_phrases(words);
  add_titles(catalogue);
}

void NameIndex::add_titles(const Catalogue& catalogue) {
  std::vector<std::pair<int32_t, Owner>> all;
  Hashes firsts, pairs, singles;
  NameWords words;
  std::string plain;
  const auto add = [&](string_view name, int32_t item) {
    plain.clear();
    append_plain(name, plain);
    words.read(plain, kMostTitleWords);
    if (words.hashes.empty() || words.hashes.size() > kMostTitleWords) return;
    int8_t article = words.hashes.size() > 1 ? article_number(words.word(0)) : kBare;
    if (article != kBare) words.drop_first();
    if (words.hashes.size() > 1) article = kBare;
    const int32_t number = titles_.add(words.hashes, words.text);
    if (number < 0) return;
    all.push_back({number, {item, article}});
    starts_.add(words.text);
    if (static_cast<size_t>(number) == is_value_.size()) {
      uint64_t key = words.hashes[0];
      for (size_t i = 1; i < words.hashes.size(); ++i) key = join_hash(key, words.hashes[i]);
      const int32_t known = words_.find(key);
      const bool same = known >= 0 && words_[known] == words.text;
      const int32_t value = same ? value_of_[static_cast<size_t>(known)] : -1;
      is_value_.push_back(value >= 0);
      if (value >= 0) values_[static_cast<size_t>(value)].title = true;
      if (words.hashes.size() == 1) {
        singles.push_back(words.hashes[0]);
      } else {
        firsts.push_back(words.hashes[0]);
        pairs.push_back(join_hash(words.hashes[0], words.hashes[1]));
      }
    }
  };
  for (size_t item = 0; item < catalogue.size(); ++item) {
    const int32_t id = static_cast<int32_t>(item);
    for (const std::string& name : title_forms(split_title(catalogue.title(id)).full_name()).names) {
      add(name, id);
      if (name.find(',') != std::string::npos) add(move_article(name), id);
    }
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  owner_ptr_.assign(titles_.size() + 1, 0);
  for (const auto& [name, owner] : all) {
    ++owner_ptr_[static_cast<size_t>(name) + 1];
    owners_.push_back(owner);
  }
  for (size_t i = 0; i < titles_.size(); ++i) owner_ptr_[i + 1] += owner_ptr_[i];
  starts_.build();
  first_.build(firsts);
  pairs_.build(pairs);
  singles_.build(singles);
}

void NameIndex::add_values(const AttributeNames& names, const ReasonWords& given) {
  std::vector<std::pair<int32_t, int32_t>> all;  // value, attribute
  NameWords words;
  std::string plain;
  const auto add = [&](string_view name, int32_t attribute, bool small) {
    words.read(name, kMostValueWords);
    size_t letters = words.text.size() + 1 - words.hashes.size();
    if (words.hashes.empty() || words.hashes.size() > kMostValueWords || letters < 2) return;
    const size_t first = name.find_first_not_of(" \t\n\v\f\r\x1c\x1d\x1e\x1f");
    const string_view trimmed = name.substr(first, name.find_last_not_of(" \t\n\v\f\r\x1c\x1d\x1e\x1f") + 1 - first);
    if (letters == 2) {
      const bool capital = std::any_of(trimmed.begin(), trimmed.end(), is_capital);
      if (trimmed.size() != 2 || !capital || std::any_of(trimmed.begin(), trimmed.end(), is_small)) return;
    }
    const int32_t number = words_.add(words.hashes, words.text);
    if (number < 0) return;
    if (static_cast<size_t>(number) >= value_of_.size()) value_of_.resize(static_cast<size_t>(number) + 1, -1);
    int32_t& value = value_of_[static_cast<size_t>(number)];
    if (value < 0) {
      value = static_cast<int32_t>(values_.size());
      values_.emplace_back();
    }
    Value& known = values_[static_cast<size_t>(value)];
    known.any_case = known.any_case || small;
    known.number = std::all_of(words.text.begin(), words.text.end(), [](char c) { return c == ' ' || is_digit(c); });
    if (letters == 2) std::copy(trimmed.begin(), trimmed.end(), known.exact);
    all.push_back({value, attribute});
  };
  for (int32_t a = 0; a < static_cast<int32_t>(given.attributes); ++a) {
    plain.clear();
    append_plain(names[a], plain);
    const bool small =
        given.any_case[static_cast<size_t>(a)] != 0 || std::none_of(plain.begin(), plain.end(), is_capital);
    const string_view bare = without_bracket(plain);
    add(plain, a, small);
    add(bare, a, small);
    if (small) {
      add(plural_of(plain), a, small);
      add(plural_of(bare), a, small);
    }
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  for (const auto& [value, attribute] : all) {
    Value& known = values_[static_cast<size_t>(value)];
    if (known.end == 0) known.begin = known.end = static_cast<uint32_t>(attribute_ids_.size());
    attribute_ids_.push_back(attribute);
    ++known.end;
  }
}

void NameIndex::add_phrases(const ReasonWords& given) {
  NameWords words;
  for (size_t i = 0; i < given.phrases.size(); ++i) {
    words.read(given.phrases[i], kMostValueWords);
    phrases_.push_back({static_cast<PhraseKind>(given.kinds[i]), given.flags[i], given.masks[i]});
    const int32_t number = words.hashes.empty() ? -1 : words_.add(words.hashes, words.text);
    if (number < 0) continue;
    if (static_cast<size_t>(number) >= phrase_of_.size()) phrase_of_.resize(static_cast<size_t>(number) + 1, -1);
    phrase_of_[static_cast<size_t>(number)] = static_cast<int32_t>(i);
    if (words.text == "with") with_ = static_cast<int32_t>(i);
  }
  value_of_.resize(words_.size(), -1);
  phrase_of_.resize(words_.size(), -1);
  build_filters();
}

void NameIndex::build_filters() {
  NameWords words;
  Hashes known, phrase_words, phrase_begins, value_begins[2], ends, leads;
  for (size_t i = 0; i < words_.size(); ++i) {
    words.read(words_[static_cast<int32_t>(i)], kMostValueWords);
    const uint64_t first = words.hashes.front(), last = words.hashes.back();
    known.insert(known.end(), words.hashes.begin(), words.hashes.end());
    ends.push_back(last);
    const int32_t phrase = phrase_of_[i], value = value_of_[i];
    if (phrase >= 0) {
      const PhraseKind kind = phrases_[static_cast<size_t>(phrase)].kind;
      phrase_begins.push_back(first);
      if (!is_stop(kind)) phrase_words.insert(phrase_words.end(), words.hashes.begin(), words.hashes.end());
      if (kind == PhraseKind::kNoun || kind == PhraseKind::kActive) leads.push_back(last);
    }
    if (value >= 0) {
      value_begins[1].push_back(first);
      if (values_[static_cast<size_t>(value)].any_case) value_begins[0].push_back(first);
      leads.push_back(last);
    }
  }
  known_.build(known);
  phrase_words_.build(phrase_words);
  phrase_begins_.build(phrase_begins);
  value_begins_[0].build(value_begins[0]);
  value_begins_[1].build(value_begins[1]);
  ends_.build(ends);
  leads_.build(leads);
}

}  // namespace rerec
