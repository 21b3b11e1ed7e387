// Registers the training ops; the arrays come checked from Python.
#pragma once

#include <pybind11/pybind11.h>

void register_ops(pybind11::module_& module);
