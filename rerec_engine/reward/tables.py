"""What the reward engine reads: titles and their index, attributes, embeddings.

A large dataset directory gets a folder `reward_index/` of plain arrays when it is first loaded. Later loads map them
into memory, which takes milliseconds and shares the pages among the processes of a host. It is made anew when a file of
the dataset has changed, and where it cannot be written the arrays stay in this process' memory.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from numpy.typing import NDArray

from rerec_engine.errors import UserError, file_error
from rerec_engine.graph.catalogue import Catalogue

INDEX = "reward_index"
INDEX_FROM = 20_000
"""Items from which on a dataset directory gets an index; less is read faster than it is looked up."""
VERSION = 2
"""Of the index; another one is made anew."""
SOURCES = ("items.parquet", "item_attributes.npz", "item_embeddings.safetensors", "attributes.parquet")


@dataclass(frozen=True)
class ItemTables:
    """Arrays of N items and A attributes."""

    catalogue: Catalogue
    attribute_ptr: NDArray[np.int64]  # [N + 1]
    attributes: NDArray[np.int32]  # ascending and distinct within an item
    attribute_count: int
    embeddings: NDArray[np.float32]  # [N, d], rows of length 1 or 0
    name_ptr: NDArray[np.int64] | None = None  # [A + 1]; attribute names as UTF-8
    name_bytes: NDArray[np.uint8] | None = None

    def idf(self) -> NDArray[np.float32]:
        """ln((N + 1) / (items of the attribute + 1)) + 1, [A]: scikit-learn's smooth IDF."""
        items = np.bincount(self.attributes, minlength=self.attribute_count)
        return (np.log((len(self.catalogue) + 1) / (items + 1)) + 1).astype(np.float32)


def item_tables(
    catalogue: Catalogue,
    item_attributes: sp.csr_matrix,
    item_embeddings: NDArray[np.float32],
    attribute_names: Sequence[str] | None = None,
) -> ItemTables:
    """Tables of arrays. Errors: `UserError` for sizes that disagree and for NaN or infinite numbers."""
    attributes = _canonical(item_attributes, len(catalogue))
    embeddings = check_embeddings(item_embeddings, len(catalogue))
    name_ptr, name_bytes = None, None
    if attribute_names is not None:
        if len(attribute_names) != attributes.shape[1]:
            wanted = f"a name for each of the {attributes.shape[1]} attributes"
            raise UserError(f"attribute_names must hold {wanted}, got {len(attribute_names)}")
        encoded = [name.encode("utf-8", "surrogatepass") for name in attribute_names]
        name_ptr = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        name_bytes = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    return ItemTables(
        catalogue,
        attributes.indptr.astype(np.int64),
        attributes.indices.astype(np.int32),
        attributes.shape[1],
        embeddings,
        name_ptr,
        name_bytes,
    )


def load_tables(path: Path, threads: int) -> ItemTables:
    """Tables of a dataset directory. Errors: `UserError` that names the file."""
    from rerec_engine.data.store import read_embeddings

    if not path.is_dir():
        raise UserError(f"{path}: no such dataset directory")
    stamp = _stamp(path)
    arrays = _read_index(path / INDEX, stamp)
    if arrays is None:
        arrays = _read_dataset(path, threads)
        if len(arrays["years"]) >= INDEX_FROM:
            arrays = _write_index(path / INDEX, stamp, arrays)
    return ItemTables(
        Catalogue.from_arrays(arrays),
        arrays["attribute_ptr"],
        arrays["attributes"],
        int(arrays["attribute_count"][0]),
        read_embeddings(path / "item_embeddings.safetensors", len(arrays["years"]), check=False),
        arrays.get("name_ptr"),
        arrays.get("name_bytes"),
    )


def check_embeddings(array: NDArray[np.float32], items: int) -> NDArray[np.float32]:
    """[items, d] float32, rows of length 1 or 0. Errors: `UserError` that names the row."""
    if array.ndim != 2 or array.shape[0] != items:
        raise UserError(f"item_embeddings must be [{items}, d], got {list(array.shape)}")
    embeddings = np.ascontiguousarray(array, dtype=np.float32)
    _check_rows(embeddings, 0, "")
    return embeddings


