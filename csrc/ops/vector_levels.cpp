#include "ops/vector_levels.hpp"

#include "common/simd.hpp"

namespace rerec {

namespace {

struct Level {
  const char* name;
  const VectorPasses* passes;
};

std::vector<Level> levels() {
  std::vector<Level> found;
#ifdef REREC_AVX2
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) found.push_back({"avx512", &kAvx512Passes});
  if (has_avx2() && __builtin_cpu_supports("fma")) found.push_back({"avx2", &kAvx2Passes});
#endif
  found.push_back({"plain", &kPlainPasses});
  return found;
}

const VectorPasses*& passes() {
  static const VectorPasses* chosen = levels().front().passes;
  return chosen;
}

}  // namespace

const VectorPasses& vector_passes() { return *passes(); }

std::vector<std::string> vector_levels() {
  std::vector<std::string> names;
  for (const Level& level : levels()) names.emplace_back(level.name);
  return names;
}

bool set_vector_level(const std::string& name) {
  for (const Level& level : levels()) {
    if (level.name == name) {
      passes() = level.passes;
      return true;
    }
  }
  return false;
}

}  // namespace rerec
