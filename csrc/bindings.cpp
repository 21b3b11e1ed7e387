// Registers the module rerec_engine._core; the work is in the other files. Arrays come checked from Python.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "python_texts.hpp"
#include "tokens.hpp"

namespace py = pybind11;
using namespace py::literals;
using namespace rerec;

namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;

template <class T>
Array<T> to_array(const std::vector<T>& values) {
  return Array<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

Candidates span_of(const Array<int32_t>& items) { return {items.data(), items.data() + items.size()}; }

template <class F>
Array<float> column(const BatchScores& batch, F field) {
  Array<float> out(static_cast<py::ssize_t>(batch.scores.size()));
  float* p = out.mutable_data();
  for (const Score& score : batch.scores) *p++ = static_cast<float>(field(score));
  return out;
}

py::dict to_python(const BatchScores& batch) {
  std::vector<int64_t> ptr(1, 0);
  std::vector<int32_t> items;
  for (const auto& row : batch.items) {
    items.insert(items.end(), row.begin(), row.end());
    ptr.push_back(static_cast<int64_t>(items.size()));
  }
  return py::dict("total"_a = column(batch, [](const Score& s) { return s.total; }),
                  "ndcg"_a = column(batch, [](const Score& s) { return s.ndcg; }),
                  "qas"_a = column(batch, [](const Score& s) { return s.qas; }),
                  "pas"_a = column(batch, [](const Score& s) { return s.pas; }),
                  "format"_a = column(batch, [](const Score& s) { return s.format; }),
                  "hit"_a = column(batch, [](const Score& s) { return s.hit; }),
                  "precision"_a = column(batch, [](const Score& s) { return s.precision; }),
                  "recall"_a = column(batch, [](const Score& s) { return s.recall; }),
                  "mrr"_a = column(batch, [](const Score& s) { return s.mrr; }),
                  "answered"_a = to_array(batch.answered), "items"_a = to_array(items), "items_ptr"_a = to_array(ptr));
}

py::tuple to_python(const BatchScores& batch, Array<float> rewards, const std::vector<Segments>& segments) {
  std::vector<int32_t> lengths;
  std::vector<uint8_t> penalised;
  std::vector<int64_t> cu(1, 0);
  for (const Segments& part : segments) {
    lengths.insert(lengths.end(), part.lengths.begin(), part.lengths.end());
    penalised.insert(penalised.end(), part.penalised.begin(), part.penalised.end());
    cu.push_back(static_cast<int64_t>(lengths.size()));
  }
  return py::make_tuple(to_python(batch), std::move(rewards), to_array(lengths), to_array(penalised), to_array(cu));
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
  Targets view() const { return {truth_ptr.data(), truth.data(), candidate_ptr.data(), candidates.data()}; }
};

struct PyVocabulary {
  Array<int64_t> ptr;
  std::string bytes;

  PyVocabulary(Array<int64_t> ptr_in, const py::bytes& bytes_in) : ptr(std::move(ptr_in)), bytes(bytes_in) {}
  Vocabulary view() const { return {ptr.data(), bytes.data(), static_cast<int64_t>(ptr.size()) - 1}; }
};

class PyEngine {
 public:
  PyEngine(std::shared_ptr<Catalogue> catalogue, Array<int64_t> attribute_ptr, Array<int32_t> attributes,
           Array<float> embeddings)
      : attribute_ptr_(std::move(attribute_ptr)),
        attributes_(std::move(attributes)),
        embeddings_(std::move(embeddings)),
        engine_(std::move(catalogue),
                {attribute_ptr_.data(), attributes_.data(), embeddings_.data(), embeddings_.shape(1)}) {}

  py::dict score(const py::sequence& responses, const PyTargets& targets, const Settings& settings) const {
    const PythonTexts texts(responses);
    BatchScores batch(0);
    {
      py::gil_scoped_release release;
      batch = engine_.score(texts.views(), targets.view(), settings);
    }
    return to_python(batch);
  }

  template <class Id>
  py::tuple score_ids(const Array<Id>& ids, const Array<int64_t>& cu, const PyVocabulary& vocabulary,
                      const PyTargets& targets, const Settings& settings) const {
    const size_t count = static_cast<size_t>(cu.size()) - 1;
    return run(IdSource<Id>(ids.data(), cu.data(), count, vocabulary.view()), ids.size(), targets, settings);
  }

  py::tuple score_texts(const py::sequence& responses, const Array<int64_t>& ends, const Array<int64_t>& cu,
                        const PyTargets& targets, const Settings& settings) const {
    const PythonTexts texts(responses);
    return run(TextSource(texts.views(), ends.data(), cu.data()), ends.size(), targets, settings);
  }

 private:
  py::tuple run(const TokenSource& source, py::ssize_t tokens, const PyTargets& targets,
                const Settings& settings) const {
    Array<float> rewards(tokens);
    float* out = rewards.mutable_data();
    std::vector<Segments> segments;
    BatchScores batch(0);
    {
      py::gil_scoped_release release;
      batch = engine_.score_tokens(source, targets.view(), settings, out, segments);
    }
    return to_python(batch, std::move(rewards), segments);
  }

  Array<int64_t> attribute_ptr_;
  Array<int32_t> attributes_;
  Array<float> embeddings_;
  Engine engine_;
};

Array<int32_t> match_many(const Catalogue& catalogue, const py::sequence& titles, const Array<int32_t>& candidates) {
  const PythonTexts texts(titles);
  Array<int32_t> out(static_cast<py::ssize_t>(texts.views().size()));
  int32_t* items = out.mutable_data();
  py::gil_scoped_release release;
  for (std::string_view text : texts.views()) *items++ = catalogue.match(text, span_of(candidates)).item;
  return out;
}

void register_catalogue(py::module_& module) {
  py::class_<Catalogue, std::shared_ptr<Catalogue>>(module, "Catalogue")
      .def(py::init([](const py::sequence& titles, const Array<int32_t>& years) {
             const PythonTexts texts(titles);
             return std::make_shared<Catalogue>(std::vector<std::string>(texts.views().begin(), texts.views().end()),
                                                std::vector<int32_t>(years.data(), years.data() + years.size()));
           }),
           "titles"_a, "years"_a)
      .def("__len__", &Catalogue::size)
      .def("years", [](const Catalogue& self) { return to_array(self.years()); })
      .def("match_many", &match_many, "titles"_a, "candidates"_a)
      .def(
          "explain",
          [](const Catalogue& self, const py::object& title, const Array<int32_t>& candidates) {
            const PythonTexts texts(py::make_tuple(title));
            const Match match = self.match(texts.views()[0], span_of(candidates));
            return py::make_tuple(match.item, kRuleNames[static_cast<size_t>(match.rule)], match.alternatives);
          },
          "title"_a, "candidates"_a);
}

void register_engine(py::module_& module) {
  py::class_<PyTargets>(module, "Targets")
      .def(py::init<Array<int64_t>, Array<int32_t>, Array<int64_t>, Array<int32_t>>(), "truth_ptr"_a, "truth"_a,
           "candidate_ptr"_a, "candidates"_a);
  py::class_<PyVocabulary>(module, "Vocabulary")
      .def(py::init<Array<int64_t>, const py::bytes&>(), "ptr"_a, "bytes"_a)
      .def("__len__", [](const PyVocabulary& self) { return self.ptr.size() - 1; });
  py::enum_<QasMode>(module, "QasMode")
      .value("shared", QasMode::kShared)
      .value("max", QasMode::kMax)
      .value("mean", QasMode::kMean);
  py::enum_<Which>(module, "Which").value("first", Which::kFirst).value("last", Which::kLast);
  py::class_<Settings>(module, "Settings")
      .def(py::init([](double ndcg, double format, double qas, double pas, int k, QasMode mode, Which which,
                       double penalty, int threads) {
             return Settings{ndcg, format, qas, pas, k, mode, which, penalty, threads};
           }),
           py::kw_only(), "ndcg"_a, "format"_a, "qas"_a, "pas"_a, "k"_a, "mode"_a, "which"_a, "penalty"_a, "threads"_a);
  py::class_<PyEngine>(module, "Engine")
      .def(py::init<std::shared_ptr<Catalogue>, Array<int64_t>, Array<int32_t>, Array<float>>(), "catalogue"_a,
           "attribute_ptr"_a, "attributes"_a, "embeddings"_a)
      .def("score", &PyEngine::score, "responses"_a, "targets"_a, "settings"_a)
      .def("score_ids", &PyEngine::score_ids<int32_t>, "ids"_a.noconvert(), "cu_seqlens"_a, "vocabulary"_a, "targets"_a,
           "settings"_a)
      .def("score_ids", &PyEngine::score_ids<int64_t>, "ids"_a.noconvert(), "cu_seqlens"_a, "vocabulary"_a, "targets"_a,
           "settings"_a)
      .def("score_texts", &PyEngine::score_texts, "responses"_a, "token_ends"_a, "cu_seqlens"_a, "targets"_a,
           "settings"_a);
}

// The steps one by one, for tests and for inspection.
void register_parts(py::module_& module) {
  module.def("words", [](const py::object& text) {
    const PythonTexts texts(py::make_tuple(text));
    Words words;
    words.read(texts.views()[0]);
    py::list out;
    for (size_t i = 0; i < words.size(); ++i) {
      out.append(py::make_tuple(py::str(std::string(words[i])), py::str(std::string(words.stem(i))),
                                words.list[i].upper, words.list[i].year));
    }
    return out;
  });
  module.def("split_title", [](const py::object& title) {
    const PythonTexts texts(py::make_tuple(title));
    const SplitTitle split = split_title(texts.views()[0]);
    return py::make_tuple(py::bytes(std::string(split.name)), split.year, py::bytes(std::string(split.tail)));
  });
  module.def("title_forms", [](const py::object& name) {
    const PythonTexts texts(py::make_tuple(name));
    py::list out;
    for (const std::string& form : title_forms(texts.views()[0]).names) out.append(py::bytes(form));
    return out;
  });
  module.def("loose_key", [](const py::object& form) {
    const PythonTexts texts(py::make_tuple(form));
    return loose_key(texts.views()[0]);
  });
  module.def("boxed", [](const py::object& text, Which which) -> py::object {
    const PythonTexts texts(py::make_tuple(text));
    const Box box = find_box(texts.views()[0], which);
    if (!box.found) return py::none();
    return py::make_tuple(box.begin, py::bytes(std::string(box.content)));
  });
  module.def("read_answer",
             [](const py::object& text, const Catalogue& catalogue, const Array<int32_t>& candidates, Which which) {
               const PythonTexts texts(py::make_tuple(text));
               py::list out;
               for (const Entry& entry : read_answer(texts.views()[0], catalogue, span_of(candidates), which).entries)
                 out.append(py::make_tuple(entry.item, py::bytes(std::string(entry.text))));
               return out;
             });
}

}  // namespace

PYBIND11_MODULE(_core, module) {
  module.doc() = "Reward engine of rerec_engine: parse, match, rank, align, segment.";
  register_catalogue(module);
  register_engine(module);
  register_parts(module);
}
