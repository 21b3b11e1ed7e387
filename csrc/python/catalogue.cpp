// The catalogue: its arrays by name, built or opened, and titles looked up.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <vector>

#include "python/arrays.hpp"
#include "python/register.hpp"
#include "python/texts.hpp"
#include "text/catalogue.hpp"

namespace py = pybind11;
using namespace py::literals;
using namespace rerec;

namespace {

// Keeps Python objects alive from C++, which lets them go on whichever thread.
std::shared_ptr<const void> hold(py::object object) {
  return {new py::object(std::move(object)), [](py::object* held) {
            py::gil_scoped_acquire acquire;
            delete held;
          }};
}

// A catalogue's arrays by name, as files hold them.
py::dict catalogue_arrays(const std::shared_ptr<Catalogue>& catalogue, const std::shared_ptr<CatalogueArrays>& arrays) {
  const py::capsule owner(new std::shared_ptr<CatalogueArrays>(arrays),
                          [](void* p) { delete static_cast<std::shared_ptr<CatalogueArrays>*>(p); });
  const auto share = [&](const auto& values) {
    using T = typename std::decay_t<decltype(values)>::value_type;
    return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data(), owner);
  };
  const CatalogueView& view = catalogue->view();
  return py::dict("title_ptr"_a = share(arrays->title_ptr),
                  "title_bytes"_a = py::array_t<uint8_t>(static_cast<py::ssize_t>(arrays->title_bytes.size()),
                                                         reinterpret_cast<const uint8_t*>(view.title_bytes), owner),
                  "years"_a = share(arrays->years), "exact_slots"_a = share(arrays->exact.slots),
                  "exact_group_ptr"_a = share(arrays->exact.group_ptr),
                  "exact_group_items"_a = share(arrays->exact.group_items), "key_slots"_a = share(arrays->keys.slots),
                  "key_group_ptr"_a = share(arrays->keys.group_ptr),
                  "key_group_items"_a = share(arrays->keys.group_items),
                  "most_semicolons"_a = py::array_t<int32_t>(1, &view.most_semicolons));
}

py::dict build_catalogue(const Array<int64_t>& title_ptr, const py::buffer& title_bytes, const Array<int32_t>& years,
                         int threads) {
  const py::buffer_info bytes = title_bytes.request();
  std::string text(static_cast<const char*>(bytes.ptr), static_cast<size_t>(bytes.size));
  std::vector<int64_t> ptr(title_ptr.data(), title_ptr.data() + title_ptr.size());
  std::vector<int32_t> known(years.data(), years.data() + years.size());
  std::shared_ptr<CatalogueArrays> arrays;
  {
    py::gil_scoped_release release;
    arrays = std::make_shared<CatalogueArrays>(std::move(ptr), std::move(text), std::move(known), threads);
  }
  return catalogue_arrays(std::make_shared<Catalogue>(arrays->view(), arrays), arrays);
}

// The lengths of the arrays are checked in Python.
std::shared_ptr<Catalogue> open_catalogue(const py::dict& arrays) {
  const auto data = [&](const char* name) { return py::array(arrays[name]).data(); };
  CatalogueView view;
  view.title_ptr = static_cast<const int64_t*>(data("title_ptr"));
  view.title_bytes = static_cast<const char*>(data("title_bytes"));
  view.years = static_cast<const int32_t*>(data("years"));
  view.items = static_cast<size_t>(py::array(arrays["years"]).size());
  const auto index = [&](const std::string& name) {
    const std::string slots = name + "_slots", ptr = name + "_group_ptr", items = name + "_group_items";
    const py::array table = arrays[slots.c_str()];
    return HashIndex{static_cast<const uint64_t*>(table.data()), static_cast<uint64_t>(table.size()) - 1,
                     static_cast<const int64_t*>(data(ptr.c_str())), static_cast<const int32_t*>(data(items.c_str()))};
  };
  view.exact = index("exact");
  view.keys = index("key");
  view.most_semicolons = *static_cast<const int32_t*>(data("most_semicolons"));
  return std::make_shared<Catalogue>(view, hold(arrays));
}

Array<int32_t> match_many(const Catalogue& catalogue, const py::sequence& titles, const Array<int32_t>& candidates) {
  const PythonTexts texts(titles);
  Array<int32_t> out(static_cast<py::ssize_t>(texts.views().size()));
  int32_t* items = out.mutable_data();
  py::gil_scoped_release release;
  for (std::string_view text : texts.views()) *items++ = catalogue.match(text, span_of(candidates)).item;
  return out;
}

}  // namespace

void register_catalogue(py::module_& module) {
  module.def("build_catalogue", &build_catalogue, "title_ptr"_a, "title_bytes"_a, "years"_a, "threads"_a);
  py::class_<Catalogue, std::shared_ptr<Catalogue>>(module, "Catalogue")
      .def(py::init(&open_catalogue), "arrays"_a)
      .def("__len__", &Catalogue::size)
      .def("match_many", &match_many, "titles"_a, "candidates"_a)
      .def(
          "explain",
          [](const Catalogue& self, const py::object& title, const Array<int32_t>& candidates) {
            const PythonTexts texts(py::make_tuple(title));
            const Match match = self.match(texts.views()[0], span_of(candidates));
            return py::make_tuple(match.item, kRuleNames[static_cast<size_t>(match.rule)], match.alternatives);
          },
          "title"_a, "candidates"_a);
}
