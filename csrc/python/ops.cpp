#include "python/register.hpp"

#include <string>
#include <vector>

#include "ops/attention.hpp"
#include "ops/logits.hpp"
#include "ops/policy.hpp"
#include "ops/vector_levels.hpp"
#include "python/arrays.hpp"

namespace py = pybind11;
using namespace py::literals;
using namespace rerec;

namespace {

template <class T>
using Maybe = std::optional<Array<T>>;

size_t rows_of(const py::array& array) { return static_cast<size_t>(array.shape(0)); }

// Row `share` of a [..., 3, rows] array.
SoftmaxState state_at(float* base, size_t share, size_t rows) {
  float* p = base + share * 3 * rows;
  return {p, p + rows, p + 2 * rows};
}

LogitTile tile_of(Array<float>& z, int64_t first, const Array<int64_t>& targets, double scale, float softcap) {
  return {z.mutable_data(), rows_of(z), static_cast<size_t>(z.shape(1)), first, targets.data(), scale, softcap};
}

void fold(Array<float> z, int64_t first, const Array<int64_t>& targets, double scale, float softcap, Array<float> top,
          Array<float> total, Array<float> dot, Array<float> picked) {
  const LogitTile tile = tile_of(z, first, targets, scale, softcap);
  const SoftmaxState state{top.mutable_data(), total.mutable_data(), dot.mutable_data()};
  float* at = picked.mutable_data();
  py::gil_scoped_release release;
  fold_logits(tile, state, at);
}

void gradient(Array<float> z, int64_t first, const Array<int64_t>& targets, double scale, float softcap, bool capped,
              const Array<float>& lse, const Array<float>& base, const Maybe<float>& slope,
              const Array<float>& at_target) {
  const LogitTile tile = tile_of(z, first, targets, scale, softcap);
  const GradientRows rows{lse.data(), base.data(), data_or_null(slope), at_target.data(), capped};
  py::gil_scoped_release release;
  logit_gradient(tile, rows);
}

void merge(Array<float> states, const Array<float>& picked, double scale, Array<float> logp, Array<float> entropy,
           Array<float> lse) {
  std::vector<SoftmaxState> shares;
  const auto rows = static_cast<size_t>(states.shape(2));
  for (size_t share = 0; share < rows_of(states); ++share) shares.push_back(state_at(states.mutable_data(), share, rows));
  merge_softmax(shares, rows, picked.data(), scale, logp.mutable_data(), entropy.mutable_data(), lse.mutable_data());
}

// Adds to sums [10] (see PolicySums).
void tokens(const Array<float>& logp, const Array<float>& old, const Array<float>& adv, const Array<float>& weight,
            const Maybe<float>& ref, const Maybe<float>& log_ratio, const Maybe<float>& entropy, double clip_low,
            double clip_high, double beta, const std::string& kl, double entropy_coef, Array<float> gradient_out,
            Array<double> sums) {
  const Kl kind = kl == "k1" ? Kl::kK1 : kl == "k2" ? Kl::kK2 : Kl::kK3;
  const PolicyTokens rows{rows_of(logp),      logp.data(),              old.data(),           adv.data(), weight.data(),
                          data_or_null(ref), data_or_null(log_ratio), data_or_null(entropy)};
  constexpr size_t kSums = sizeof(PolicySums) / sizeof(double);
  if (rows_of(sums) != kSums) throw py::value_error("sums must be float64 [" + std::to_string(kSums) + "]");
  auto* total = reinterpret_cast<PolicySums*>(sums.mutable_data());
  float* out = gradient_out.mutable_data();
  py::gil_scoped_release release;
  policy_tokens(rows, {clip_low, clip_high, beta, entropy_coef, kind}, out, *total);
}

Array<float> advantage(const Array<int64_t>& lengths, const Array<bool>& penalised, const Array<int64_t>& cu_segments,
                       const Array<float>& rewards, const Array<int64_t>& group, double w_penalty,
                       const std::string& estimator) {
  const Estimator kind = estimator == "raae"      ? Estimator::kRaae
                         : estimator == "grpo"    ? Estimator::kGrpo
                         : estimator == "dr_grpo" ? Estimator::kDrGrpo
                                                  : Estimator::kRloo;
  Array<float> out(lengths.shape(0));
  const Segments segments{rows_of(lengths),   rows_of(rewards), lengths.data(), cu_segments.data(), group.data(),
                          reinterpret_cast<const uint8_t*>(penalised.data()), rewards.data()};
  segment_advantage(segments, w_penalty, kind, out.mutable_data());
  return out;
}

void expand(const Array<float>& values, const Array<int64_t>& lengths, Array<float> out) {
  repeat(values.data(), lengths.data(), rows_of(values), out.mutable_data());
}

std::vector<int64_t> list_of(const Array<int64_t>& values) { return {values.data(), values.data() + values.size()}; }

AttentionCache make_cache(size_t layers, size_t heads, size_t kv_heads, const Array<float>& cos,
                          const Array<float>& sin, bool half) {
  return {{layers, heads, kv_heads, static_cast<size_t>(cos.shape(1)), half}, rows_of(cos), cos.data(), sin.data()};
}

void set_prompts(AttentionCache& cache, size_t layer, const Array<float>& qkv, int threads) {
  py::gil_scoped_release release;
  cache.set_prompts(layer, qkv.data(), threads);
}

void attend(AttentionCache& cache, size_t layer, const Array<float>& qkv, Array<float> out, int threads) {
  float* target = out.mutable_data();
  py::gil_scoped_release release;
  cache.attend(layer, qkv.data(), target, threads);
}

void add(AttentionCache& cache, const Array<int64_t>& lengths, size_t responses) {
  cache.add(list_of(lengths), responses);
}

void keep(AttentionCache& cache, const Array<int64_t>& rows) { cache.keep(list_of(rows)); }

}  // namespace

