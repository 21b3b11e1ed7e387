#include "engine.hpp"

#include <algorithm>
#include <cmath>

#include "parallel.hpp"
#include "rank.hpp"
#include "titles.hpp"

namespace rerec {

using std::string_view;

struct Engine::Workspace {
  TokenSource::Buffers buffers;
  Mentions mentions;
  std::vector<int32_t> lines;
  std::vector<uint8_t> penalised;  // by line
};

namespace {

// A bracket of the answer's own words may hold anything ("Heat (a crime film)"), a bracket of the catalogue is a title.
void add_title(Mentions& mentions, string_view title, bool alternatives) {
  const Forms forms = title_forms(split_title(title).full_name());
  for (size_t i = 0; i < (alternatives ? forms.names.size() : forms.own()); ++i) {
    mentions.add(forms.names[i]);
    mentions.add(move_article(forms.names[i]));
  }
}

}  // namespace

Answer Engine::score_one(string_view text, size_t i, const Targets& targets, const Settings& settings,
                         BatchScores& out) const {
  const Answer answer = read_answer(text, *catalogue_, targets.candidates_of(i), settings.which);
  const ItemSpan truth = targets.truth_of(i);
  Score& score = out.scores[i];
  out.answered[i] = answer.answered();
  std::vector<int32_t>& items = out.items[i];
  for (const Entry& entry : answer.entries) items.push_back(entry.item);
  if (answer.answered()) {
    const Ranking ranking = rank(items.data(), items.size(), truth, settings.k);
    score.ndcg = ranking.ndcg;
    score.precision = ranking.precision;
    score.recall = ranking.recall;
    score.hit = ranking.hit;
    score.mrr = ranking.mrr;
    score.qas = qas(tables_, items[0], truth, settings.mode);
    score.pas = pas(tables_, items[0], truth, settings.mode);
    score.format = 0.5;
  } else {
    score.ndcg = score.format = -0.5;
  }
  score.total = settings.ndcg * score.ndcg + settings.format * score.format + settings.qas * score.qas +
                settings.pas * score.pas;
  return answer;
}

BatchScores Engine::score(const std::vector<string_view>& texts, const Targets& targets,
                          const Settings& settings) const {
  BatchScores out(texts.size());
  parallel_for(texts.size(), settings.threads, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) score_one(texts[i], i, targets, settings, out);
  });
  return out;
}

BatchScores Engine::score_tokens(const TokenSource& source, const Targets& targets, const Settings& settings,
                                 float* rewards, std::vector<Segments>& segments) const {
  BatchScores out(source.count());
  segments.assign(source.count(), {});
  parallel_for(source.count(), settings.threads, [&](size_t begin, size_t end) {
    Workspace work;
    for (size_t i = begin; i < end; ++i) {
      const TokenText tokens = source.read(i, work.buffers);
      const Answer answer = score_one(tokens.text, i, targets, settings, out);
      reward_tokens(tokens, answer, out.scores[i].total, targets.truth_of(i), settings.penalty, work,
                    rewards + source.cu()[i], segments[i]);
    }
  });
  return out;
}

void Engine::reward_tokens(const TokenText& tokens, const Answer& answer, double reward, ItemSpan truth, double penalty,
                           Workspace& work, float* rewards, Segments& segments) const {
  const std::vector<Line> lines = split_lines_at_breaks(tokens.text);
  work.penalised.assign(lines.size(), 0);
  work.mentions.clear();
  for (const Entry& entry : answer.entries) {
    if (entry.item >= 0 && std::binary_search(truth.begin(), truth.end(), entry.item)) continue;
    add_title(work.mentions, entry.text, false);
    if (entry.item >= 0) add_title(work.mentions, catalogue_->title(entry.item), true);
  }
  if (!work.mentions.empty()) {
    work.mentions.build();
    for (size_t i = 0; i < lines.size() && lines[i].end <= answer.begin; ++i) {
      work.penalised[i] = work.mentions.found_in(tokens.text.substr(lines[i].begin, lines[i].end - lines[i].begin));
    }
  }
  const float plain = static_cast<float>(reward), reduced = static_cast<float>(reward - penalty * std::abs(reward));
  token_lines(tokens.text, lines, tokens.offsets, tokens.tokens, work.lines);
  for (size_t i = 0; i < tokens.tokens; ++i) {
    const int32_t line = work.lines[i];
    const bool penalised = line >= 0 && work.penalised[static_cast<size_t>(line)];
    rewards[i] = penalised ? reduced : plain;
    if (i == 0 || line != work.lines[i - 1]) {
      segments.lengths.push_back(0);
      segments.penalised.push_back(penalised);
    }
    ++segments.lengths.back();
  }
}

}  // namespace rerec
