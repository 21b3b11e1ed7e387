// Registers the module rerec_engine._core; the work is in the other files.
#include <pybind11/pybind11.h>

namespace py = pybind11;

PYBIND11_MODULE(_core, module) {
  module.doc() = "Reward engine of rerec_engine: parse, match, rank, align, segment.";
}
