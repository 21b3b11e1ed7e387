// Which tokens may follow, for rows of responses. The arrays come checked from Python.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "constrain/walk.hpp"
#include "python/arrays.hpp"
#include "python/register.hpp"

namespace py = pybind11;
using namespace py::literals;
using namespace rerec;

namespace {

// Constrained places, one after the other.
struct Found {
  std::vector<int64_t> at, ptr{0};
  std::vector<uint8_t> denied;
  std::vector<int32_t> ids;

  void add(size_t place, const Allowed& allowed) {
    if (!allowed.constrained) return;
    at.push_back(static_cast<int64_t>(place));
    denied.push_back(allowed.denied);
    ids.insert(ids.end(), allowed.ids.begin(), allowed.ids.end());
    ptr.push_back(static_cast<int64_t>(ids.size()));
  }
  py::tuple arrays() const { return py::make_tuple(to_array(at), to_array(denied), to_array(ptr), to_array(ids)); }
};

// A catalogue's titles under one tokenizer.
class Titles {
 public:
  Titles(std::shared_ptr<const Catalogue> catalogue, std::shared_ptr<const TokenTree> tokens, Array<int32_t> order)
      : catalogue_(std::move(catalogue)), tokens_(std::move(tokens)), order_(std::move(order)) {
    const std::shared_ptr<const void> nothing;
    const auto whole = std::make_shared<TitleSet>(*catalogue_, order_.data(), static_cast<size_t>(order_.size()), nothing);
    walk_ = std::make_shared<Walk>(tokens_, whole);
  }

  const Walk& walk() const { return *walk_; }

  // Of some items; of none: of the whole catalogue.
  std::shared_ptr<const TitleSet> some(Candidates candidates) const {
    if (candidates.empty()) return walk_->whole();
    const auto order = std::make_shared<std::vector<int32_t>>(title_order(*catalogue_, candidates, *tokens_, 1));
    return std::make_shared<TitleSet>(*catalogue_, order->data(), order->size(), order);
  }

 private:
  std::shared_ptr<const Catalogue> catalogue_;
  std::shared_ptr<const TokenTree> tokens_;
  Array<int32_t> order_;  // may be memory-mapped
  std::shared_ptr<Walk> walk_;
};

AnswerRow new_row(std::shared_ptr<const TitleSet> titles) {
  AnswerRow row;
  row.titles = std::move(titles);
  return row;
}

ItemSpan span_of(const Array<int64_t>& ptr, const Array<int32_t>& items, size_t i) {
  return {items.data() + ptr.data()[i], items.data() + ptr.data()[i + 1]};
}

// Responses that are drawn.
class Rows {
 public:
  explicit Rows(std::shared_ptr<Titles> titles) : titles_(std::move(titles)) {}

  size_t size() const { return rows_.size(); }

  // Prompt i may be answered with candidates[ptr[i]:ptr[i + 1]]; n responses each come behind those that there are.
  void join(const Array<int64_t>& ptr, const Array<int32_t>& candidates, int n) {
    for (size_t i = 0; i + 1 < static_cast<size_t>(ptr.size()); ++i) {
      const auto titles = titles_->some(span_of(ptr, candidates, i));
      for (int k = 0; k < n; ++k) rows_.push_back(new_row(titles));
    }
  }

  void keep(const Array<int64_t>& rows) {
    std::vector<AnswerRow> kept;
    kept.reserve(static_cast<size_t>(rows.size()));
    for (py::ssize_t i = 0; i < rows.size(); ++i) kept.push_back(rows_.at(static_cast<size_t>(rows.data()[i])));
    rows_ = std::move(kept);
  }

  py::tuple allowed() const {
    Found found;
    {
      py::gil_scoped_release release;
      Allowed some;
      for (size_t i = 0; i < rows_.size(); ++i) {
        titles_->walk().allowed(rows_[i], some);
        found.add(i, some);
      }
    }
    return found.arrays();
  }

  // logits [L, V], changed in place: -inf for what may not follow. Row i's are logits[places[i]]. Ids beyond V are not
  // looked at.
  void mask(py::array_t<float, 0> logits, const Array<int64_t>& places) const {
    if (static_cast<size_t>(places.size()) != rows_.size()) throw std::invalid_argument("a place for each row is needed");
    for (py::ssize_t i = 0; i < places.size(); ++i) {
      if (places.data()[i] < 0 || places.data()[i] >= logits.shape(0)) throw std::invalid_argument("no such logits");
    }
    if (logits.strides(1) != sizeof(float)) throw std::invalid_argument("a row of logits must lie together");
    const py::ssize_t stride = logits.strides(0) / static_cast<py::ssize_t>(sizeof(float));
    const auto width = static_cast<size_t>(logits.shape(1));
    float* const all = logits.mutable_data();
    py::gil_scoped_release release;
    Allowed some;
    std::vector<float> kept;
    for (size_t i = 0; i < rows_.size(); ++i) {
      titles_->walk().allowed(rows_[i], some);
      if (!some.constrained) continue;
      float* const row = all + places.data()[i] * stride;
      const auto known = std::lower_bound(some.ids.begin(), some.ids.end(), static_cast<int32_t>(width));
      kept.clear();
      if (!some.denied) {
        for (auto id = some.ids.begin(); id != known; ++id) kept.push_back(row[*id]);
        std::fill(row, row + width, -std::numeric_limits<float>::infinity());
      }
      for (auto id = some.ids.begin(); id != known; ++id) {
        row[*id] = some.denied ? -std::numeric_limits<float>::infinity() : kept[static_cast<size_t>(id - some.ids.begin())];
      }
    }
  }

