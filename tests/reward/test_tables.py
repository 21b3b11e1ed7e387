"""The mapped index of a dataset directory: same scores, made anew when a file changes, never trusted when damaged."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from reward_reference import TITLES
from safetensors.numpy import save_file

from rerec_engine.errors import UserError
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.reward import RewardEngine, Scores, tables
from rerec_engine.reward.tables import INDEX

N = len(TITLES)
TEXTS = ["\\boxed{" + title + "}" for title in [*TITLES, "seven", "The Thing", "Hamlet", "nobody"]]


def write_items(folder: Path, titles: list[str]) -> None:
    schema = pa.schema([("item_id", pa.int64()), ("title", pa.string()), ("year", pa.int32())])
    columns = {"item_id": list(range(len(titles))), "title": titles, "year": [None] * len(titles)}
    pq.write_table(pa.table(columns, schema=schema), folder / "items.parquet")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attributes: sp.csr_matrix, embeddings: np.ndarray) -> Path:
    monkeypatch.setattr(tables, "INDEX_FROM", 1)
    write_items(tmp_path, TITLES)
    sp.save_npz(tmp_path / "item_attributes.npz", attributes)
    save_file({"item_embeddings": embeddings}, tmp_path / "item_embeddings.safetensors")
    names = pa.table({"relation": ["is"] * 9, "value": [f"Value {i}" for i in range(9)]})
    pq.write_table(names, tmp_path / "attributes.parquet")
    return tmp_path


def scores(engine: RewardEngine) -> Scores:
    return engine.score(TEXTS, [0] * len(TEXTS), [[1, 2, 3]] * len(TEXTS))


def assert_equal(left: RewardEngine, right: RewardEngine) -> None:
    a, b = scores(left), scores(right)
    np.testing.assert_array_equal(a.total, b.total)
    assert [row.tolist() for row in a.items] == [row.tolist() for row in b.items]
    assert list(left.catalogue.titles) == list(right.catalogue.titles)


def is_mapped(array: np.ndarray) -> bool:
    return isinstance(array, np.memmap)


def test_a_mapped_engine_scores_the_same(folder: Path, engine: RewardEngine) -> None:
    for _ in range(2):  # made, then found
        loaded = RewardEngine.load(folder, threads=1)
        assert_equal(loaded, engine)
        arrays = loaded.catalogue.arrays
        assert all(is_mapped(array) for array in arrays.values() if array.size)
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_a_small_dataset_needs_none(folder: Path, monkeypatch: pytest.MonkeyPatch, engine: RewardEngine) -> None:
    monkeypatch.setattr(tables, "INDEX_FROM", N + 1)
    assert_equal(RewardEngine.load(folder, threads=1), engine)
    assert not (folder / INDEX).exists()


def test_a_changed_file_makes_it_anew(folder: Path) -> None:
    RewardEngine.load(folder)
    changed = ["Changed (1999)", *TITLES[1:]]
    write_items(folder, changed)
    assert list(RewardEngine.load(folder).catalogue.titles) == changed
    assert list(RewardEngine.load(folder).catalogue.titles) == changed
    (folder / "item_attributes.npz").unlink()
    with pytest.raises(UserError, match=r"item_attributes.npz: no such file"):
        RewardEngine.load(folder)


@pytest.mark.parametrize("damage", ["truncated", "missing", "header", "version", "length", "emptied"])
def test_a_damaged_index_is_made_anew(folder: Path, engine: RewardEngine, damage: str) -> None:
    RewardEngine.load(folder)
    index = folder / INDEX
    header = json.loads((index / "index.json").read_text())
    if damage == "truncated":
        content = (index / "key_slots.npy").read_bytes()
        (index / "key_slots.npy").write_bytes(content[: len(content) // 2])
    elif damage == "missing":
        (index / "title_bytes.npy").unlink()
    elif damage == "header":
        (index / "index.json").write_text("{")
    elif damage == "version":
        (index / "index.json").write_text(json.dumps({**header, "version": 0}))
    elif damage == "length":
        np.save(index / "attribute_ptr.npy", np.zeros(3, np.int64))
    else:
        (index / "exact_slots.npy").write_bytes(b"")
    assert_equal(RewardEngine.load(folder, threads=1), engine)
    assert_equal(RewardEngine.load(folder, threads=1), engine)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere: run it as another user")
def test_a_folder_that_cannot_be_written(folder: Path, engine: RewardEngine) -> None:
    folder.chmod(0o555)
    try:
        assert_equal(RewardEngine.load(folder, threads=1), engine)
    finally:
        folder.chmod(0o755)


def test_a_full_disk_leaves_it_in_memory(folder: Path, engine: RewardEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tables.np, "save", full)
    assert_equal(RewardEngine.load(folder, threads=1), engine)
    assert sorted(path.name for path in folder.iterdir()) == sorted(tables.SOURCES)


def test_many_load_at_once(folder: Path, engine: RewardEngine) -> None:
    with ThreadPoolExecutor(8) as pool:
        for loaded in pool.map(lambda _: RewardEngine.load(folder, threads=1), range(16)):
            assert_equal(loaded, engine)
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_a_moved_index_is_not_trusted(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The index of one dataset beside another's files."""
    RewardEngine.load(folder)
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(folder, other, dirs_exist_ok=True)
    write_items(other, TITLES[::-1])
    assert list(RewardEngine.load(other).catalogue.titles) == TITLES[::-1]


def test_wrong_embeddings_name_the_file(folder: Path, embeddings: np.ndarray) -> None:
    broken = embeddings.copy()
    broken[4] *= 2
    save_file({"item_embeddings": broken}, folder / "item_embeddings.safetensors")
    with pytest.raises(UserError, match=r"item_embeddings.safetensors: .*row 4 must have length 1"):
        RewardEngine.load(folder)


def test_credit_finds_the_names(folder: Path, tokenizer) -> None:
    for _ in range(2):
        result = RewardEngine.load(folder).score_tokens([1], [0, 1], [0], tokenizer, w_credit=0.5)
        assert not result.segment_credited.any()


@pytest.mark.parametrize("name", ["title_ptr", "years", "exact_slots", "key_group_items"])
def test_arrays_that_do_not_fit_are_refused(catalogue: Catalogue, name: str) -> None:
    for wrong in (np.zeros(3, np.float64), np.zeros(5, catalogue.arrays[name].dtype), None):
        arrays = {**catalogue.arrays, name: wrong}
        with pytest.raises(ValueError, match=rf"{name} must be|do not fit together"):
            Catalogue.from_arrays(arrays)  # type: ignore[arg-type]


def test_titles_are_a_sequence(catalogue: Catalogue) -> None:
    assert catalogue.titles[-1] == TITLES[-1]
    assert catalogue.titles[2:4] == TITLES[2:4]
    assert TITLES[5] in catalogue.titles
    assert catalogue.titles.index(TITLES[5]) == 5
    with pytest.raises(IndexError, match="item 12 of a catalogue of 12"):
        catalogue.titles[N]