void register_ops(py::module_& module) {
  module.def("fold_logits", &fold, "z"_a.noconvert(), "first"_a, "targets"_a, "scale"_a, "softcap"_a,
             "top"_a.noconvert(), "total"_a.noconvert(), "dot"_a.noconvert(), "picked"_a.noconvert());
  module.def("logit_gradient", &gradient, "z"_a.noconvert(), "first"_a, "targets"_a, "scale"_a, "softcap"_a, "capped"_a,
             "lse"_a, "base"_a, "slope"_a, "at_target"_a);
  module.def("merge_softmax", &merge, "states"_a.noconvert(), "picked"_a, "scale"_a, "logp"_a.noconvert(),
             "entropy"_a.noconvert(), "lse"_a.noconvert());
  module.def("policy_tokens", &tokens, "logp"_a, "old"_a, "adv"_a, "weight"_a, "ref"_a, "log_ratio"_a, "entropy"_a,
             "clip_low"_a, "clip_high"_a, "beta"_a, "kl"_a, "entropy_coef"_a, "gradient"_a.noconvert(),
             "sums"_a.noconvert());
  module.def("segment_advantage", &advantage, "lengths"_a, "penalised"_a, "cu_segments"_a, "rewards"_a, "group"_a,
             "w_penalty"_a, "estimator"_a);
  module.def("expand_segments", &expand, "values"_a, "lengths"_a, "out"_a.noconvert());
  py::class_<AttentionCache>(module, "AttentionCache")
      .def(py::init(&make_cache), "layers"_a, "heads"_a, "kv_heads"_a, "cos"_a, "sin"_a, "half"_a)
      .def("add", &add, "lengths"_a, "responses"_a)
      .def("set_prompts", &set_prompts, "layer"_a, "qkv"_a, "threads"_a)
      .def("attend", &attend, "layer"_a, "qkv"_a, "out"_a.noconvert(), "threads"_a)
      .def("advance", &AttentionCache::advance)
      .def("keep", &keep, "rows"_a);
  module.def("vector_levels", &vector_levels);
  module.def("set_vector_level", &set_vector_level, "level"_a);
}
