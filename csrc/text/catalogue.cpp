#include "text/catalogue.hpp"

#include <algorithm>
#include <cstdlib>
#include <mutex>

#include "common/parallel.hpp"
#include "text/words.hpp"
#include "text/years.hpp"

namespace rerec {

using std::string;
using std::string_view;

namespace {

// The distinct keys of forms first .. last, but for empty ones.
template <class F>
auto keys_of(const Forms& forms, size_t first, size_t last, F key_of) {
  std::vector<decltype(key_of(forms.names[0]))> keys;
  for (size_t i = first; i < last; ++i) {
    auto key = key_of(forms.names[i]);
    if (!key.empty() && std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(std::move(key));
  }
  return keys;
}

int count_semicolons(string_view title) {
  auto count = std::count(title.begin(), title.end(), ';');
  for (size_t i = title.find(kWideSemicolon); i != string_view::npos; i = title.find(kWideSemicolon, i + 1)) ++count;
  return static_cast<int>(count);
}

bool meet(const std::vector<string>& a, const std::vector<string>& b) {
  return std::any_of(a.begin(), a.end(),
                     [&](const string& key) { return std::find(b.begin(), b.end(), key) != b.end(); });
}

}  // namespace

struct Catalogue::Query {
  string_view raw;
  SplitTitle split;
  string name;  // with the words after the year
  Forms forms;
  std::vector<FormKey> keys;  // of its own forms
  YearTold told;              // without a year of its own: what its brackets tell

  explicit Query(string_view title) : Query(title, split_title(trim(title))) {}
  Query(string_view title, const SplitTitle& parts) : raw(trim(title)), split(parts) {
    name = split.full_name();
    forms = title_forms(name);
    if (split.year == 0 && forms.stripped) told = told_in_brackets(raw);
    keys = keys_of(forms, 0, own(), form_key);
  }

