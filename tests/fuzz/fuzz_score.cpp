// Scores and token rewards of a batch, whole. Sections: titles, text, sizes of tokens (one byte each, in turn), ground
// truths (one byte each), candidates (one byte each), names of attributes.
// Options: 0: bits 0 which box, 1-2 QAS mode, 3 years, 4 ids of 32 bits, 5 with candidates, 6 threads; 1: k - 1 (255:
// 1000); 2: penalty, repeat and credit in 1/64, verdicts where its last three bits are 5; 3: the first year; 4: seed of
// attributes and embeddings; 5: attributes in all; 6: width of embeddings - 1; 7: bits 0 graded, 1 centred, 2 weighted
// attributes, 3 padded rows, 4 repeat, 5 credit, 6 candidates in no order, 7 an id that is none. Statements are read in
// the same text; the sum of options 2 and 3 says what the phrases are.
#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>

#include "input.hpp"
#include "oracle.hpp"
#include "reward/parse.hpp"
#include "reward/score.hpp"
#include "text/tokens.hpp"

using namespace rerec;
using std::string;
using std::string_view;

namespace {

// Texts cut into tokens, as ids of a table of their own.
struct Tokens {
  std::vector<int64_t> ids, left, length, ends, vocabulary_ptr{0};
  std::vector<int32_t> narrow;
  std::vector<std::vector<size_t>> begins;  // of the tokens of each text
  string bytes;

  // sizes: bytes of the tokens, in turn; none: 1.
  Tokens(const std::vector<string_view>& texts, string_view sizes) {
    std::map<string, int64_t> known;
    for (string_view text : texts) {
      left.push_back(static_cast<int64_t>(ids.size()));
      begins.emplace_back();
      size_t at = 0;
      for (size_t i = 0; at < text.size(); ++i) {
        // After 4096 tokens without an end, the rest is one token: sizes may all be 0.
        const size_t wanted = sizes.empty() ? 1 : static_cast<unsigned char>(sizes[i % sizes.size()]) % 36;
        const string token(text.substr(at, i < 4096 ? wanted : text.size()));
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
      length.push_back(static_cast<int64_t>(begins.back().size()));
    }
    narrow.assign(ids.begin(), ids.end());
  }

  size_t count() const { return left.size(); }
  TokenRows rows() const { return {left.data(), length.data(), count()}; }
  Vocabulary vocabulary() const { return {vocabulary_ptr.data(), vocabulary_ptr.size() - 1, bytes}; }
};

// The same ids in rows, each with a gap on its left, and what is no id around them.
struct Padded {
  std::vector<int64_t> left;
  int64_t stride, width;
  std::vector<int64_t> ids;

  Padded(const Tokens& tokens, int64_t gap) {
    width = 1;
    for (size_t i = 0; i < tokens.count(); ++i) {
      left.push_back(gap * static_cast<int64_t>(i % 3));
      width = std::max(width, left[i] + tokens.length[i]);
    }
    stride = width + gap;
    ids.assign(static_cast<size_t>(stride) * tokens.count(), -1);
    for (size_t i = 0; i < tokens.count(); ++i) {
      const auto begin = tokens.ids.begin() + tokens.left[i];
      std::copy(begin, begin + tokens.length[i], ids.begin() + static_cast<int64_t>(i) * stride + left[i]);
    }
  }

  TokenRows rows(const Tokens& tokens) const {
    return {left.data(), tokens.length.data(), tokens.count(), stride, width};
  }
};

// What values and phrases are: each kind and flag of phrase in turn, relations of attributes in turn.
std::shared_ptr<const NameIndex> names_of(const fuzz::World& world, uint8_t seed) {
  constexpr string_view kPhrases[] = {"the", "a",   "film", "is",       "not",         "only", "no",   "yes",
                                      "and", "or",  "nor",  "but",      "neither",     "by",   "directed", "of",
                                      "like", "to", "with", "stars in", "director of", "that"};
  constexpr size_t kCount = sizeof kPhrases / sizeof *kPhrases, kAll = static_cast<size_t>(PhraseKind::kNone);
  std::vector<int8_t> kinds;
  std::vector<uint8_t> flags, any_case;
  std::vector<uint64_t> masks;
  std::vector<int32_t> relations;
  ReasonWords words;
  for (size_t i = 0; i < kCount; ++i) {
    words.phrases.push_back(kPhrases[i]);
    kinds.push_back(static_cast<int8_t>((i + seed / 8) % kAll));
    flags.push_back(static_cast<uint8_t>((i * 7 + seed) % 32));
    masks.push_back(i % 3 == 0 ? uint64_t{1} << (i + seed) % 64 | uint64_t{1} << 63 : ~uint64_t{0});
  }
  const size_t count = world.name_ptr.size() - 1;
  for (size_t a = 0; a < count; ++a) {
    relations.push_back(static_cast<int32_t>((a + seed) % 64));
    any_case.push_back((a + seed) % 2 == 0);
  }
  words.relations = relations.data();
  words.any_case = any_case.data();
  words.attributes = count;
  words.kinds = kinds.data();
  words.flags = flags.data();
  words.masks = masks.data();
  return std::make_shared<const NameIndex>(*world.catalogue, world.names(), words);
}

struct Result {
  std::vector<std::vector<float>> columns;
  std::vector<uint8_t> answered;
  std::vector<int32_t> statements, true_statements;  // where they are counted
  std::vector<std::vector<int32_t>> items;
  std::vector<float> rewards;
  std::vector<std::vector<int8_t>> kinds;  // of each token
  std::vector<std::vector<int32_t>> lengths;

