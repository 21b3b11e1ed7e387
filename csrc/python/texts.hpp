// UTF-8 views of Python strings, valid without the GIL while this object lives.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <string_view>
#include <vector>

#include "text/tokens.hpp"

namespace rerec {

class PythonTexts {
 public:
  // str or bytes; a lone surrogate becomes invalid UTF-8, which the readers accept. Throws TypeError that names the row.
  explicit PythonTexts(const pybind11::sequence& texts) {
    namespace py = pybind11;
    const size_t count = py::len(texts);
    owners_.reserve(count);
    views_.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      py::object text = texts[i];
      if (PyUnicode_Check(text.ptr())) {
        Py_ssize_t size = 0;
        if (const char* bytes = PyUnicode_AsUTF8AndSize(text.ptr(), &size)) {
          add(std::move(text), bytes, size);
          continue;
        }
        PyErr_Clear();
        text = py::reinterpret_steal<py::object>(PyUnicode_AsEncodedString(text.ptr(), "utf-8", "surrogatepass"));
        if (!text) throw py::error_already_set();
      }
      if (!PyBytes_Check(text.ptr())) {
        throw py::type_error("row " + std::to_string(i) + ": expected str or bytes, got " +
                             std::string(py::str(py::type::of(text).attr("__name__"))));
      }
      const char* bytes = PyBytes_AS_STRING(text.ptr());
      add(text, bytes, PyBytes_GET_SIZE(text.ptr()));
    }
  }

  const std::vector<std::string_view>& views() const { return views_; }

 private:
  void add(pybind11::object owner, const char* bytes, Py_ssize_t size) {
    if (static_cast<size_t>(size) > kMostText) throw pybind11::value_error("row " + std::to_string(views_.size()) + ": longer than 512 MiB");
    owners_.push_back(std::move(owner));
    views_.emplace_back(bytes, static_cast<size_t>(size));
  }

  std::vector<pybind11::object> owners_;
  std::vector<std::string_view> views_;
};

}  // namespace rerec
