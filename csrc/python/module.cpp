// Registers the module rerec_engine._core; the work is in the other folders.
#include <pybind11/pybind11.h>

#include "python/register.hpp"

PYBIND11_MODULE(_core, module) {
  module.doc() = "rerec_engine in C++: titles and answers read, rewards, and the training ops on a CPU.";
  register_catalogue(module);
  register_scores(module);
  register_steps(module);
  register_ops(module);
  register_constrain(module);
}