  explicit Result(size_t count) : columns(kColumns, std::vector<float>(count, std::nanf(""))), answered(count, 9) {}

  ScoreArrays arrays() {
    ScoreArrays out{};
    for (size_t i = 0; i < kColumns; ++i) out.columns[i] = columns[i].data();
    out.answered = answered.data();
    if (!statements.empty()) {
      out.statements = statements.data();
      out.true_statements = true_statements.data();
    }
    return out;
  }

  void read(const BatchLists& lists) {
    for (const ItemLists& chunk : lists.items) {
      size_t at = 0;
      for (int32_t count : chunk.counts) {
        REQUIRE(count >= 0 && at + static_cast<size_t>(count) <= chunk.items.size());
        items.emplace_back(chunk.items.begin() + static_cast<int64_t>(at), chunk.items.begin() + static_cast<int64_t>(at) + count);
        at += static_cast<size_t>(count);
      }
      REQUIRE(at == chunk.items.size());
    }
    REQUIRE(items.size() == answered.size());
    for (const SegmentLists& chunk : lists.segments) {
      REQUIRE(chunk.lengths.size() == chunk.kinds.size());
      size_t at = 0;
      for (int32_t count : chunk.counts) {
        kinds.emplace_back();
        lengths.emplace_back();
        for (const size_t end = at + static_cast<size_t>(count); at < end; ++at) {
          REQUIRE(chunk.lengths[at] > 0);
          kinds.back().insert(kinds.back().end(), static_cast<size_t>(chunk.lengths[at]), chunk.kinds[at]);
          lengths.back().push_back(chunk.lengths[at]);
        }
      }
      REQUIRE(at == chunk.lengths.size());
    }
  }
};

Result run(const Scorer& scorer, const TokenSource& source, const Targets& targets, const Settings& settings) {
  const TokenRows& rows = source.rows();
  Result out(rows.count);
  if (settings.reasons) out.statements = out.true_statements = std::vector<int32_t>(rows.count, -1);
  int64_t size = rows.width * static_cast<int64_t>(rows.count);
  if (rows.width == 0) {
    for (size_t i = 0; i < rows.count; ++i) size += rows.length[i];
  }
  // As many floats as tokens, so that a write past the end is seen.
  out.rewards.assign(static_cast<size_t>(size), std::nanf(""));
  BatchLists lists;
  scorer.score_tokens(source, targets, settings, out.arrays(), out.rewards.data(), lists);
  out.read(lists);
  return out;
}

void require_same_scores(const Result& a, const Result& b) {
  REQUIRE(a.items == b.items && a.answered == b.answered && a.columns == b.columns);
}

void require_same(const Result& a, const Result& b) {
  require_same_scores(a, b);
  REQUIRE(a.rewards == b.rewards && a.kinds == b.kinds && a.lengths == b.lengths);
}

// What is read of a text is what is read of its lines alone, in a buffer of their own.
void check_statements(const Scorer& scorer, const std::vector<string_view>& texts) {
  StatementReader reader(*scorer.names(), scorer.tables());
  std::vector<Line> lines, alone;
  for (string_view text : texts) {
    find_lines(text, lines);
    const std::vector<Statement> found = reader.read(text, lines, lines.size());
    auto next = found.begin();
    for (size_t i = 0; i < lines.size(); ++i) {
      const std::vector<char> line = fuzz::exact_copy(text.substr(lines[i].begin, lines[i].end - lines[i].begin));
      const string_view view(line.data(), line.size());
      find_lines(view, alone);
      for (const Statement& wanted : reader.read(view, alone, alone.size())) {
        REQUIRE(next != found.end() && next->line == i && next->item == wanted.item && next->value == wanted.value);
        REQUIRE(next->denied == wanted.denied && next->is_true == wanted.is_true);
        REQUIRE(wanted.item >= 0 && wanted.item < static_cast<int32_t>(scorer.catalogue().size()));
        ++next;
      }
    }
    REQUIRE(next == found.end());
  }
}

// Statements change no score. As many are counted as are read, where no answer ends the reading, and a false one marks
// its line.
void check_reasons(const Scorer& scorer, const TokenSource& source, const Targets& targets, Settings settings,
                   const Result& plain, const std::vector<string_view>& texts) {
  settings.reasons = true;
  const Result read = run(scorer, source, targets, settings);
  require_same_scores(plain, read);
  StatementReader reader(*scorer.names(), scorer.tables());
  std::vector<Line> lines;
  for (size_t i = 0; i < texts.size(); ++i) {
    REQUIRE(read.true_statements[i] >= 0 && read.true_statements[i] <= read.statements[i]);
    const bool marked = std::any_of(read.kinds[i].begin(), read.kinds[i].end(), [](int8_t k) { return k & kFalse; });
    REQUIRE(!marked || read.true_statements[i] < read.statements[i]);
    if (read.answered[i]) continue;
    find_lines(texts[i], lines);
    REQUIRE(reader.read(texts[i], lines, lines.size()).size() == static_cast<size_t>(read.statements[i]));
  }
}

bool near(double a, double b) { return std::abs(a - b) <= 1e-4 * std::max(1.0, std::abs(b)); }

void check_score(const Result& result, size_t i, const fuzz::World& world, ItemSpan truth, ItemSpan candidates,
                 const Settings& settings) {
  const auto score = [&](ScoreColumn column) { return static_cast<double>(result.columns[column][i]); };
  for (size_t column = 0; column < kColumns; ++column) REQUIRE(std::isfinite(result.columns[column][i]));
  const std::vector<int32_t>& items = result.items[i];
  std::vector<int32_t> known;
  for (int32_t item : items) {
    REQUIRE(item >= -1 && item < static_cast<int32_t>(world.catalogue->size()));
    if (item >= 0) known.push_back(item);
  }
  std::sort(known.begin(), known.end());
  REQUIRE(std::adjacent_find(known.begin(), known.end()) == known.end());
  const bool answered = !items.empty();
  REQUIRE(result.answered[i] == answered);
  REQUIRE(score(kFormat) == (answered ? 0.5 : -0.5));
  REQUIRE(score(kRepeats) >= 0 && score(kRepeats) < 1);
  const double total = settings.ndcg * score(kNdcg) + settings.format * score(kFormat) + settings.qas * score(kQas) +
                       settings.pas * score(kPas) - settings.repeat * score(kRepeats);
  REQUIRE(near(score(kTotal), total));
  if (!answered) {
    REQUIRE(score(kNdcg) == -0.5);
    for (ScoreColumn column : {kQas, kPas, kHit, kPrecision, kRecall, kMrr, kRepeats}) REQUIRE(score(column) == 0);
    return;
  }
  REQUIRE(near(score(kQas), fuzz::qas_slowly(world, items[0], truth, settings.mode)));
  REQUIRE(near(score(kPas), fuzz::pas_slowly(world, items[0], truth, settings.mode, settings.centred, candidates)));
  const fuzz::SlowRanking slow = fuzz::rank_slowly(world, items, truth, settings);
  REQUIRE(near(score(kNdcg), slow.ndcg) && near(score(kPrecision), slow.precision));
  REQUIRE(near(score(kRecall), slow.recall) && near(score(kHit), slow.hit) && near(score(kMrr), slow.mrr));
}

void check_tokens(const Result& result, const Tokens& tokens, size_t i, string_view text, const Settings& settings) {
  const std::vector<int8_t>& kinds = result.kinds[i];
  REQUIRE(kinds.size() == static_cast<size_t>(tokens.length[i]));
  const double total = result.columns[kTotal][i], ndcg = result.columns[kNdcg][i];
  std::vector<size_t> braces;
  const Box box = find_box(text, settings.which, braces);
  for (size_t j = 0; j < kinds.size(); ++j) {
    const bool upheld = kinds[j] & kUpheld, refuted = kinds[j] & kRefuted;
    REQUIRE(!upheld || !refuted);
    const double reward = total + (upheld || refuted ? settings.verdict * settings.ndcg * (upheld - ndcg) : 0);
    const double size = std::abs(reward);
    const double wanted = kinds[j] & kPenalised ? reward - settings.penalty * size
                          : kinds[j] & kCredited ? reward + settings.credit * size
                                                 : reward;
    REQUIRE(near(result.rewards[static_cast<size_t>(tokens.left[i]) + j], wanted));
    if (kinds[j] == kPlain) continue;
    // The line of a marked token ends before the box.
    const size_t from = tokens.begins[i][j];
    REQUIRE(box.found && from < box.begin && text.find_first_of("\r\n", from) < box.begin);
    REQUIRE(kinds[j] & kPenalised || settings.credit != 0 || settings.verdict != 0);
  }
}

// Other tokens of the same bytes: each has the kind of its first byte that is no line break.
void check_kinds(const std::vector<int8_t>& bytes, const std::vector<int8_t>& kinds, const std::vector<size_t>& begins,
                 string_view text) {
  for (size_t j = 0; j < kinds.size(); ++j) {
    const size_t from = begins[j], to = j + 1 < kinds.size() ? begins[j + 1] : text.size();
    size_t first = text.find_first_not_of("\r\n", from);
    if (first >= to) first = from;
    REQUIRE(kinds[j] == (from < to ? bytes[first] : static_cast<int8_t>(kPlain)));
  }
}

// Rows with padding: the packed rewards, and 0 around them.
void check_padded(const Scorer& scorer, const Tokens& tokens, const Result& packed, const Targets& targets,
                  const Settings& settings, int64_t gap) {
  const Padded padded(tokens, gap);
  const Vocabulary vocabulary = tokens.vocabulary();
  const Result result = run(scorer, IdSource<int64_t>(padded.ids.data(), padded.rows(tokens), vocabulary), targets, settings);
  require_same_scores(result, packed);
  REQUIRE(result.kinds == packed.kinds);
  for (size_t i = 0; i < tokens.count(); ++i) {
    for (int64_t j = 0; j < padded.width; ++j) {
      const int64_t token = j - padded.left[i];
      const bool is_token = token >= 0 && token < tokens.length[i];
      const float reward = result.rewards[i * static_cast<size_t>(padded.width) + static_cast<size_t>(j)];
      REQUIRE(reward == (is_token ? packed.rewards[static_cast<size_t>(tokens.left[i] + token)] : 0.0f));
    }
  }
}

// Ids outside the vocabulary in the last rows: the first of them is named.
template <class Id>
void check_bad_ids(const Scorer& scorer, const Tokens& tokens, std::vector<Id> ids, Id bad, const Targets& targets,
                   const Settings& settings) {
  size_t row = tokens.count();
  for (size_t i = tokens.count(); i-- > 1;) {
    if (tokens.length[i] == 0) continue;
    ids[static_cast<size_t>(tokens.left[i] + tokens.length[i] / 2)] = bad;
    row = i;
  }
  if (row == tokens.count()) return;
  const Vocabulary vocabulary = tokens.vocabulary();
  const string named =
      "response " + std::to_string(row) + ", token " + std::to_string(tokens.length[row] / 2) + ": id " + std::to_string(bad);
  try {
    run(scorer, IdSource<Id>(ids.data(), tokens.rows(), vocabulary), targets, settings);
    REQUIRE(!"an id outside the vocabulary is told");
  } catch (const std::out_of_range& error) {
    REQUIRE(string_view(error.what()).substr(0, named.size()) == named);
  }
}

// All pairs of some items; -1 is unknown.
template <class Id>
void check_pairs(const fuzz::World& world, int threads) {
  std::vector<Id> items, truths;
  const Id size = static_cast<Id>(std::min<size_t>(world.catalogue->size(), 5));
  for (Id item = -1; item < size; ++item) {
    for (Id truth = 0; truth < size; ++truth) {
      items.push_back(item);
      truths.push_back(truth);
    }
  }
  const ItemTables tables = world.tables();
  std::vector<float> qas(items.size()), pas(items.size());
  qas_pairs(tables, items.data(), truths.data(), items.size(), threads, qas.data());
  pas_pairs(tables, items.data(), truths.data(), items.size(), threads, pas.data());
  for (size_t i = 0; i < items.size(); ++i) {
    const int32_t item = static_cast<int32_t>(items[i]), truth = static_cast<int32_t>(truths[i]);
    REQUIRE(near(qas[i], fuzz::qas_slowly(world, item, {&truth, &truth + 1}, QasMode::kShared)));
    const float dot = fuzz::dot_by_lanes(world.embedding(std::max(item, 0)), world.embedding(truth), world.width);
    REQUIRE(pas[i] == (item < 0 ? 0.0f : dot));  // to the bit: the same on every processor
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::Case given(data, size);
  const uint8_t flags = given.options[0], more = given.options[7];
  const fuzz::World world(given.list(0, 80), given.list(5, 16), given.options, flags & 8, more & 4, more & 2);
  Scorer scorer(world.catalogue, world.tables(), world.names());
  scorer.set_names(names_of(world, static_cast<uint8_t>(given.options[2] + given.options[3])));

  const string_view section = given.section(1);
  const std::vector<char> once = fuzz::exact_copy(section), half = fuzz::exact_copy(section.substr(0, section.size() / 2)),
                          twice = fuzz::exact_copy(string(section) + "\n" + string(section));
  const auto view = [](const std::vector<char>& text) { return string_view(text.data(), text.size()); };
  std::vector<string_view> texts{view(once), "", view(half), view(twice)};
  if (flags & 64) {
    while (texts.size() < 20) texts.push_back(texts[texts.size() - 3]);  // work for several threads
  }
  Settings settings;
  settings.which = flags & 1 ? Which::kFirst : Which::kLast;
  settings.mode = static_cast<QasMode>((flags >> 1 & 3) % 3);
  settings.k = given.options[1] == 255 ? kMostK : 1 + given.options[1] % 12;
  settings.penalty = given.options[2] / 64.0;
  settings.graded = more & 1;
  settings.centred = more & 2;
  if (more & 16) settings.repeat = given.options[2] / 64.0;
  if (more & 32) settings.credit = given.options[2] / 64.0;
  if ((given.options[2] & 7) == 5) settings.verdict = 0.5;

  std::vector<int32_t> truth = world.items(given.section(3), true);
  std::vector<int32_t> candidates = world.items(given.section(4), !(more & 64));
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
  const Vocabulary byte_table = bytes.vocabulary(), table = tokens.vocabulary();
  const IdSource<int64_t> byte_source(bytes.ids.data(), bytes.rows(), byte_table);
  const IdSource<int32_t> narrow(tokens.narrow.data(), tokens.rows(), table);
  const IdSource<int64_t> wide(tokens.ids.data(), tokens.rows(), table);
  const TokenSource& token_source = flags & 16 ? static_cast<const TokenSource&>(narrow) : wide;

  const Result by_byte = run(scorer, byte_source, targets, settings);
  const Result by_token = run(scorer, token_source, targets, settings);
  require_same_scores(by_byte, by_token);
  Result by_views(texts.size());
  BatchLists lists;
  scorer.score(texts, targets, settings, by_views.arrays(), lists);
  by_views.read(lists);
  require_same_scores(by_byte, by_views);
  for (size_t i = 0; i < texts.size(); ++i) {
    check_score(by_byte, i, world, targets.truth_of(i), targets.candidates_of(i), settings);
    check_tokens(by_byte, bytes, i, texts[i], settings);
    check_tokens(by_token, tokens, i, texts[i], settings);
    check_kinds(by_byte.kinds[i], by_token.kinds[i], tokens.begins[i], texts[i]);
  }

  check_statements(scorer, texts);
  check_reasons(scorer, token_source, targets, settings, by_token, texts);
  require_same(run(scorer, TextSource(texts, tokens.ends.data(), tokens.rows()), targets, settings), by_token);
  if (flags & 64) {
    Settings parallel = settings;
    parallel.threads = 2;
    require_same(run(scorer, token_source, targets, parallel), by_token);
  }
  if (more & 8) check_padded(scorer, tokens, by_token, targets, settings, given.options[3] % 5);
  if (more & 128) {
    const int64_t limit = static_cast<int64_t>(table.size());
    settings.threads = flags & 64 ? 2 : 1;
    check_bad_ids<int64_t>(scorer, tokens, tokens.ids, given.options[3] & 1 ? -1 : limit + given.options[4], targets, settings);
    check_bad_ids<int32_t>(scorer, tokens, tokens.narrow, given.options[3] & 1 ? -1 : static_cast<int32_t>(limit), targets, settings);
  }
  if (flags & 16) check_pairs<int32_t>(world, 1);
  else check_pairs<int64_t>(world, 1);
  return 0;
}
