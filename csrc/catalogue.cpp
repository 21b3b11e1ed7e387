#include "catalogue.hpp"

#include <algorithm>
#include <cstdlib>

#include "text.hpp"

namespace rerec {

using std::string;
using std::string_view;

struct Catalogue::Query {
  string_view raw;
  SplitTitle split;
  string name;  // with the words after the year
  Forms forms;

  explicit Query(string_view title) : raw(trim(title)), split(split_title(raw)) {
    name = split.full_name();
    forms = title_forms(name);
  }
};

namespace {

std::vector<string> loose_keys(const Forms& forms, size_t first, size_t last) {
  std::vector<string> keys;
  for (size_t i = first; i < last; ++i) {
    string key = loose_key(forms.names[i]);
    if (!key.empty() && std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(std::move(key));
  }
  return keys;
}

bool contains(Candidates candidates, int32_t item) {
  return std::binary_search(candidates.begin(), candidates.end(), item);
}

bool meet(const std::vector<string>& a, const std::vector<string>& b) {
  return std::any_of(a.begin(), a.end(),
                     [&](const string& key) { return std::find(b.begin(), b.end(), key) != b.end(); });
}

std::vector<string> plain_keys(const Forms& forms, size_t last) {
  std::vector<string> keys;
  for (size_t i = 0; i < last; ++i) {
    string key = plain_key(forms.names[i]);
    if (!key.empty()) keys.push_back(std::move(key));
  }
  return keys;
}

}  // namespace

Catalogue::Catalogue(std::vector<string> titles, std::vector<int32_t> years)
    : titles_(std::move(titles)), years_(std::move(years)) {
  years_.resize(titles_.size(), 0);
  std::vector<HashIndex::Entry> exact, keys;
  for (size_t i = 0; i < titles_.size(); ++i) {
    const int32_t item = static_cast<int32_t>(i);
    const string_view title = trim(titles_[i]);
    const SplitTitle split = split_title(title);
    if (years_[i] == 0) years_[i] = split.year;
    if (!title.empty()) exact.emplace_back(hash_bytes(title), item);
    const Forms forms = title_forms(split.full_name());
    for (const string& key : loose_keys(forms, 0, forms.names.size())) keys.emplace_back(hash_bytes(key), item);
    most_semicolons_ = std::max(most_semicolons_, static_cast<int>(std::count(title.begin(), title.end(), ';')));
  }
  exact_.build(std::move(exact));
  keys_.build(std::move(keys));
}

void Catalogue::exact_hits(string_view raw, std::vector<Scored>& hits) const {
  if (raw.empty()) return;
  for (int32_t item : exact_.find(hash_bytes(raw))) {
    if (trim(title(item)) == raw) hits.push_back({item, Rule::kExact});
  }
}

int32_t Catalogue::match_exact(string_view title, Candidates candidates) const {
  std::vector<Scored> hits;
  exact_hits(trim(title), hits);
  Match out;
  if (candidates.begin() != candidates.end() && choose(hits, Rule::kExact, candidates, out)) return out.item;
  return choose(hits, Rule::kExact, {}, out) ? out.item : -1;
}

Rule Catalogue::name_rule(const Query& query, int32_t item) const {
  const SplitTitle split = split_title(trim(title(item)));
  const string name = split.full_name();
  const Forms forms = title_forms(name);
  const size_t own = query.forms.own();
  if (move_article(query.name) == move_article(name)) return Rule::kArticle;
  const string plain = plain_key(query.name);
  if (!plain.empty() && plain == plain_key(name)) return Rule::kNormalised;
  if (meet(plain_keys(query.forms, own), plain_keys(forms, forms.names.size()))) return Rule::kAlternative;
  if (meet(loose_keys(query.forms, 0, own), loose_keys(forms, 0, forms.names.size()))) return Rule::kNumeral;
  return Rule::kNone;
}

// Every item of the query's name; far years end as kNone.
void Catalogue::name_hits(const Query& query, std::vector<Scored>& hits) const {
  for (const string& key : loose_keys(query.forms, 0, query.forms.own())) {
    for (int32_t item : keys_.find(hash_bytes(key))) {
      Rule rule = name_rule(query, item);
      if (rule == Rule::kNone) continue;
      const int32_t year = years_[static_cast<size_t>(item)], asked = query.split.year;
      if (year != asked) {
        rule = year == 0 || asked == 0           ? Rule::kMissingYear
               : std::abs(year - asked) == 1 ? Rule::kAdjacentYear
                                                 : Rule::kNone;
      }
      hits.push_back({item, rule});
    }
  }
}

// The query's own bracketed alternatives: they may be anything, so the year has to agree.
void Catalogue::alternative_hits(const Query& query, std::vector<Scored>& hits) const {
  const Forms& forms = query.forms;
  for (const string& key : loose_keys(forms, forms.own(), forms.names.size())) {
    for (int32_t item : keys_.find(hash_bytes(key))) {
      if (years_[static_cast<size_t>(item)] != query.split.year) continue;
      const Forms named = title_forms(split_title(trim(title(item))).full_name());
      const auto keys = loose_keys(named, 0, named.names.size());
      if (std::find(keys.begin(), keys.end(), key) != keys.end()) hits.push_back({item, Rule::kAlternative});
    }
  }
}

// "Heat (1995) - a fine film": name and year must agree.
void Catalogue::trailing_hits(const Query& query, std::vector<Scored>& hits) const {
  string head(query.split.name);
  head.append(" (").append(std::to_string(query.split.year)).append(")");
  std::vector<Scored> found;
  name_hits(Query(head), found);
  for (const Scored& hit : found) {
    if (hit.rule < Rule::kMissingYear) hits.push_back({hit.item, Rule::kTrailingText});
  }
}

// The single item of the strictest rule (up to `loosest`), among the candidates where any of them is hit. Returns
// whether that settles the match: found, or ambiguous.
bool Catalogue::choose(const std::vector<Scored>& hits, Rule loosest, Candidates candidates, Match& out) {
  const bool restricted = candidates.begin() != candidates.end();
  Rule best = Rule::kNone;
  out.alternatives.clear();
  for (const Scored& hit : hits) {
    if (hit.rule > loosest || hit.rule > best || (restricted && !contains(candidates, hit.item))) continue;
    if (hit.rule < best) out.alternatives.clear();
    best = hit.rule;
    if (std::find(out.alternatives.begin(), out.alternatives.end(), hit.item) == out.alternatives.end())
      out.alternatives.push_back(hit.item);
  }
  if (out.alternatives.empty()) return false;
  if (out.alternatives.size() > 1) {
    out.rule = Rule::kAmbiguous;
    return true;
  }
  out.item = out.alternatives.front();
  out.rule = best;
  out.alternatives.clear();
  return true;
}

Match Catalogue::match(string_view title, Candidates candidates, Strictness strictness) const {
  Match out;
  const bool restricted = candidates.begin() != candidates.end();
  const auto settle = [&](const std::vector<Scored>& hits, Rule loosest) {
    return (restricted && choose(hits, loosest, candidates, out)) || choose(hits, loosest, {}, out);
  };
  const Query query(title);
  std::vector<Scored> exact, hits;
  exact_hits(query.raw, exact);
  if (restricted && choose(exact, Rule::kExact, candidates, out)) return out;
  name_hits(query, hits);
  if (restricted && choose(hits, Rule::kMissingYear, candidates, out)) return out;
  if (choose(exact, Rule::kExact, {}, out)) return out;
  if (choose(hits, Rule::kMissingYear, {}, out)) return out;
  if (query.split.year != 0 && strictness == Strictness::kFull) {
    std::vector<Scored> others;
    alternative_hits(query, others);
    if (settle(others, Rule::kAlternative)) return out;
  }
  if (settle(hits, Rule::kAdjacentYear)) return out;
  if (query.split.years == 1 && !query.split.tail.empty() && strictness == Strictness::kFull) {
    std::vector<Scored> others;
    trailing_hits(query, others);
    if (settle(others, Rule::kTrailingText)) return out;
  }
  for (const Scored& hit : hits) out.alternatives.push_back(hit.item);
  std::sort(out.alternatives.begin(), out.alternatives.end());
  out.alternatives.erase(std::unique(out.alternatives.begin(), out.alternatives.end()), out.alternatives.end());
  return out;
}

}  // namespace rerec
