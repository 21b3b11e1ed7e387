// NumPy arrays as the bindings take them.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <optional>

#include "common/hash_index.hpp"

template <class T>
using Array = pybind11::array_t<T, pybind11::array::c_style>;

// An array that may be left out.
template <class T>
const T* data_or_null(const std::optional<Array<T>>& array) {
  return array ? array->data() : nullptr;
}

inline rerec::ItemSpan span_of(const Array<int32_t>& items) { return {items.data(), items.data() + items.size()}; }
