// One set of passes for each instruction set.
#pragma once

#include "logits.hpp"

namespace rerec {

struct LogitPasses {
  void (*fold)(const LogitTile&, SoftmaxState, float*);
  void (*gradient)(const LogitTile&, const GradientRows&);
};

extern const LogitPasses kAvx512Passes, kAvx2Passes, kPlainPasses;

}  // namespace rerec
