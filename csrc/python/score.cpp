// Responses -> scores and token rewards. The arrays come checked from Python.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>

#include "common/parallel.hpp"
#include "python/arrays.hpp"
#include "python/register.hpp"
#include "python/targets.hpp"
#include "python/texts.hpp"
#include "reward/rank.hpp"
#include "reward/score.hpp"

namespace py = pybind11;
using namespace py::literals;
using namespace rerec;

namespace {

// Rows of B: one block, so that a call makes few arrays.
struct ScoreOutput {
  ScoreOutput(size_t count, bool with_reasons)
      : columns({static_cast<py::ssize_t>(kColumns), static_cast<py::ssize_t>(count)}),
        answered(static_cast<py::ssize_t>(count)) {
    if (with_reasons) reasons = Array<int32_t>({py::ssize_t{2}, static_cast<py::ssize_t>(count)});
  }

  ScoreArrays view() {
    ScoreArrays out{};
    const auto count = static_cast<size_t>(columns.shape(1));
    for (size_t i = 0; i < kColumns; ++i) out.columns[i] = columns.mutable_data() + i * count;
    out.answered = answered.mutable_data();
    if (reasons) {
      out.statements = reasons->mutable_data();
      out.true_statements = reasons->mutable_data() + count;
    }
    return out;
  }

  Array<float> columns;
  Array<uint8_t> answered;
  std::optional<Array<int32_t>> reasons;  // statements and true ones
};

// Joins lists of chunks; counts become bounds.
template <class List, class T>
Array<T> join(const std::vector<List>& chunks, std::vector<T> List::* member) {
  size_t size = 0;
  for (const List& chunk : chunks) size += (chunk.*member).size();
  Array<T> out(static_cast<py::ssize_t>(size));
  T* p = out.mutable_data();
  for (const List& chunk : chunks) p = std::copy((chunk.*member).begin(), (chunk.*member).end(), p);
  return out;
}

template <class List>
Array<int64_t> bounds(const std::vector<List>& chunks, size_t count) {
  Array<int64_t> out(static_cast<py::ssize_t>(count) + 1);
  int64_t* p = out.mutable_data();
  *p = 0;
  for (const List& chunk : chunks) {
    for (int32_t n : chunk.counts) {
      p[1] = p[0] + n;
      ++p;
    }
  }
  return out;
}

py::dict to_python(ScoreOutput& output, const BatchLists& lists, size_t count) {
  return py::dict("columns"_a = std::move(output.columns), "answered"_a = std::move(output.answered),
                  "reasons"_a = std::move(output.reasons),
                  "items"_a = join(lists.items, &ItemLists::items), "items_ptr"_a = bounds(lists.items, count));
}

struct PyTargets {
  Array<int64_t> truth_ptr, candidate_ptr;
  Array<int32_t> truth, candidates;

  PyTargets(Array<int64_t> truth_ptr_in, Array<int32_t> truth_in, Array<int64_t> candidate_ptr_in,
            Array<int32_t> candidates_in)
      : truth_ptr(std::move(truth_ptr_in)),
        candidate_ptr(std::move(candidate_ptr_in)),
        truth(std::move(truth_in)),
        candidates(std::move(candidates_in)) {}
  explicit PyTargets(const TargetLists& lists)
      : PyTargets(to_array(lists.truth_ptr), to_array(lists.truth), to_array(lists.candidate_ptr),
                  to_array(lists.candidates)) {}
  size_t count() const { return static_cast<size_t>(truth_ptr.size()) - 1; }
  Targets view() const { return {truth_ptr.data(), truth.data(), candidate_ptr.data(), candidates.data()}; }
};

struct PyRows {
  Array<int64_t> left, length;
  int64_t stride, width;

