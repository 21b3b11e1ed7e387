// Scores and token rewards of a batch, whole. Sections: titles, text, sizes of tokens (one byte each, in turn), ground
// truths (one byte each), candidates (one byte each).
// Options: 0: bits 0 which box, 1-2 QAS mode, 3 years, 4 ids of 32 bits, 5 with candidates, 6 threads; 1: k - 1;
// 2: penalty in 1/64; 3: the first year; 4: seed of attributes and embeddings.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <string>

#include "engine.hpp"
#include "input.hpp"
#include "parse.hpp"
#include "tokens.hpp"

using namespace rerec;
using std::string;
using std::string_view;

namespace {

constexpr size_t kWidth = 3;

struct World {
  std::shared_ptr<const Catalogue> catalogue;
  std::vector<int64_t> attribute_ptr{0};
  std::vector<int32_t> attributes;
  std::vector<float> embeddings;

  explicit World(const fuzz::Case& given) {
    std::vector<string> titles;
    for (string_view title : given.list(0, 32)) titles.emplace_back(title);
    std::vector<int32_t> years;
    uint32_t state = given.options[4] * 2654435761u + 1;
    const auto draw = [&state] { return (state = state * 1664525u + 1013904223u) >> 24; };
    for (size_t i = 0; i < titles.size(); ++i) {
      if (given.options[0] & 8) years.push_back(1980 + (given.options[3] + static_cast<int>(i)) % 40);
      for (int32_t a = 0; a < 6; ++a) {
        if (draw() & 1) attributes.push_back(a);
      }
      attribute_ptr.push_back(static_cast<int64_t>(attributes.size()));
      const size_t axis = draw() % (kWidth + 1);  // kWidth: unknown
      for (size_t j = 0; j < kWidth; ++j) embeddings.push_back(j == axis ? (draw() & 1 ? 1.0f : -1.0f) : 0.0f);
    }
    catalogue = std::make_shared<const Catalogue>(std::move(titles), std::move(years));
  }

  ItemTables tables() const { return {attribute_ptr.data(), attributes.data(), embeddings.data(), kWidth}; }

  std::vector<int32_t> items(string_view bytes) const {
    std::vector<int32_t> out;
    for (char c : bytes) out.push_back(static_cast<int32_t>(static_cast<unsigned char>(c) % catalogue->size()));
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
  }
};

// Texts cut into tokens, as ids of a table of their own.
struct Tokens {
  std::vector<int64_t> ids, cu{0}, ends, vocabulary_ptr{0};
  std::vector<int32_t> narrow;
  std::vector<std::vector<size_t>> begins;  // of the tokens of each text
  string bytes;

  // sizes: bytes of the tokens, in turn; none: 1.
  Tokens(const std::vector<string>& texts, string_view sizes) {
    std::map<string, int64_t> known;
    for (const string& text : texts) {
      begins.emplace_back();
      size_t at = 0;
      for (size_t i = 0; at < text.size(); ++i) {
        // After 4096 tokens without an end, the rest is one token: sizes may all be 0.
        const size_t wanted = sizes.empty() ? 1 : static_cast<unsigned char>(sizes[i % sizes.size()]) % 12;
        const string token = text.substr(at, i < 4096 ? wanted : text.size());
        const auto [place, added] = known.emplace(token, static_cast<int64_t>(known.size()));
        if (added) {
          bytes += token;
          vocabulary_ptr.push_back(static_cast<int64_t>(bytes.size()));
        }
        ids.push_back(place->second);
        begins.back().push_back(at);
        at += token.size();
        ends.push_back(static_cast<int64_t>(at));
      }
      cu.push_back(static_cast<int64_t>(ids.size()));
    }
    narrow.assign(ids.begin(), ids.end());
  }

