// NumPy arrays as the bindings take them.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <optional>
#include <vector>

#include "common/hash_index.hpp"

template <class T>
using Array = pybind11::array_t<T, pybind11::array::c_style>;

template <class T>
Array<T> to_array(const std::vector<T>& values) {
  return Array<T>(static_cast<pybind11::ssize_t>(values.size()), values.data());
}

// An array that may be left out.
template <class T>
const T* data_or_null(const std::optional<Array<T>>& array) {
  return array ? array->data() : nullptr;
}

inline rerec::ItemSpan span_of(const Array<int32_t>& items) { return {items.data(), items.data() + items.size()}; }