  TokenRows view() const {
    return {left.data(), length.data(), static_cast<size_t>(left.size()), stride, width};
  }
};

// Sets row i's first nonzero column and how many follow it without a gap; false where a row has a gap.
template <class T>
bool find_spans(const py::array& mask, Array<int64_t>& left, Array<int64_t>& length) {
  const py::ssize_t rows = mask.shape(0), columns = mask.shape(1);
  const char* base = static_cast<const char*>(mask.data());
  int64_t *lefts = left.mutable_data(), *lengths = length.mutable_data();
  for (py::ssize_t i = 0; i < rows; ++i) {
    const T* row = reinterpret_cast<const T*>(base + i * mask.strides(0));
    py::ssize_t begin = 0, end = columns;
    while (begin < columns && row[begin] == 0) ++begin;
    while (end > begin && row[end - 1] == 0) --end;
    const py::ssize_t holes = std::count(row + begin, row + end, T{0});
    if (holes > 0) return false;
    lefts[i] = begin;
    lengths[i] = end - begin;
  }
  return true;
}

// (left, length) of a mask of integers or booleans [B, L] whose rows are contiguous, or None where a row has a gap.
py::object mask_spans(const py::array& mask) {
  Array<int64_t> left(mask.shape(0)), length(mask.shape(0));
  bool whole = false;
  switch (mask.itemsize()) {
    case 1: whole = find_spans<uint8_t>(mask, left, length); break;
    case 4: whole = find_spans<uint32_t>(mask, left, length); break;
    case 8: whole = find_spans<uint64_t>(mask, left, length); break;
    default: break;
  }
  if (!whole) return py::none();
  return py::make_tuple(std::move(left), std::move(length));
}

class PyVocabulary {
 public:
  PyVocabulary(const Array<int64_t>& ptr, const py::bytes& bytes)
      : table_(ptr.data(), static_cast<size_t>(ptr.size()) - 1, std::string_view(bytes)) {}
  const Vocabulary& table() const { return table_; }

 private:
  Vocabulary table_;
};

class PyScorer {
 public:
  PyScorer(std::shared_ptr<Catalogue> catalogue, Array<int64_t> attribute_ptr, Array<int32_t> attributes,
           Array<float> embeddings, std::optional<Array<float>> attribute_weights,
           std::optional<Array<float>> mean_embedding, std::optional<Array<int64_t>> name_ptr,
           std::optional<Array<uint8_t>> names)
      : attribute_ptr_(std::move(attribute_ptr)),
        attributes_(std::move(attributes)),
        embeddings_(std::move(embeddings)),
        attribute_weights_(std::move(attribute_weights)),
        mean_embedding_(std::move(mean_embedding)),
        name_ptr_(std::move(name_ptr)),
        names_(std::move(names)),
        scorer_(std::move(catalogue),
                {attribute_ptr_.data(), attributes_.data(), embeddings_.data(), embeddings_.shape(1),
                 static_cast<size_t>(embeddings_.shape(0)),
                 data_or_null(attribute_weights_), data_or_null(mean_embedding_)},
                {data_or_null(name_ptr_), reinterpret_cast<const char*>(data_or_null(names_))}) {}

  // What values and phrases are: see rerec_engine/reward/phrases.py.
  void read_names(const Array<int32_t>& relations, const Array<uint8_t>& any_case, const py::sequence& phrases,
                  const Array<int8_t>& kinds, const Array<uint8_t>& flags, const Array<uint64_t>& masks) {
    const PythonTexts texts(phrases);
    ReasonWords words;
    words.relations = relations.data();
    words.any_case = any_case.data();
    words.attributes = static_cast<size_t>(relations.size());
    words.phrases = texts.views();
    words.kinds = kinds.data();
    words.flags = flags.data();
    words.masks = masks.data();
    py::gil_scoped_release release;
    scorer_.set_names(std::make_shared<NameIndex>(
        scorer_.catalogue(),
        AttributeNames{data_or_null(name_ptr_), reinterpret_cast<const char*>(data_or_null(names_))}, words));
  }

  // (line, item, denied, true) of each statement of a text.
  py::list statements(const py::object& text) const {
    if (scorer_.names() == nullptr) throw py::value_error("statements are read once read_names was called");
    const PythonTexts texts(py::make_tuple(text));
    std::vector<Line> lines;
    find_lines(texts.views()[0], lines);
    StatementReader reader(*scorer_.names(), scorer_.tables());
    py::list out;
    for (const Statement& found : reader.read(texts.views()[0], lines, lines.size())) {
      out.append(py::make_tuple(found.line, found.item, found.denied, found.is_true));
    }
    return out;
  }

  py::dict score(const py::sequence& responses, const PyTargets& targets, const Settings& settings) const {
    const PythonTexts texts(responses);
    const size_t count = texts.views().size();
    ScoreOutput output(count, settings.reasons);
    const ScoreArrays out = output.view();
    BatchLists lists;
    {
      py::gil_scoped_release release;
      scorer_.score(texts.views(), targets.view(), settings, out, lists);
    }
    return to_python(output, lists, count);
  }

