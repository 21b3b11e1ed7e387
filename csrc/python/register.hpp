// What module.cpp puts together, one part a file. Arrays come checked from Python.
#pragma once

#include <pybind11/pybind11.h>

void register_catalogue(pybind11::module_& module);
void register_scores(pybind11::module_& module);
void register_steps(pybind11::module_& module);
void register_ops(pybind11::module_& module);
void register_constrain(pybind11::module_& module);