  size_t count() const { return cu.size() - 1; }
  Vocabulary vocabulary() const {
    return {vocabulary_ptr.data(), bytes.data(), static_cast<int64_t>(vocabulary_ptr.size()) - 1};
  }
};

struct Result {
  BatchScores scores{0};
  std::vector<float> rewards;
  std::vector<Segments> segments;
};

Result run(const Engine& engine, const TokenSource& source, const Targets& targets, const Settings& settings) {
  Result out;
  // As many floats as tokens, so that a write past the end is seen.
  out.rewards.assign(static_cast<size_t>(source.cu()[source.count()]), std::nanf(""));
  out.scores = engine.score_tokens(source, targets, settings, out.rewards.data(), out.segments);
  return out;
}

bool same(const Score& a, const Score& b) { return std::memcmp(&a, &b, sizeof(Score)) == 0; }

void require_same(const BatchScores& a, const BatchScores& b) {
  REQUIRE(a.items == b.items && a.answered == b.answered);
  for (size_t i = 0; i < a.scores.size(); ++i) REQUIRE(same(a.scores[i], b.scores[i]));
}

void check_score(const Score& score, const std::vector<int32_t>& items, bool answered, const Settings& settings,
                 size_t size) {
  constexpr double kTolerance = 1e-9;
  for (double value : {score.total, score.ndcg, score.qas, score.pas, score.mrr}) REQUIRE(std::isfinite(value));
  for (double value : {score.qas, score.hit, score.precision, score.recall, score.mrr})
    REQUIRE(value >= 0 && value <= 1);
  REQUIRE(std::abs(score.pas) <= 1 + kTolerance);
  REQUIRE(score.format == (answered ? 0.5 : -0.5));
  REQUIRE(answered ? score.ndcg >= 0 && score.ndcg <= 1 + kTolerance : score.ndcg == -0.5);
  const double total = settings.ndcg * score.ndcg + settings.format * score.format + settings.qas * score.qas +
                       settings.pas * score.pas;
  REQUIRE(std::abs(score.total - total) <= kTolerance);
  REQUIRE(answered == !items.empty());
  std::vector<int32_t> known;
  for (int32_t item : items) {
    REQUIRE(item >= -1 && item < static_cast<int32_t>(size));
    if (item >= 0) known.push_back(item);
  }
  std::sort(known.begin(), known.end());
  REQUIRE(std::adjacent_find(known.begin(), known.end()) == known.end());
}

// Marks of one text's tokens, after the checks of its rewards and segments.
std::vector<bool> check_tokens(const Result& result, const Tokens& tokens, size_t i, const string& text,
                               const Settings& settings) {
  const Segments& segments = result.segments[i];
  const size_t begin = static_cast<size_t>(tokens.cu[i]), end = static_cast<size_t>(tokens.cu[i + 1]);
  REQUIRE(segments.lengths.size() == segments.penalised.size());
  std::vector<bool> marks;
  for (size_t j = 0; j < segments.lengths.size(); ++j) {
    REQUIRE(segments.lengths[j] > 0);
    marks.insert(marks.end(), static_cast<size_t>(segments.lengths[j]), segments.penalised[j] != 0);
  }
  REQUIRE(marks.size() == end - begin);
  const double reward = result.scores.scores[i].total;
  const float plain = static_cast<float>(reward);
  const float reduced = static_cast<float>(reward - settings.penalty * std::abs(reward));
  const Box box = find_box(text, settings.which);
  for (size_t j = begin; j < end; ++j) {
    REQUIRE(result.rewards[j] == (marks[j - begin] ? reduced : plain));
    // The line of a marked token ends before the box.
    const size_t from = tokens.begins[i][j - begin];
    if (marks[j - begin]) REQUIRE(box.found && from < box.begin && text.find_first_of("\r\n", from) < box.begin);
  }
  return marks;
}

// Other tokens of the same bytes: each has the mark of its first byte that is no line break.
void check_marks(const std::vector<bool>& bytes, const std::vector<bool>& marks, const Tokens& tokens, size_t i,
                 const string& text) {
  for (size_t j = 0; j < marks.size(); ++j) {
    const size_t from = tokens.begins[i][j];
    const size_t to = j + 1 < marks.size() ? tokens.begins[i][j + 1] : text.size();
    size_t first = text.find_first_not_of("\r\n", from);
    if (first >= to) first = from;
    REQUIRE(marks[j] == (from < to && bytes[first]));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::Case given(data, size);
  const uint8_t flags = given.options[0];
  const World world(given);
  const Engine engine(world.catalogue, world.tables());

  const string text(given.section(1));
  std::vector<string> texts{text, "", text.substr(0, text.size() / 2), text + "\n" + text};
  if (flags & 64) {
    while (texts.size() < 20) texts.push_back(texts[texts.size() - 3]);  // work for several threads
  }
  Settings settings;
  settings.which = flags & 1 ? Which::kFirst : Which::kLast;
  settings.mode = static_cast<QasMode>((flags >> 1 & 3) % 3);
  settings.k = 1 + given.options[1] % 12;
  settings.penalty = given.options[2] / 64.0;

  std::vector<int32_t> truth = world.items(given.section(3)), candidates = world.items(given.section(4));
  if (truth.empty()) truth.push_back(0);
  if (!(flags & 32)) candidates.clear();
  std::vector<int64_t> truth_ptr{0}, candidate_ptr{0};
  std::vector<int32_t> all_truth, all_candidates;
  for (size_t i = 0; i < texts.size(); ++i) {
    all_truth.insert(all_truth.end(), truth.begin(), truth.end());
    if (i % 2 == 0) all_candidates.insert(all_candidates.end(), candidates.begin(), candidates.end());
    truth_ptr.push_back(static_cast<int64_t>(all_truth.size()));
    candidate_ptr.push_back(static_cast<int64_t>(all_candidates.size()));
  }
  const Targets targets{truth_ptr.data(), all_truth.data(), candidate_ptr.data(), all_candidates.data()};

  const Tokens bytes(texts, {}), tokens(texts, given.section(2));
  const IdSource<int64_t> byte_source(bytes.ids.data(), bytes.cu.data(), bytes.count(), bytes.vocabulary());
  const IdSource<int32_t> narrow(tokens.narrow.data(), tokens.cu.data(), tokens.count(), tokens.vocabulary());
  const IdSource<int64_t> wide(tokens.ids.data(), tokens.cu.data(), tokens.count(), tokens.vocabulary());
  const TokenSource& token_source = flags & 16 ? static_cast<const TokenSource&>(narrow) : wide;

  const Result by_byte = run(engine, byte_source, targets, settings);
  const Result by_token = run(engine, token_source, targets, settings);
  const std::vector<string_view> views(texts.begin(), texts.end());
  require_same(by_byte.scores, by_token.scores);
  require_same(by_byte.scores, engine.score(views, targets, settings));
  for (size_t i = 0; i < texts.size(); ++i) {
    check_score(by_byte.scores.scores[i], by_byte.scores.items[i], by_byte.scores.answered[i] != 0, settings,
                world.catalogue->size());
    const std::vector<bool> marks = check_tokens(by_byte, bytes, i, texts[i], settings);
    check_marks(marks, check_tokens(by_token, tokens, i, texts[i], settings), tokens, i, texts[i]);
  }

  const Result by_text = run(engine, TextSource(views, tokens.ends.data(), tokens.cu.data()), targets, settings);
  require_same(by_text.scores, by_token.scores);
  REQUIRE(by_text.rewards == by_token.rewards);
  if (flags & 64) {
    Settings parallel = settings;
    parallel.threads = 2;
    const Result again = run(engine, token_source, targets, parallel);
    require_same(again.scores, by_token.scores);
    REQUIRE(again.rewards == by_token.rewards);
    for (size_t i = 0; i < texts.size(); ++i) {
      REQUIRE(again.segments[i].lengths == by_token.segments[i].lengths);
      REQUIRE(again.segments[i].penalised == by_token.segments[i].penalised);
    }
  }
  return 0;
}
