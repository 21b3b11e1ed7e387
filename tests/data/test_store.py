from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp

from rerec_engine.data.store import read_csr, read_embeddings, read_rows, write_csr, write_embeddings
from rerec_engine.errors import UserError


def test_a_full_disk_is_an_os_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        write_embeddings(tmp_path / "nowhere" / "e.safetensors", np.ones((2, 2), np.float32))


def test_embeddings_of_any_order_and_dtype_are_stored_right(tmp_path: Path) -> None:
    rows = np.arange(6, dtype=np.float64).reshape(3, 2).T
    write_embeddings(tmp_path / "e.safetensors", rows)
    np.testing.assert_array_equal(read_embeddings(tmp_path / "e.safetensors", 2), rows)


@pytest.mark.parametrize("position", range(40, 400, 24))
def test_a_flipped_byte_in_a_matrix_is_caught_or_harmless(tmp_path: Path, position: int) -> None:
    path = tmp_path / "m.npz"
    matrix = sp.csr_matrix(np.eye(30, dtype=np.float32))
    write_csr(path, matrix)
    data = bytearray(path.read_bytes())
    data[position] ^= 0xFF
    path.write_bytes(data)
    try:
        read = read_csr(path, 30, 30)
    except UserError as error:
        assert "m.npz" in str(error)  # noqa: PT017
    else:
        assert (read != matrix).nnz == 0


def test_other_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    np.savez(path, a=np.ones(3))
    with pytest.raises(UserError, match=r"m\.npz: not a readable SciPy CSR"):
        read_csr(path)
    pickled = io.BytesIO()
    np.save(pickled, np.array([{}], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("format.npy", pickled.getvalue())
    with pytest.raises(UserError, match=r"m\.npz"):
        read_csr(path)
    bad = sp.csr_matrix(np.eye(3, dtype=np.float32))
    bad.indices[1] = 7
    sp.save_npz(path, bad)
    with pytest.raises(UserError, match=r"m\.npz"):
        read_csr(path)


def test_an_unreadable_string_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    array = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])
    pq.write_table(pa.table({"title": array}), path)
    with pytest.raises(UserError, match=r"t\.parquet: a value cannot be read"):
        read_rows(path, ("title",))