  // Without its brackets a title that tells a year would be any film's of that name.
  size_t own() const { return told.year == 0 ? forms.own() : 1; }
};

CatalogueArrays::CatalogueArrays(std::vector<int64_t> title_ptr_in, string title_bytes_in,
                                 std::vector<int32_t> years_in, int threads)
    : title_ptr(std::move(title_ptr_in)), title_bytes(std::move(title_bytes_in)), years(std::move(years_in)) {
  const size_t count = title_ptr.size() - 1;
  years.resize(count, 0);
  struct Part {
    std::vector<HashIndexArrays::Entry> exact, keys;
    int most_semicolons = 0;
  };
  std::vector<Part> parts;
  std::mutex lock;
  parallel_for(count, threads, [&](ChunkQueue& queue) {
    Part part;
    for (size_t begin, end; queue.next(begin, end);) {
      for (size_t i = begin; i < end; ++i) {
        const int32_t item = static_cast<int32_t>(i);
        const string_view title =
            trim({title_bytes.data() + title_ptr[i], static_cast<size_t>(title_ptr[i + 1] - title_ptr[i])});
        const SplitTitle split = split_title(title);
        if (years[i] == 0) years[i] = split.year;
        if (!title.empty()) part.exact.emplace_back(hash_bytes(title), item);
        const Forms forms = title_forms(split.full_name());
        for (const string& key : keys_of(forms, 0, forms.names.size(), loose_key)) {
          part.keys.emplace_back(hash_bytes(key), item);
        }
        part.most_semicolons = std::max(part.most_semicolons, count_semicolons(title));
      }
    }
    const std::lock_guard<std::mutex> guard(lock);
    parts.push_back(std::move(part));
  });
  std::vector<HashIndexArrays::Entry> exact_entries, key_entries;
  for (Part& part : parts) {
    exact_entries.insert(exact_entries.end(), part.exact.begin(), part.exact.end());
    key_entries.insert(key_entries.end(), part.keys.begin(), part.keys.end());
    most_semicolons = std::max(most_semicolons, part.most_semicolons);
    part = Part();
  }
  exact.build(std::move(exact_entries));
  keys.build(std::move(key_entries));
}

CatalogueView CatalogueArrays::view() const {
  return {title_ptr.data(), title_bytes.data(), years.data(),    years.size(),
          exact.view(),     keys.view(),        most_semicolons};
}

void Catalogue::exact_hits(string_view raw, std::vector<Scored>& hits) const {
  if (raw.empty()) return;
  view_.exact.find(hash_bytes(raw), [&](int32_t item) {
    if (trim(title(item)) == raw) hits.push_back({item, Rule::kExact});
  });
}

int32_t Catalogue::match_exact(string_view text, Candidates candidates) const {
  const string_view raw = trim(text);
  if (raw.empty()) return -1;
  int32_t first = -1, among = -1;
  size_t hits = 0, hits_among = 0;
  view_.exact.find(hash_bytes(raw), [&](int32_t item) {
    if (trim(title(item)) != raw) return;
    first = item;
    ++hits;
    if (contains(candidates, item)) {
      among = item;
      ++hits_among;
    }
  });
  if (hits_among > 0) return hits_among == 1 ? among : -1;
  return hits == 1 ? first : -1;
}

// The rule by which the names are the same, years aside.
Catalogue::Scored Catalogue::compare_names(const Query& query, int32_t item) const {
  const SplitTitle split = split_title(trim(title(item)));
  const string name = split.full_name();
  if (move_article(query.name) == move_article(name)) return {item, Rule::kArticle};
  const Forms forms = title_forms(name);
  bool named = false, other_article = true;
  for (const FormKey& key : keys_of(forms, 0, forms.names.size(), form_key)) {
    for (const FormKey& asked : query.keys) {
      if (key.text != asked.text) continue;
      named = true;
      if (key.article == asked.article) other_article = false;
    }
  }
  if (!named) return {item, Rule::kNone};
  const string plain = plain_key(query.name);
  if (!plain.empty() && plain == plain_key(name)) return {item, Rule::kNormalised, other_article};
  const bool whole = meet(keys_of(query.forms, 0, query.own(), plain_key),
                          keys_of(forms, 0, forms.names.size(), plain_key));
  return {item, whole ? Rule::kAlternative : Rule::kNumeral, other_article};
}

int Catalogue::year_of(int32_t item) const {
  const int year = view_.years[item];
  return year != 0 ? year : told_in_brackets(title(item)).year;
}

// Every item of the query's name; far years end as kNone.
void Catalogue::name_hits(const Query& query, std::vector<Scored>& hits) const {
  for (const FormKey& key : query.keys) {
    view_.keys.find(hash_bytes(key.text), [&](int32_t item) {
      Scored hit = compare_names(query, item);
      if (hit.rule == Rule::kNone) return;
      const int asked = query.split.year, year = asked == 0 ? view_.years[item] : year_of(item);
      if (year != asked) {
        const bool adjacent = year != kUnclearYear && std::abs(year - asked) == 1;
        hit.rule = year == 0 || asked == 0 ? Rule::kMissingYear : adjacent ? Rule::kAdjacentYear : Rule::kNone;
      } else if (year == 0 && hit.other_article) {
        hit.rule = Rule::kMissingYear;
      }
      hits.push_back(hit);
    });
  }
}

// The query's own bracketed alternatives: they may be anything, so the year has to agree.
void Catalogue::alternative_hits(const Query& query, std::vector<Scored>& hits) const {
  const Forms& forms = query.forms;
  for (const string& key : keys_of(forms, forms.own(), forms.names.size(), loose_key)) {
    view_.keys.find(hash_bytes(key), [&](int32_t item) {
      if (year_of(item) != query.split.year) return;
      const Forms named = title_forms(split_title(trim(title(item))).full_name());
      const auto keys = keys_of(named, 0, named.names.size(), loose_key);
      if (std::find(keys.begin(), keys.end(), key) != keys.end()) hits.push_back({item, Rule::kAlternative});
    });
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

// The single item that agrees best, by a rule up to `loosest`, among the candidates where they are given. Without a year
// that agrees, only a candidate may have another article, and only after the rest. Returns whether that settles the
// match: found, or ambiguous.
bool Catalogue::choose(const std::vector<Scored>& hits, Rule loosest, Candidates candidates, Match& out) {
  const bool restricted = candidates.begin() != candidates.end();
  const bool any_article = restricted && loosest > Rule::kMissingYear;
  Scored best{-1, Rule::kNone, true};
  out.alternatives.clear();
  for (const Scored& hit : hits) {
    if (hit.rule > loosest || hit.rank() > best.rank() || (restricted && !contains(candidates, hit.item))) continue;
    if (hit.rule == Rule::kMissingYear && hit.other_article && !any_article) continue;
    if (hit.rank() < best.rank()) out.alternatives.clear();
    best = hit;
    if (std::find(out.alternatives.begin(), out.alternatives.end(), hit.item) == out.alternatives.end())
      out.alternatives.push_back(hit.item);
  }
  if (out.alternatives.empty()) return false;
  if (out.alternatives.size() > 1) {
    out.rule = Rule::kAmbiguous;
    return true;
  }
  out.item = out.alternatives.front();
  out.rule = best.rule;
  out.alternatives.clear();
  return true;
}

Match Catalogue::match(string_view title, Candidates candidates, Strictness strictness) const {
  const Query query(title);
  Match out = match_query(query, candidates, strictness);
  if (out.rule != Rule::kNone || query.split.year != 0) return out;
  const YearTold& told = query.told;
  SplitTitle split;
  split.years = 1;
  if (told.year > 0) {
    split.year = told.year;
    split.name = trim(query.raw.substr(0, told.begin));
    split.tail = trim(query.raw.substr(told.end));
    if (!has_word(split.tail)) split.tail = {};
    return match_query(Query(query.raw, split), candidates, strictness);
  }
  if (told.year != 0 || strictness != Strictness::kFull) return out;
  const BareYear bare = bare_year(query.raw);
  if (bare.year == 0) return out;
  split.year = bare.year;
  split.name = bare.name;
  std::vector<Scored> hits;
  name_hits(Query(query.raw, split), hits);
  Match dated;
  return settle(hits, Rule::kNumeral, candidates, dated) ? dated : out;
}

bool Catalogue::settle(const std::vector<Scored>& hits, Rule loosest, Candidates candidates, Match& out) {
  return (!candidates.empty() && choose(hits, loosest, candidates, out)) || choose(hits, loosest, {}, out);
}

Match Catalogue::match_query(const Query& query, Candidates candidates, Strictness strictness) const {
  Match out;
  const bool restricted = !candidates.empty();
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
    if (settle(others, Rule::kAlternative, candidates, out)) return out;
  }
  if (settle(hits, Rule::kAdjacentYear, candidates, out)) return out;
  if (query.split.years == 1 && !query.split.tail.empty() && strictness == Strictness::kFull) {
    std::vector<Scored> others;
    trailing_hits(query, others);
    if (settle(others, Rule::kTrailingText, candidates, out)) return out;
  }
  for (const Scored& hit : hits) out.alternatives.push_back(hit.item);
  std::sort(out.alternatives.begin(), out.alternatives.end());
  out.alternatives.erase(std::unique(out.alternatives.begin(), out.alternatives.end()), out.alternatives.end());
  return out;
}

}  // namespace rerec
