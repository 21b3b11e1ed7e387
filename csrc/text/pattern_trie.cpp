#include "text/pattern_trie.hpp"

#include <algorithm>

namespace rerec {

using std::string_view;

namespace {

uint64_t edge_hash(int32_t node, int32_t word) {
  const uint64_t key = static_cast<uint64_t>(static_cast<uint32_t>(node)) << 32 | static_cast<uint32_t>(word);
  const uint64_t mixed = key * 0x9E3779B97F4A7C15ull;
  return mixed ^ mixed >> 32;
}

}  // namespace

void PatternTrie::clear() {
  word_slots_.assign(64, -1);
  node_slots_.assign(64, -1);
  words_.clear();
  singles_.clear();
  ends_.clear();
  nodes_.assign(1, Node());
}

int32_t PatternTrie::find_word(string_view word) const {
  const size_t mask = word_slots_.size() - 1;
  for (size_t slot = hash_bytes(word) & mask; word_slots_[slot] >= 0; slot = (slot + 1) & mask) {
    if (words_[static_cast<size_t>(word_slots_[slot])].text == word) return word_slots_[slot];
  }
  return -1;
}

int32_t PatternTrie::intern(string_view word) {
  const int32_t known = find_word(word);
  if (known >= 0) return known;
  words_.push_back({word, -1});
  const auto place = [this](int32_t id) {
    const size_t mask = word_slots_.size() - 1;
    size_t slot = hash_bytes(words_[static_cast<size_t>(id)].text) & mask;
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

int32_t PatternTrie::child(int32_t node, int32_t word) const {
  const size_t mask = node_slots_.size() - 1;
  for (size_t slot = edge_hash(node, word) & mask; node_slots_[slot] >= 0; slot = (slot + 1) & mask) {
    const Node& found = nodes_[static_cast<size_t>(node_slots_[slot])];
    if (found.parent == node && found.word == word) return node_slots_[slot];
  }
  return -1;
}

int32_t PatternTrie::add_child(int32_t node, int32_t word) {
  const int32_t known = child(node, word);
  if (known >= 0) return known;
  Node added;
  added.word = word;
  added.parent = node;
  added.depth = nodes_[static_cast<size_t>(node)].depth + 1;
  nodes_.push_back(added);
  const auto place = [this](int32_t id) {
    const size_t mask = node_slots_.size() - 1;
    const Node& placed = nodes_[static_cast<size_t>(id)];
    size_t slot = edge_hash(placed.parent, placed.word) & mask;
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

void PatternTrie::build(const std::vector<Pattern>& patterns, string_view pool) {
  clear();
  for (const Pattern& pattern : patterns) {
    const string_view text = pool.substr(pattern.begin, pattern.size);
    if (pattern.words == 1) {
      KnownWord& word = words_[static_cast<size_t>(intern(text))];
      bool repeated = false;
      for (int32_t i = word.single; i >= 0 && !repeated; i = singles_[static_cast<size_t>(i)].next) {
        const Single& known = singles_[static_cast<size_t>(i)];
        repeated = known.owner == pattern.owner && known.article == pattern.article && known.upper == pattern.upper;
      }
      if (repeated) continue;
      singles_.push_back({pattern.owner, word.single, pattern.article, pattern.upper});
      word.single = static_cast<int32_t>(singles_.size()) - 1;
      continue;
    }
    int32_t node = 0;
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find(' ', begin), text.size());
      node = add_child(node, intern(text.substr(begin, end - begin)));
      begin = end + 1;
    }
    int32_t& last = nodes_[static_cast<size_t>(node)].end;
    ends_.push_back({pattern.owner, last});
    last = static_cast<int32_t>(ends_.size()) - 1;
  }
  link();
}

// Breadth first: a node's fail link is its parent's fail link's step.
void PatternTrie::link() {
  order_.resize(nodes_.size());
  for (size_t i = 0; i < order_.size(); ++i) order_[i] = static_cast<int32_t>(i);
  const auto shallower = [this](int32_t a, int32_t b) {
    return nodes_[static_cast<size_t>(a)].depth < nodes_[static_cast<size_t>(b)].depth;
  };
  if (!std::is_sorted(order_.begin(), order_.end(), shallower)) {
    std::stable_sort(order_.begin(), order_.end(), shallower);
  }
  for (size_t i = 1; i < order_.size(); ++i) {
    Node& node = nodes_[static_cast<size_t>(order_[i])];
    node.fail = node.parent == 0 ? 0 : step(nodes_[static_cast<size_t>(node.parent)].fail, node.word);
    node.report = node.end >= 0 ? order_[i] : nodes_[static_cast<size_t>(node.fail)].report;
  }
}

int32_t PatternTrie::step(int32_t node, int32_t word) const {
  if (word < 0) return 0;
  for (;;) {
    const int32_t next = child(node, word);
    if (next >= 0) return next;
    if (node == 0) return 0;
    node = nodes_[static_cast<size_t>(node)].fail;
  }
}

}  // namespace rerec
