#include "segment.hpp"

#include <algorithm>
#include <string>

#include "titles.hpp"

namespace rerec {
namespace {

using std::string_view;

constexpr size_t kMostTitleWords = 64;
constexpr int8_t kBare = -1;

bool is_line_break(char c) { return c == '\n' || c == '\r'; }

int8_t article_number(string_view word) { return word == "the" ? 0 : word == "a" ? 1 : word == "an" ? 2 : kBare; }

uint64_t edge_hash(int32_t node, int32_t word) {
  const uint64_t key = static_cast<uint64_t>(static_cast<uint32_t>(node)) << 32 | static_cast<uint32_t>(word);
  const uint64_t mixed = key * 0x9E3779B97F4A7C15ull;
  return mixed ^ mixed >> 32;
}

}  // namespace

std::vector<Line> split_lines_at_breaks(string_view text) {
  std::vector<Line> lines;
  size_t begin = 0;
  for (size_t i = text.find_first_of("\n\r"); i != string_view::npos; i = text.find_first_of("\n\r", begin)) {
    lines.push_back({begin, i + 1});
    begin = i + 1;
  }
  if (begin < text.size()) lines.push_back({begin, text.size()});
  return lines;
}

void token_lines(string_view text, const std::vector<Line>& lines, const int64_t* offsets, size_t count,
                 std::vector<int32_t>& out) {
  out.clear();
  size_t line = 0;
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = static_cast<size_t>(offsets[i]), end = static_cast<size_t>(offsets[i + 1]);
    if (begin >= end) {
      out.push_back(-1);
      continue;
    }
    size_t first = begin;
    while (first < end && is_line_break(text[first])) ++first;
    if (first == end) first = begin;
    while (line + 1 < lines.size() && lines[line].end <= first) ++line;
    out.push_back(static_cast<int32_t>(line));
  }
}

void Mentions::clear() {
  word_slots_.assign(64, -1);
  node_slots_.assign(64, -1);
  words_.clear();
  singles_of_.clear();
  nodes_.assign(1, Node());
  singles_ = 0;
}

int32_t Mentions::find_word(string_view word) const {
  const size_t mask = word_slots_.size() - 1;
  for (size_t slot = hash_bytes(word) & mask; word_slots_[slot] >= 0; slot = (slot + 1) & mask) {
    if (words_[static_cast<size_t>(word_slots_[slot])] == word) return word_slots_[slot];
  }
  return -1;
}

int32_t Mentions::intern(string_view word) {
  const int32_t known = find_word(word);
  if (known >= 0) return known;
  words_.emplace_back(word);
  singles_of_.emplace_back();
  const auto place = [this](int32_t id) {
    const size_t mask = word_slots_.size() - 1;
    size_t slot = hash_bytes(words_[static_cast<size_t>(id)]) & mask;
    while (word_slots_[slot] >= 0) slot = (slot + 1) & mask;
    word_slots_[slot] = id;
  };
  const int32_t id = static_cast<int32_t>(words_.size()) - 1;
  if (words_.size() * 2 > word_slots_.size()) {
    word_slots_.assign(word_slots_.size() * 2, -1);
    for (int32_t old = 0; old <= id; ++old) place(old);
  } else {
    place(id);
  }
  return id;
}

int32_t Mentions::child(int32_t node, int32_t word) const {
  const size_t mask = node_slots_.size() - 1;
  for (size_t slot = edge_hash(node, word) & mask; node_slots_[slot] >= 0; slot = (slot + 1) & mask) {
    const Node& found = nodes_[static_cast<size_t>(node_slots_[slot])];
    if (found.parent == node && found.word == word) return node_slots_[slot];
  }
  return -1;
}