  // The next token of some rows.
  void advance(const Array<int64_t>& tokens, const Array<int64_t>& rows) {
    if (tokens.size() != rows.size()) throw std::invalid_argument("a token for each row is needed");
    for (py::ssize_t i = 0; i < rows.size(); ++i) {
      const int64_t token = tokens.data()[i], row = rows.data()[i];
      if (!titles_->walk().advance(rows_.at(static_cast<size_t>(row)), static_cast<int32_t>(token)))
        throw std::invalid_argument("row " + std::to_string(row) + ": token " + std::to_string(token) + " cannot follow");
    }
  }

  // Of rows in a box that hold one title at most: rows [X] and the tokens [X] that go on in one, items [X] that a token
  // ends, else -1, and places [X, 3] thereafter: the first of the titles that begin so, how many, and bytes of theirs.
  py::tuple continuations() const {
    std::vector<int64_t> rows;
    std::vector<int32_t> ids, items, places;
    {
      py::gil_scoped_release release;
      Allowed some;
      for (size_t i = 0; i < rows_.size(); ++i) {
        const AnswerRow& row = rows_[i];
        if (!row.place.inside) throw std::invalid_argument("row " + std::to_string(i) + " is in no box");
        titles_->walk().allowed(row, some);
        for (int32_t id : some.ids) {
          AnswerPlace place;
          const Walk::Fate fate = titles_->walk().fate(row, id, place);
          if (fate == Walk::Fate::kSeveral) continue;
          rows.push_back(static_cast<int64_t>(i));
          ids.push_back(id);
          items.push_back(fate == Walk::Fate::kEnds ? ended(row, id) : -1);
          for (uint32_t x : {place.range.lo, place.range.size(), place.depth}) places.push_back(static_cast<int32_t>(x));
        }
      }
    }
    return py::make_tuple(to_array(rows), to_array(ids), to_array(items),
                          to_array(places).reshape({-1, 3}));
  }

  // Items of the last box that was closed; none: there is none yet.
  std::vector<int32_t> answer(size_t row) const { return rows_.at(row).answer; }
  bool inside(size_t row) const { return rows_.at(row).place.inside; }

 private:
  int32_t ended(const AnswerRow& row, int32_t token) const {
    AnswerRow after = row;
    titles_->walk().advance(after, token);
    return after.answer.front();
  }

  std::shared_ptr<Titles> titles_;
  std::vector<AnswerRow> rows_;
};

// Of whole responses, token by token: at [R] of the T tokens, and what was allowed there. A response that could not be
// drawn is left off from there on.
py::tuple read_responses(const Titles& titles, const Array<int64_t>& ids, const Array<int64_t>& bounds,
                         const Array<int64_t>& ptr, const Array<int32_t>& candidates) {
  const size_t count = static_cast<size_t>(bounds.size()) - 1;
  Found found;
  {
    py::gil_scoped_release release;
    Allowed some;
    std::shared_ptr<const TitleSet> set;
    for (size_t i = 0; i < count; ++i) {
      const ItemSpan mine = span_of(ptr, candidates, i);
      const bool same = i > 0 && std::equal(mine.begin(), mine.end(), span_of(ptr, candidates, i - 1).begin(),
                                            span_of(ptr, candidates, i - 1).end());
      if (!same) set = titles.some(mine);
      AnswerRow row = new_row(set);
      for (int64_t at = bounds.data()[i]; at < bounds.data()[i + 1]; ++at) {
        titles.walk().allowed(row, some);
        if (!titles.walk().advance(row, static_cast<int32_t>(ids.data()[at]))) {
          break;
        }
        found.add(static_cast<size_t>(at), some);
      }
    }
  }
  return found.arrays();
}

}  // namespace

void register_constrain(py::module_& module) {
  py::class_<TokenTree, std::shared_ptr<TokenTree>>(module, "TokenTree")
      .def(py::init([](const Array<int64_t>& ptr, const py::bytes& bytes) {
             return std::make_shared<TokenTree>(ptr.data(), static_cast<size_t>(ptr.size()) - 1,
                                                std::string_view(bytes));
           }),
           "ptr"_a, "bytes"_a)
      .def("__len__", &TokenTree::size)
      .def_property_readonly("nodes", &TokenTree::nodes);
  module.def(
      "title_order",
      [](const Catalogue& catalogue, const TokenTree& tokens, int threads) {
        std::vector<int32_t> order;
        {
          py::gil_scoped_release release;
          order = title_order(catalogue, {}, tokens, threads);
        }
        return to_array(order);
      },
      "catalogue"_a, "tokens"_a, "threads"_a);
  py::class_<Titles, std::shared_ptr<Titles>>(module, "Titles")
      .def(py::init([](std::shared_ptr<Catalogue> catalogue, std::shared_ptr<TokenTree> tokens, Array<int32_t> order) {
             return std::make_shared<Titles>(std::move(catalogue), std::move(tokens), std::move(order));
           }),
           "catalogue"_a, "tokens"_a, "order"_a)
      .def("read", &read_responses, "ids"_a, "bounds"_a, "ptr"_a, "candidates"_a);
  py::class_<Rows>(module, "AnswerRows")
      .def(py::init<std::shared_ptr<Titles>>(), "titles"_a)
      .def("__len__", &Rows::size)
      .def("join", &Rows::join, "ptr"_a, "candidates"_a, "n"_a)
      .def("keep", &Rows::keep, "rows"_a)
      .def("allowed", &Rows::allowed)
      .def("mask", &Rows::mask, py::arg("logits").noconvert(), "places"_a)
      .def("advance", &Rows::advance, "tokens"_a, "rows"_a)
      .def("continuations", &Rows::continuations)
      .def("answer", &Rows::answer, "row"_a)
      .def("inside", &Rows::inside, "row"_a);
}
