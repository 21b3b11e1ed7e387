"""Arrays and tables on disk, read with the checks a dataset needs: every fault is a `UserError` that names the file."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp

from rerec_engine.errors import file_error


def require(path: Path) -> Path:
    """`path`, which must be a file."""
    if not path.is_file():
        raise file_error(path, "no such file")
    return path


def read_table(path: Path, columns: tuple[str, ...]) -> pa.Table:
    """A parquet file that has at least the named columns."""
    require(path)
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise file_error(path, f"not a readable parquet file (truncated?): {error}") from None
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise file_error(path, f"column {', '.join(missing)} is missing (has: {', '.join(table.column_names)})")
    return table


def read_rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    """The rows of a parquet file that has at least the named columns, as Python values."""
    table = read_table(path, columns)
    try:
        rows: list[dict[str, Any]] = table.to_pylist()
    except (UnicodeDecodeError, pa.ArrowException) as error:
        raise file_error(path, f"a value cannot be read: {error}") from None
    return rows


def read_csr(path: Path, columns: int | None = None, rows: int | None = None) -> sp.csr_matrix:
    """A SciPy CSR file of the given shape, with canonical (sorted, unrepeated) indices."""
    require(path)
    try:
        matrix = sp.load_npz(path)
        matrix = sp.csr_matrix(matrix)
        matrix.check_format(full_check=True)
    except (ValueError, TypeError, OSError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise file_error(path, f"not a readable SciPy CSR matrix (truncated?): {error}") from None
    for name, wanted, got in (("rows", rows, matrix.shape[0]), ("columns", columns, matrix.shape[1])):
        if wanted is not None and wanted != got:
            raise file_error(path, f"expected {wanted} {name}, got {got}")
    matrix.sum_duplicates()
    return matrix


def write_csr(path: Path, matrix: sp.csr_matrix) -> None:
    matrix.sum_duplicates()
    sp.save_npz(path, matrix)


def read_embeddings(path: Path, items: int, name: str = "item_embeddings", check: bool = True) -> np.ndarray:
    """The tensor `name` of a safetensors file, memory-mapped: [items, d] float32, finite.

    Mapped rather than read, so that processes on one host share the pages. check: read it all, to find what is not
    finite.
    """
    require(path)
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > 100_000_000:
                raise ValueError("header too long")
            entry = json.loads(file.read(length))[name]
        start, end = entry["data_offsets"]
        shape = tuple(int(n) for n in entry["shape"])
        dtype = entry["dtype"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise file_error(path, f"not a safetensors file with a tensor {name} (truncated?): {error!r}") from None
    if dtype != "F32" or len(shape) != 2 or shape[0] != items or shape[1] < 1:
        raise file_error(path, f"{name} must be F32 [{items}, d], got {dtype} {list(shape)}")
    if end - start != 4 * shape[0] * shape[1] or path.stat().st_size < 8 + length + end:
        raise file_error(path, "the file is truncated")
    if items == 0:
        return np.zeros(shape, np.float32)
    array = np.memmap(path, np.dtype("<f4"), "r", 8 + length + start, shape)
    for begin, rows in read_chunks(array) if check else ():
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            raise file_error(path, f"{name} of item {begin + int(np.argmin(finite))} holds a NaN or an infinity")
    return array


def read_chunks(array: np.ndarray, size: int = 1 << 26) -> Iterator[tuple[int, np.ndarray]]:
    """First row and rows of each part of a mapped [n, d] array, read from its file: its pages are not kept in memory.

    size: bytes of a part.
    """
    if not isinstance(array, np.memmap) or array.filename is None:
        yield 0, array
        return
    width = array.shape[1]
    step = max(1, size // (width * array.itemsize))
    for begin in range(0, len(array), step):
        count = min(step, len(array) - begin) * width
        rows = np.fromfile(array.filename, array.dtype, count, offset=array.offset + begin * width * array.itemsize)
        yield begin, rows.reshape(-1, width)


def write_embeddings(path: Path, embeddings: np.ndarray, name: str = "item_embeddings") -> None:
    """Raises OSError where the file cannot be written (safetensors' own error is none)."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:
        save_file({name: np.ascontiguousarray(embeddings, np.float32)}, path)
    except SafetensorError as error:
        raise OSError(f"{path}: {error}") from None