def _check_rows(rows: NDArray[np.float32], first: int, place: str) -> None:
    squares = np.einsum("nd,nd->n", rows, rows)  # [n]; a NaN or an infinity stays one
    wrong = ~((np.abs(squares - 1) < 2e-2) | (squares == 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        length = float(np.sqrt(squares[row]))
        raise UserError(f"{place}item_embeddings row {first + row} must have length 1 (or 0), got {length}")


def _canonical(matrix: sp.csr_matrix, items: int) -> sp.csr_matrix:
    csr = sp.csr_matrix(matrix)
    if csr.shape[0] != items:
        raise UserError(f"item_attributes must have a row for each of the {items} items, got {csr.shape[0]}")
    if not np.isfinite(csr.data).all():
        raise UserError("item_attributes holds a NaN or an infinity")
    if not csr.has_canonical_format or (csr.data == 0).any():
        csr = csr.copy()
        csr.sum_duplicates()
        csr.eliminate_zeros()
    return csr


def _read_dataset(path: Path, threads: int) -> dict[str, NDArray[Any]]:
    from rerec_engine.data.store import read_chunks, read_csr, read_embeddings, read_table

    file = path / "items.parquet"
    table = read_table(file, ("item_id", "title", "year"))
    ids, titles, years = (table.column(name).combine_chunks() for name in ("item_id", "title", "year"))
    wrong = np.asarray(ids.fill_null(-1).to_numpy(zero_copy_only=False)) != np.arange(len(ids))
    if not (pa.types.is_string(titles.type) or pa.types.is_large_string(titles.type)):
        raise file_error(file, f"title must be text, got {titles.type}")
    wrong |= titles.is_null().to_numpy(zero_copy_only=False)
    if wrong.any():
        row = int(np.argmax(wrong))
        found = f"expected item_id {row} with a title, got {ids[row].as_py()} {titles[row].as_py()!r}"
        raise file_error(file, found, row + 1)
    title_ptr, title_bytes = _text_arrays(titles)
    known = np.asarray(years.cast(pa.int32()).fill_null(0).to_numpy(zero_copy_only=False), dtype=np.int32)
    catalogue = Catalogue.from_bytes(title_ptr, title_bytes, known, threads)
    attributes = _canonical(read_csr(path / "item_attributes.npz", rows=len(catalogue)), len(catalogue))
    embeddings = path / "item_embeddings.safetensors"
    for begin, rows in read_chunks(read_embeddings(embeddings, len(catalogue), check=False)):
        _check_rows(rows, begin, f"{embeddings}: ")
    arrays = dict(catalogue.arrays)
    arrays["attribute_ptr"] = attributes.indptr.astype(np.int64)
    arrays["attributes"] = attributes.indices.astype(np.int32)
    arrays["attribute_count"] = np.array([attributes.shape[1]], dtype=np.int64)
    names = path / "attributes.parquet"
    if names.is_file():
        values = read_table(names, ("value",)).column("value").combine_chunks()
        if len(values) == attributes.shape[1]:
            arrays["name_ptr"], arrays["name_bytes"] = _text_arrays(values.cast(pa.large_string()).fill_null(""))
    return arrays


def _text_arrays(texts: Any) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Bounds [n + 1] and bytes of an Arrow array of n texts, not copied."""
    texts = texts.cast(pa.large_string())
    if len(texts) == 0:
        return np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.uint8)
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int64, count=len(texts) + 1, offset=8 * texts.offset)
    content = np.frombuffer(data, dtype=np.uint8) if data is not None and data.size else np.zeros(0, dtype=np.uint8)
    return bounds - bounds[0], content[bounds[0] : bounds[-1]]


def _stamp(path: Path) -> dict[str, list[int]]:
    """Size and time of change of each file that the index is made from."""
    stats = {name: (path / name).stat() for name in SOURCES if (path / name).is_file()}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}


def _read_index(folder: Path, stamp: dict[str, list[int]]) -> dict[str, NDArray[Any]] | None:
    """The index' arrays, mapped; None where there is none that fits the files."""
    try:
        header = json.loads((folder / "index.json").read_text())
        if header["version"] != VERSION or header["sources"] != stamp:
            return None
        arrays = {name: _map(folder / f"{name}.npy") for name in header["arrays"]}
        if {name: len(array) for name, array in arrays.items()} != header["arrays"]:
            return None
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None
    return arrays


def _map(path: Path) -> NDArray[Any]:
    """A mapped array; an empty one cannot be mapped."""
    mapped: NDArray[Any]
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:
        mapped = np.load(path, allow_pickle=False)
        if mapped.size:
            raise
    return mapped


def _write_index(folder: Path, stamp: dict[str, list[int]], arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Writes the index beside its place and moves it there; several processes may do so at once. Returns its arrays,
    mapped, or those given where it cannot be written."""
    try:
        draft = Path(tempfile.mkdtemp(prefix=f".{INDEX}-", dir=folder.parent))
    except OSError:
        return arrays
    try:
        for name, array in arrays.items():
            np.save(draft / f"{name}.npy", array)
        sizes = {name: len(array) for name, array in arrays.items()}
        header = {"version": VERSION, "sources": stamp, "arrays": sizes}
        (draft / "index.json").write_text(json.dumps(header))
        draft.chmod(0o755)
        if folder.exists():  # of an older dataset
            os.replace(folder, draft / "old")
        os.replace(draft, folder)
        shutil.rmtree(folder / "old", ignore_errors=True)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
    return _read_index(folder, stamp) or arrays
