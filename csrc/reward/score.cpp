#include "reward/score.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/parallel.hpp"
#include "reward/rank.hpp"
#include "text/brackets.hpp"
#include "text/titles.hpp"

namespace rerec {

using std::string_view;

struct Scorer::Workspace {
  Workspace(const Scorer& scorer, const Settings& settings) : reader(scorer.catalogue()) {
    if (settings.reasons) statements = std::make_unique<StatementReader>(*scorer.names(), scorer.tables());
  }

  AnswerReader reader;
  TokenSource::Buffers buffers;
  Mentions mentions;
  std::vector<Line> lines;
  std::vector<uint8_t> marked;  // lines before the box; candidates judged
  std::vector<int8_t> kinds;    // of lines
  std::vector<int32_t> items, owners, attributes;
  std::vector<double> gains, others;
  ItemLists item_lists;  // of the chunk at hand: its buffers grow once, the batch gets copies of the right size
  SegmentLists segment_lists;
  EntryLists entry_lists;
  EntryBuffers entry_buffers;
  std::unique_ptr<StatementReader> statements;  // where reasons are read
};

namespace {

void add_name(Mentions& mentions, string_view name, int32_t owner) {
  mentions.add(name, owner);
  if (name.find(',') == string_view::npos) return;
  const std::string moved = move_article(name);
  if (moved != name) mentions.add(moved, owner);
}

// A bracket of the answer's own words may hold anything ("Heat (a crime film)"), a bracket of the catalogue is a title.
void add_title(Mentions& mentions, string_view title, bool alternatives, int32_t owner) {
  const SplitTitle split = split_title(title);
  if (split.tail.empty() && !has_open_bracket(split.name)) {  // the name is its only form
    add_name(mentions, split.name, owner);
    return;
  }
  const Forms forms = title_forms(split.full_name());
  for (size_t i = 0; i < (alternatives ? forms.names.size() : forms.own()); ++i) {
    add_name(mentions, forms.names[i], owner);
  }
}

// By kind of segment. What is false is not credited.
std::array<float, kKinds> rewards_by_kind(double total, double ndcg, const Settings& settings) {
  std::array<float, kKinds> out{};
  for (size_t kind = 0; kind < kKinds; ++kind) {
    double reward = total;
    if (kind & (kUpheld | kRefuted)) {
      reward += settings.verdict * settings.ndcg * ((kind & kUpheld ? 1 : 0) - ndcg);
    }
    double share = 0;
    if (kind & kPenalised) share -= settings.penalty;
    if (kind & kCredited) share += settings.credit;
    if (kind & kFalse) share -= settings.falsehood;
    out[kind] = static_cast<float>(reward + share * std::abs(reward));
  }
  return out;
}

// What a line says of an item, 1 or -1: the "yes" or "no" that it ends with; where it ends otherwise "no" where one
// stands before a mark, else "yes" where one does. 0: neither.
int verdict_of(string_view line) {
  line = line.substr(0, line.find_last_not_of(" .\r\n") + 1);
  int found = 0;
  for (size_t at = line.find(' '); at != string_view::npos; at = line.find(' ', at + 1)) {
    const string_view rest = line.substr(at + 1);
    const bool no = rest.compare(0, 2, "no") == 0, yes = rest.compare(0, 3, "yes") == 0;
    if (!no && !yes) continue;
    const string_view after = rest.substr(no ? 2 : 3);
    if (after.empty()) return no ? -1 : 1;
    if (after.find_first_of(",;:") != after.find_first_not_of(' ')) continue;
    if (found != -1) found = no ? -1 : 1;
  }
  return found;
}

bool is_line_break(char c) { return c == '\n' || c == '\r'; }

// The lines of the text: they end in special tokens alone, or in text beyond the last token.
void find_lines(const TokenText& tokens, std::vector<Line>& lines) {
  lines.clear();
  size_t begin = 0;
  const auto read = [&](size_t from, size_t to) {
    for (size_t i = from; i < to; ++i) {
      if (!is_line_break(tokens.text[i])) continue;
      lines.push_back({begin, i + 1});
      begin = i + 1;
    }
  };
  for (uint32_t token : *tokens.special) read(tokens.offsets[token], tokens.offsets[token + 1]);
  read(tokens.offsets[tokens.tokens], tokens.text.size());
  if (begin < tokens.text.size()) lines.push_back({begin, tokens.text.size()});
}

string_view text_of(const TokenText& tokens, const Line& line) {
  return tokens.text.substr(line.begin, line.end - line.begin);
}

// How many lines end before a place.
size_t lines_before(const std::vector<Line>& lines, size_t place) {
  const auto ends_later = [](size_t begin, const Line& line) { return begin < line.end; };
  return static_cast<size_t>(std::upper_bound(lines.begin(), lines.end(), place, ends_later) - lines.begin());
}

// Writes the tokens' rewards and their runs. A token belongs to the line of its first byte that is no line break, or,
// where all are, of its first byte; one without bytes belongs to none.
void write_rewards(const TokenText& tokens, const std::vector<Line>& lines, const std::vector<int8_t>& kinds,
                   const std::array<float, kKinds>& reward_of, float* rewards, SegmentLists& out) {
  constexpr size_t kNone = ~size_t{0};
  const uint32_t* offsets = tokens.offsets;
  const size_t runs = out.lengths.size(), most = runs + 2 * tokens.special->size() + 1;
  out.lengths.resize(most);
  out.kinds.resize(most);
  int32_t* length = out.lengths.data() + runs;
  int8_t* kind = out.kinds.data() + runs;
  std::fill(rewards, rewards + tokens.tokens, reward_of[kPlain]);
  size_t first = 0, of = kNone, line = 0;  // the open run's first token and line, and the line at hand
  bool open = false;
  const auto end_run = [&](size_t last) {
    if (!open) return;
    *length++ = static_cast<int32_t>(last - first);
    *kind = of < kinds.size() ? kinds[of] : static_cast<int8_t>(kPlain);
    if (*kind != kPlain) std::fill(rewards + first, rewards + last, reward_of[static_cast<size_t>(*kind)]);
    ++kind;
  };
  const auto add = [&](size_t token, size_t its_line) {
    if (open && its_line == of) return;
    end_run(token);
    first = token;
    of = its_line;
    open = true;
  };
  const auto line_of = [&](size_t place) {
    while (line + 1 < lines.size() && lines[line].end <= place) ++line;
    return line;
  };
  size_t next = 0;
  for (uint32_t token : *tokens.special) {
    if (next < token) add(next, line_of(offsets[next]));
    const size_t begin = offsets[token], end = offsets[token + 1];
    size_t place = begin;
    while (place < end && is_line_break(tokens.text[place])) ++place;
    add(token, begin == end ? kNone : line_of(place == end ? begin : place));
    next = token + 1;
  }
  if (next < tokens.tokens) add(next, line_of(offsets[next]));
  end_run(tokens.tokens);
  const size_t written = static_cast<size_t>(length - out.lengths.data());
  out.lengths.resize(written);
  out.kinds.resize(written);
  out.counts.push_back(static_cast<int32_t>(written - runs));
}

// `none` on both sides of a padded row's tokens.
template <class T>
void fill_padding(const TokenRows& rows, size_t i, T* values, T none) {
  T* row = values + static_cast<int64_t>(i) * rows.width;
  std::fill(row, row + rows.left[i], none);
  std::fill(row + rows.left[i] + rows.length[i], row + rows.width, none);
}

}  // namespace

double Scorer::score_one(const Answer& answer, size_t i, const Targets& targets, const Settings& settings,
                         Workspace& work, ScoreArrays out) const {
  const ItemSpan truth = targets.truth_of(i);
  std::array<double, kColumns> score{};
  out.answered[i] = answer.answered();
  work.items.clear();
  for (const Entry& entry : answer.entries) work.items.push_back(entry.item);
  if (answer.answered()) {
    const int32_t item = work.items[0];
    const Ranking ranking = rank(work.items.data(), work.items.size(), truth, settings.k);
    score[kNdcg] = ranking.ndcg;
    score[kPrecision] = ranking.precision;
    score[kRecall] = ranking.recall;
    score[kHit] = ranking.hit;
    score[kMrr] = ranking.mrr;
    score[kQas] = qas(tables_, item, truth, settings.mode, work.attributes);
    score[kPas] = settings.centred ? centred_pas(tables_, item, truth, settings.mode, targets.candidates_of(i),
                                               work.attributes)
                                   : pas(tables_, item, truth, settings.mode);
    score[kFormat] = 0.5;
    const double entries = static_cast<double>(answer.entries.size()), repeats = static_cast<double>(answer.repeats);
    score[kRepeats] = repeats / (entries + repeats);
    if (settings.graded) {
      work.gains.clear();
      work.others.clear();
      for (size_t j = 0; j < std::min(work.items.size(), static_cast<size_t>(settings.k)); ++j) {
        const bool hit = contains(truth, work.items[j]);
        work.gains.push_back(hit ? 1 : qas(tables_, work.items[j], truth, settings.mode, work.attributes));
        if (!hit) work.others.push_back(work.gains.back());
      }
      score[kNdcg] = graded_ndcg(work.gains, work.others, truth.size(), settings.k);
    }
  } else {
    score[kNdcg] = score[kFormat] = -0.5;
  }
  const double total = settings.ndcg * score[kNdcg] + settings.format * score[kFormat] + settings.qas * score[kQas] +
                       settings.pas * score[kPas] - settings.repeat * score[kRepeats];
  score[kTotal] = total;
  for (size_t column = 0; column < kColumns; ++column) out.columns[column][i] = static_cast<float>(score[column]);
  std::vector<int32_t>& all = work.item_lists.items;
  all.insert(all.end(), work.items.begin(), work.items.end());
  work.item_lists.counts.push_back(static_cast<int32_t>(work.items.size()));
  return total;
}

void Scorer::score(const std::vector<string_view>& texts, const Targets& targets, const Settings& settings,
                   ScoreArrays out, BatchLists& lists) const {
  lists.items.resize(ChunkQueue::chunks(texts.size()));
  parallel_for(texts.size(), settings.threads, [&](ChunkQueue& queue) {
    Workspace work(*this, settings);
    for (size_t begin, end; queue.next(begin, end);) {
      work.item_lists.clear();
      for (size_t i = begin; i < end; ++i) {
        const Answer& answer = work.reader.read(texts[i], targets.candidates_of(i), settings.which, settings.is_opened(i));
        score_one(answer, i, targets, settings, work, out);
        if (!settings.reasons) continue;
        find_lines(texts[i], work.lines);
        work.kinds.clear();
        read_reasons(texts[i], answer, i, work, out);
      }
      lists.items[begin / ChunkQueue::kChunk] = work.item_lists;
    }
  });
}

void Scorer::score_tokens(const TokenSource& source, const Targets& targets, const Settings& settings, ScoreArrays out,
                          float* rewards, BatchLists& lists) const {
  try {
    score_all(source, targets, settings, out, rewards, lists);
  } catch (const std::out_of_range&) {  // of some row: which one a thread came to first is chance
    TokenSource::Buffers buffers;
    for (size_t i = 0; i < source.rows().count; ++i) source.read(i, buffers);
    throw;
  }
}

void Scorer::score_all(const TokenSource& source, const Targets& targets, const Settings& settings, ScoreArrays out,
                       float* rewards, BatchLists& lists) const {
  const TokenRows& rows = source.rows();
  lists.items.resize(ChunkQueue::chunks(rows.count));
  lists.segments.resize(lists.items.size());
  if (settings.entries) lists.entries.resize(lists.items.size());
  parallel_for(rows.count, settings.threads, [&](ChunkQueue& queue) {
    Workspace work(*this, settings);
    for (size_t begin, end; queue.next(begin, end);) {
      work.item_lists.clear();
      work.segment_lists.clear();
      work.entry_lists.clear();
      for (size_t i = begin; i < end; ++i) {
        const TokenText tokens = source.read(i, work.buffers);
        const Answer& answer = work.reader.read(tokens.text, targets.candidates_of(i), settings.which,
                                                settings.is_opened(i), settings.entries);
        const double total = score_one(answer, i, targets, settings, work, out);
        find_lines(tokens, work.lines);
        mark_lines(tokens, answer, i, targets, settings, work);
        if (settings.reasons) read_reasons(tokens.text, answer, i, work, out);
        write_rewards(tokens, work.lines, work.kinds, rewards_by_kind(total, out.columns[kNdcg][i], settings),
                      rewards + rows.rewards_begin(i), work.segment_lists);
        if (rows.width > 0) fill_padding(rows, i, rewards, 0.f);
        if (!settings.entries) continue;
        append_entry_rewards(answer, targets.truth_of(i), targets.candidates_of(i), tables_, settings,
                             work.entry_buffers, work.entry_lists);
        write_places(tokens, answer, out.places + rows.rewards_begin(i));
        if (rows.width > 0) fill_padding(rows, i, out.places, -1);
      }
      lists.items[begin / ChunkQueue::kChunk] = work.item_lists;
      lists.segments[begin / ChunkQueue::kChunk] = work.segment_lists;
      if (settings.entries) lists.entries[begin / ChunkQueue::kChunk] = work.entry_lists;
    }
  });
}

// The kind of each line that ends before the box.
void Scorer::mark_lines(const TokenText& tokens, const Answer& answer, size_t i, const Targets& targets,
                        const Settings& settings, Workspace& work) const {
  work.kinds.clear();
  if (!answer.answered()) return;
  const ItemSpan truth = targets.truth_of(i);
  const size_t before = lines_before(work.lines, answer.begin);
  bool cleared = false;
  for (const Entry& entry : answer.entries) {
    if (entry.item >= 0 && contains(truth, entry.item)) continue;
    if (!cleared) work.mentions.clear();
    cleared = true;
    const string_view title = entry.item >= 0 ? catalogue_->title(entry.item) : string_view();
    if (entry.text != title) add_title(work.mentions, entry.text, false, 0);
    if (entry.item >= 0) add_title(work.mentions, title, true, 0);
  }
  if (cleared && !work.mentions.empty()) {
    work.mentions.find(tokens.text, work.lines, before, work.marked);
    work.kinds.assign(work.marked.begin(), work.marked.end());
  }
  if (settings.credit != 0) find_rejections(tokens, before, truth, targets.candidates_of(i), work);
  if (settings.verdict != 0) read_verdicts(tokens, before, truth, targets.candidates_of(i), work);
}

void Scorer::read_reasons(string_view text, const Answer& answer, size_t i, Workspace& work, ScoreArrays out) const {
  const size_t count = answer.answered() ? lines_before(work.lines, answer.begin) : work.lines.size();
  int32_t all = 0, right = 0;
  for (const Statement& statement : work.statements->read(text, work.lines, count)) {
    ++all;
    right += statement.is_true;
    if (statement.is_true) continue;
    if (work.kinds.size() <= statement.line) work.kinds.resize(count, kPlain);
    int8_t& kind = work.kinds[statement.line];
    kind = static_cast<int8_t>((kind & ~kCredited) | kFalse);
  }
  out.statements[i] = all;
  out.true_statements[i] = right;
}

// Adds the candidates' titles, but those of `without`; a candidate's place is the owner.
void Scorer::add_candidates(Candidates candidates, ItemSpan without, Mentions& mentions) const {
  for (int32_t owner = 0; owner < static_cast<int32_t>(candidates.size()); ++owner) {
    const int32_t item = candidates.begin()[owner];
    if (!contains(without, item)) add_title(mentions, catalogue_->title(item), true, owner);
  }
}

// Credits the lines that name a wrong candidate and an attribute of a ground truth that the candidate lacks.
void Scorer::find_rejections(const TokenText& tokens, size_t before, ItemSpan truth, Candidates candidates,
                             Workspace& work) const {
  work.attributes.clear();
  for (int32_t gt : truth) {
    const ItemSpan own = tables_.attributes_of(gt);
    work.attributes.insert(work.attributes.end(), own.begin(), own.end());
  }
  std::sort(work.attributes.begin(), work.attributes.end());
  work.attributes.erase(std::unique(work.attributes.begin(), work.attributes.end()), work.attributes.end());
  work.mentions.clear();
  const int32_t count = static_cast<int32_t>(candidates.size());
  add_candidates(candidates, truth, work.mentions);
  if (work.mentions.empty()) return;
  for (size_t a = 0; a < work.attributes.size(); ++a) {
    work.mentions.add(names_[work.attributes[a]], count + static_cast<int32_t>(a), true);
  }
  work.kinds.resize(before, kPlain);
  work.mentions.find(tokens.text, work.lines, before, work.marked);
  for (size_t line = 0; line < before; ++line) {
    if (work.marked[line] == 0 || work.kinds[line] != kPlain) continue;
    work.mentions.owners_in(text_of(tokens, work.lines[line]), work.owners);
    const auto first_attribute = std::lower_bound(work.owners.begin(), work.owners.end(), count);
    for (auto owner = work.owners.begin(); owner != first_attribute; ++owner) {
      const ItemSpan own = tables_.attributes_of(candidates.begin()[*owner]);
      const bool lacks = std::any_of(first_attribute, work.owners.end(), [&](int32_t number) {
        return !contains(own, work.attributes[static_cast<size_t>(number - count)]);
      });
      if (lacks) work.kinds[line] = kCredited;
    }
  }
}

// Marks the lines that name one candidate alone and give the first verdict on it: to say it again earns nothing.
void Scorer::read_verdicts(const TokenText& tokens, size_t before, ItemSpan truth, Candidates candidates,
                           Workspace& work) const {
  work.mentions.clear();
  work.kinds.resize(before, kPlain);
  work.marked.assign(candidates.size(), 0);
  for (size_t line = 0; line < before; ++line) {
    const string_view text = text_of(tokens, work.lines[line]);
    const int verdict = verdict_of(text);
    if (verdict == 0) continue;
    if (work.mentions.empty()) add_candidates(candidates, {}, work.mentions);  // few responses have verdicts
    work.mentions.owners_in(text, work.owners);
    if (work.owners.size() != 1) continue;
    const size_t owner = static_cast<size_t>(work.owners[0]);
    if (std::exchange(work.marked[owner], 1) != 0) continue;
    const bool right = contains(truth, candidates.begin()[owner]) == (verdict > 0);
    work.kinds[line] = static_cast<int8_t>(work.kinds[line] | (right ? kUpheld : kRefuted));
  }
}

}  // namespace rerec