int32_t Mentions::add_child(int32_t node, int32_t word) {
  const int32_t known = child(node, word);
  if (known >= 0) return known;
  nodes_.emplace_back();
  nodes_.back().word = word;
  nodes_.back().parent = node;
  const auto place = [this](int32_t id) {
    const size_t mask = node_slots_.size() - 1;
    const Node& added = nodes_[static_cast<size_t>(id)];
    size_t slot = edge_hash(added.parent, added.word) & mask;
    while (node_slots_[slot] >= 0) slot = (slot + 1) & mask;
    node_slots_[slot] = id;
  };
  const int32_t id = static_cast<int32_t>(nodes_.size()) - 1;
  if (nodes_.size() * 2 > node_slots_.size()) {
    node_slots_.assign(node_slots_.size() * 2, -1);
    for (int32_t old = 1; old <= id; ++old) place(old);
  } else {
    place(id);
  }
  return id;
}

void Mentions::add(string_view title) {
  buffer_.read(title);
  const size_t count = buffer_.size();
  if (count == 0 || count > kMostTitleWords) return;
  const size_t first = count > 1 && is_english_article(buffer_[0]) ? 1 : 0;
  if (count - first == 1) {
    const int32_t word = intern(buffer_[first]);
    const Single single{first == 1 ? article_number(buffer_[0]) : kBare, buffer_.list[first].upper};
    std::vector<Single>& known = singles_of_[static_cast<size_t>(word)];
    const bool repeated = std::any_of(known.begin(), known.end(), [&](const Single& other) {
      return other.article == single.article && other.upper == single.upper;
    });
    if (!repeated) known.push_back(single);
    ++singles_;
    return;
  }
  int32_t node = 0;
  for (size_t i = first; i < count; ++i) node = add_child(node, intern(buffer_[i]));
  nodes_[static_cast<size_t>(node)].ends = true;
}

// Breadth first: a node's fail link is its parent's fail link's step, and an end there is an end here.
void Mentions::build() {
  std::vector<std::pair<int32_t, int32_t>> by_depth;
  std::vector<int32_t> depth(nodes_.size(), 0);
  for (size_t i = 1; i < nodes_.size(); ++i) {
    depth[i] = depth[static_cast<size_t>(nodes_[i].parent)] + 1;
    by_depth.emplace_back(depth[i], static_cast<int32_t>(i));
  }
  std::sort(by_depth.begin(), by_depth.end());
  for (const auto& entry : by_depth) {
    Node& node = nodes_[static_cast<size_t>(entry.second)];
    node.fail = node.parent == 0 ? 0 : step(nodes_[static_cast<size_t>(node.parent)].fail, node.word);
    node.ends = node.ends || nodes_[static_cast<size_t>(node.fail)].ends;
  }
}

int32_t Mentions::step(int32_t node, int32_t word) const {
  if (word < 0) return 0;
  for (;;) {
    const int32_t next = child(node, word);
    if (next >= 0) return next;
    if (node == 0) return 0;
    node = nodes_[static_cast<size_t>(node)].fail;
  }
}

bool Mentions::single_hit(int32_t word, const Word& place, int8_t article) const {
  if (word < 0 || place.year) return false;
  for (const Single& single : singles_of_[static_cast<size_t>(word)]) {
    if ((single.article == kBare || single.article == article) && (place.upper || !single.upper)) return true;
  }
  return false;
}

bool Mentions::found_in(string_view line) {
  buffer_.read(line);
  int32_t node = 0;
  int8_t article = kBare;
  for (size_t i = 0; i < buffer_.size(); ++i) {
    const Word& place = buffer_.list[i];
    if (place.stem_end != place.end) {
      const int32_t stem = find_word(buffer_.stem(i));
      if (single_hit(stem, place, article) || nodes_[static_cast<size_t>(step(node, stem))].ends) return true;
    }
    const int32_t word = find_word(buffer_[i]);
    if (single_hit(word, place, article)) return true;
    node = step(node, word);
    if (nodes_[static_cast<size_t>(node)].ends) return true;
    article = article_number(buffer_[i]);
  }
  return false;
}

}  // namespace rerec
