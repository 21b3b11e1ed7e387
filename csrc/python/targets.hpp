// Ground truths and candidates, given as Python lists of titles or item ids.
#pragma once

#include <pybind11/pybind11.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "text/catalogue.hpp"

namespace rerec {

// Reads rows one by one; a row like the one before it costs next to nothing, since a batch repeats each query's.
class TargetLists {
 public:
  std::vector<int64_t> truth_ptr{0}, candidate_ptr{0};
  std::vector<int32_t> truth, candidates;

  // Rows that cannot be read here (other types, several titles in one text, errors) go to
  // fallback(truth, candidates, row) -> (list of items, list of items), ascending and distinct.
  TargetLists(const Catalogue& catalogue, const pybind11::sequence& truths, const pybind11::object& among,
              const pybind11::object& fallback)
      : catalogue_(catalogue) {
    namespace py = pybind11;
    const py::object truth_rows = fast(truths), candidate_rows = among.is_none() ? among : fast(among);
    const size_t count = static_cast<size_t>(PySequence_Fast_GET_SIZE(truth_rows.ptr()));
    PyObject *last_truth = nullptr, *last_candidates = nullptr;
    for (size_t row = 0; row < count; ++row) {
      PyObject* given = PySequence_Fast_GET_ITEM(truth_rows.ptr(), static_cast<Py_ssize_t>(row));
      PyObject* pool =
          among.is_none() ? Py_None : PySequence_Fast_GET_ITEM(candidate_rows.ptr(), static_cast<Py_ssize_t>(row));
      const bool same_pool = pool == last_candidates;
      if (!same_pool || given != last_truth || row == 0) {
        if (!read_row(given, pool, same_pool && row > 0)) {
          const py::tuple read = fallback(py::reinterpret_borrow<py::object>(given),
                                          py::reinterpret_borrow<py::object>(pool), row);
          row_truth_ = read[0].cast<std::vector<int32_t>>();
          row_candidates_ = read[1].cast<std::vector<int32_t>>();
        }
        last_truth = given;
        last_candidates = pool;
      }
      truth.insert(truth.end(), row_truth_.begin(), row_truth_.end());
      candidates.insert(candidates.end(), row_candidates_.begin(), row_candidates_.end());
      truth_ptr.push_back(static_cast<int64_t>(truth.size()));
      candidate_ptr.push_back(static_cast<int64_t>(candidates.size()));
    }
  }

 private:
  static pybind11::object fast(const pybind11::object& rows) {
    PyObject* out = PySequence_Fast(rows.ptr(), "expected a sequence");
    if (out == nullptr) throw pybind11::error_already_set();
    return pybind11::reinterpret_steal<pybind11::object>(out);
  }

  Candidates pool() const { return {row_candidates_.data(), row_candidates_.data() + row_candidates_.size()}; }

  static void make_set(std::vector<int32_t>& items) {
    constexpr size_t kFew = 32;
    if (items.size() <= kFew) {  // by insertion
      for (size_t i = 1; i < items.size(); ++i) {
        const int32_t item = items[i];
        size_t at = i;
        for (; at > 0 && items[at - 1] > item; --at) items[at] = items[at - 1];
        items[at] = item;
      }
    } else {
      std::sort(items.begin(), items.end());
    }
    items.erase(std::unique(items.begin(), items.end()), items.end());
  }

  bool read_row(PyObject* given, PyObject* pool_given, bool same_pool) {
    if (!same_pool) {
      row_candidates_.clear();
      if (pool_given != Py_None) {
        if (!read_all(pool_given, {}, row_candidates_)) return false;
        make_set(row_candidates_);
      }
    }
    row_truth_.clear();
    const bool one = PyUnicode_Check(given) || PyLong_Check(given);
    if (one ? !read_item(given, pool(), row_truth_) : !read_all(given, pool(), row_truth_)) return false;
    make_set(row_truth_);
    return !row_truth_.empty();
  }

  bool read_all(PyObject* list, Candidates candidates, std::vector<int32_t>& out) {
    if (!PyList_Check(list) && !PyTuple_Check(list)) return false;
    const Py_ssize_t count = PySequence_Fast_GET_SIZE(list);
    for (Py_ssize_t i = 0; i < count; ++i) {
      if (!read_item(PySequence_Fast_GET_ITEM(list, i), candidates, out)) return false;
    }
    return true;
  }

  // A title that no candidate has may still be another candidate's name: see TargetReader in reward/targets.py.
  bool read_item(PyObject* object, Candidates candidates, std::vector<int32_t>& out) {
    int32_t item = -1;
    if (PyUnicode_Check(object)) {
      Py_ssize_t size = 0;
      const char* bytes = PyUnicode_AsUTF8AndSize(object, &size);
      if (bytes == nullptr) {
        PyErr_Clear();
        return false;
      }
      const std::string_view text(bytes, static_cast<size_t>(size));
      item = catalogue_.match_exact(text, {});
      if (item < 0) item = catalogue_.match(text, {}).item;
      const bool among = std::binary_search(candidates.begin(), candidates.end(), item);
      if (!candidates.empty() && !among) item = catalogue_.match(text, candidates).item;
    } else if (PyLong_Check(object) && !PyBool_Check(object)) {
      int overflow = 0;
      const long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
      if (overflow == 0 && value >= 0 && value < static_cast<long long>(catalogue_.size())) {
        item = static_cast<int32_t>(value);
      }
    }
    if (item < 0) return false;
    out.push_back(item);
    return true;
  }

  const Catalogue& catalogue_;
  std::vector<int32_t> row_truth_, row_candidates_;
};

}  // namespace rerec