  py::tuple score_ids(const py::array& ids, const PyRows& rows, const PyVocabulary& vocabulary,
                      const PyTargets& targets, const Settings& settings, Array<float>& rewards,
                      std::optional<Array<int32_t>> places) const {
    const TokenRows view = rows.view();
    if (ids.itemsize() == 4) {
      const IdSource<int32_t> source(static_cast<const int32_t*>(ids.data()), view, vocabulary.table());
      return run(source, targets, settings, rewards, places);
    }
    const IdSource<int64_t> source(static_cast<const int64_t*>(ids.data()), view, vocabulary.table());
    return run(source, targets, settings, rewards, places);
  }

  py::tuple score_texts(const py::sequence& responses, const Array<int64_t>& ends, const PyRows& rows,
                        const PyTargets& targets, const Settings& settings, Array<float>& rewards,
                        std::optional<Array<int32_t>> places) const {
    const PythonTexts texts(responses);
    return run(TextSource(texts.views(), ends.data(), rows.view()), targets, settings, rewards, places);
  }

  template <class F>
  Array<float> pairs(const py::array& items, const py::array& truths, F f) const {
    Array<float> out(items.size());
    float* values = out.mutable_data();
    const size_t count = static_cast<size_t>(items.size());
    const bool narrow = items.itemsize() == 4;
    const void *a = items.data(), *b = truths.data();
    py::gil_scoped_release release;
    if (narrow) {
      f(static_cast<const int32_t*>(a), static_cast<const int32_t*>(b), count, values);
    } else {
      f(static_cast<const int64_t*>(a), static_cast<const int64_t*>(b), count, values);
    }
    return out;
  }

  Array<float> qas(const py::array& items, const py::array& truths, int threads) const {
    return pairs(items, truths, [&](auto* a, auto* b, size_t count, float* out) {
      qas_pairs(scorer_.tables(), a, b, count, threads, out);
    });
  }

  Array<float> pas(const py::array& items, const py::array& truths, int threads) const {
    return pairs(items, truths, [&](auto* a, auto* b, size_t count, float* out) {
      pas_pairs(scorer_.tables(), a, b, count, threads, out);
    });
  }

 private:
  // places: written where there are any, and then entries are read.
  py::tuple run(const TokenSource& source, const PyTargets& targets, Settings settings, Array<float>& rewards,
                std::optional<Array<int32_t>>& places) const {
    float* out_rewards = rewards.mutable_data();
    const size_t count = source.rows().count;
    ScoreOutput output(count, settings.reasons);
    ScoreArrays out = output.view();
    settings.entries = places.has_value();
    if (places) out.places = places->mutable_data();
    BatchLists lists;
    {
      py::gil_scoped_release release;
      scorer_.score_tokens(source, targets.view(), settings, out, out_rewards, lists);
    }
    return py::make_tuple(to_python(output, lists, count), join(lists.segments, &SegmentLists::lengths),
                          join(lists.segments, &SegmentLists::kinds), bounds(lists.segments, count),
                          join(lists.entries, &EntryLists::rewards),
                          places ? py::object(bounds(lists.entries, count)) : py::none());
  }

  Array<int64_t> attribute_ptr_;
  Array<int32_t> attributes_;
  Array<float> embeddings_;
  std::optional<Array<float>> attribute_weights_, mean_embedding_;
  std::optional<Array<int64_t>> name_ptr_;
  std::optional<Array<uint8_t>> names_;
  Scorer scorer_;
};

template <class Id>
void ndcg_rows(const Id* items, const Id* truth, size_t rows, size_t items_width, size_t truth_width, int k,
               int threads, float* out) {
  for_blocks(rows, threads, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      out[i] =
          static_cast<float>(padded_ndcg(items + i * items_width, items_width, truth + i * truth_width, truth_width, k));
    }
  });
}

// items [B, R] and truth [B, M], both int32 or both int64.
Array<float> ndcg(const py::array& items, const py::array& truth, int k, int threads) {
  Array<float> out(items.shape(0));
  float* values = out.mutable_data();
  const auto rows = static_cast<size_t>(items.shape(0)), width = static_cast<size_t>(items.shape(1)),
             truths = static_cast<size_t>(truth.shape(1));
  const bool narrow = items.itemsize() == 4;
  const void *a = items.data(), *b = truth.data();
  py::gil_scoped_release release;
  if (narrow) {
    ndcg_rows(static_cast<const int32_t*>(a), static_cast<const int32_t*>(b), rows, width, truths, k, threads, values);
  } else {
    ndcg_rows(static_cast<const int64_t*>(a), static_cast<const int64_t*>(b), rows, width, truths, k, threads, values);
  }
  return out;
}

}  // namespace

