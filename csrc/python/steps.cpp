// The steps one by one, for tests and for inspection.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <string>
#include <vector>

#include "python/arrays.hpp"
#include "python/register.hpp"
#include "python/texts.hpp"
#include "reward/answer.hpp"
#include "reward/parse.hpp"
#include "text/titles.hpp"
#include "text/words.hpp"
#include "text/years.hpp"

namespace py = pybind11;
using namespace rerec;

void register_steps(py::module_& module) {
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
  module.def("told_in_brackets", [](const py::object& title) {
    const PythonTexts texts(py::make_tuple(title));
    return told_in_brackets(texts.views()[0]).year;
  });
  module.def("bare_year", [](const py::object& title) {
    const PythonTexts texts(py::make_tuple(title));
    const BareYear bare = bare_year(texts.views()[0]);
    return py::make_tuple(py::bytes(std::string(bare.name)), bare.year);
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
    std::vector<size_t> braces;
    const Box box = find_box(texts.views()[0], which, braces);
    if (!box.found) return py::none();
    return py::make_tuple(box.begin, py::bytes(std::string(box.content)));
  });
  module.def("reasoning_end", [](const py::object& text) -> py::object {
    const PythonTexts texts(py::make_tuple(text));
    std::vector<size_t> open;
    const Box box = find_box(texts.views()[0], Which::kLast, open);
    if (!box.found) return py::none();
    const auto first = std::find_if(open.begin(), open.end(), [](size_t begin) { return begin != std::string::npos; });
    return py::make_tuple(box.outer, first == open.end() ? box.outer : std::min(box.outer, *first));
  });
  module.def("read_answer",
             [](const py::object& text, const Catalogue& catalogue, const Array<int32_t>& candidates, Which which) {
               const PythonTexts texts(py::make_tuple(text));
               py::list out;
               AnswerReader reader(catalogue);
               for (const Entry& entry : reader.read(texts.views()[0], span_of(candidates), which).entries)
                 out.append(py::make_tuple(entry.item, py::bytes(std::string(entry.text))));
               return out;
             });
}