void register_scores(py::module_& module) {
  py::class_<PyTargets>(module, "Targets")
      .def(py::init<Array<int64_t>, Array<int32_t>, Array<int64_t>, Array<int32_t>>(), "truth_ptr"_a, "truth"_a,
           "candidate_ptr"_a, "candidates"_a)
      .def("__len__", &PyTargets::count);
  module.def(
      "read_targets",
      [](const Catalogue& catalogue, const py::sequence& truths, const py::object& candidates,
         const py::object& fallback) { return PyTargets(TargetLists(catalogue, truths, candidates, fallback)); },
      "catalogue"_a, "ground_truth"_a, "candidates"_a, "fallback"_a);
  py::class_<PyRows>(module, "TokenRows")
      .def(py::init([](Array<int64_t> left, Array<int64_t> length, int64_t stride, int64_t width) {
             return PyRows{std::move(left), std::move(length), stride, width};
           }),
           "left"_a, "length"_a, "stride"_a, "width"_a);
  module.def("mask_spans", &mask_spans, "mask"_a);
  module.def("ndcg", &ndcg, "items"_a, "truth"_a, "k"_a, "threads"_a);
  py::class_<PyVocabulary>(module, "Vocabulary")
      .def(py::init<const Array<int64_t>&, const py::bytes&>(), "ptr"_a, "bytes"_a)
      .def("__len__", [](const PyVocabulary& self) { return self.table().size(); });
  py::enum_<QasMode>(module, "QasMode")
      .value("shared", QasMode::kShared)
      .value("max", QasMode::kMax)
      .value("mean", QasMode::kMean);
  py::enum_<Which>(module, "Which").value("first", Which::kFirst).value("last", Which::kLast);
  py::class_<Settings>(module, "Settings")
      .def(py::init([](double ndcg, double format, double qas, double pas, int k, QasMode mode, Which which,
                       double penalty, int threads, bool graded, bool centred, double repeat, double credit,
                       double falsehood, double verdict, bool reasons, double invalid, const py::bytes& opened) {
             return Settings{ndcg,   format,    qas,     pas,     k,     mode,    which, penalty, threads, graded, centred,
                             repeat, credit, falsehood, verdict, reasons, false, invalid, std::string(opened)};
           }),
           py::kw_only(), "ndcg"_a, "format"_a, "qas"_a, "pas"_a, "k"_a, "mode"_a, "which"_a, "penalty"_a, "threads"_a,
           "graded"_a, "centred"_a, "repeat"_a, "credit"_a,
           "falsehood"_a, "verdict"_a, "reasons"_a, "invalid"_a, "opened"_a);
  py::list names;
  for (const char* name : kColumnNames) names.append(name);
  module.attr("COLUMNS") = py::tuple(names);
  py::class_<PyScorer>(module, "Engine")
      .def(py::init<std::shared_ptr<Catalogue>, Array<int64_t>, Array<int32_t>, Array<float>,
                    std::optional<Array<float>>, std::optional<Array<float>>, std::optional<Array<int64_t>>,
                    std::optional<Array<uint8_t>>>(),
           "catalogue"_a, "attribute_ptr"_a, "attributes"_a, "embeddings"_a, "attribute_weights"_a = py::none(),
           "mean_embedding"_a = py::none(), "name_ptr"_a = py::none(), "names"_a = py::none())
      .def("read_names", &PyScorer::read_names, "relations"_a, "any_case"_a, "phrases"_a, "kinds"_a, "flags"_a,
           "masks"_a)
      .def("statements", &PyScorer::statements, "text"_a)
      .def("score", &PyScorer::score, "responses"_a, "targets"_a, "settings"_a)
      .def("score_ids", &PyScorer::score_ids,
           "ids"_a, "rows"_a, "vocabulary"_a, "targets"_a, "settings"_a, "rewards"_a.noconvert(),
           "places"_a.noconvert())
      .def("score_texts", &PyScorer::score_texts, "responses"_a, "token_ends"_a, "rows"_a, "targets"_a, "settings"_a,
           "rewards"_a.noconvert(), "places"_a.noconvert())
      .def("qas", &PyScorer::qas, "items"_a, "truths"_a, "threads"_a)
      .def("pas", &PyScorer::pas, "items"_a, "truths"_a, "threads"_a);
}
