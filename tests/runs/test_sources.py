"""A run goes on with the dataset and the model that it was begun with, and with no other."""

from __future__ import annotations

import json

import pytest

from rerec_engine.errors import UserError
from rerec_engine.runs.sources import BLOCK, WHOLE, check_sources, fingerprint


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data"
    path.mkdir()
    (path / "train.parquet").write_bytes(b"one")
    (path / "items.parquet").write_bytes(b"items")
    return path


def test_the_same_goes_on_wherever_it_lies(data, tmp_path):
    check_sources(tmp_path, {"dataset": data})
    (data / "prepare_report.json").write_text("{}")  # what tells only, and what is made beside it
    (data / "reward_index").mkdir()
    (data / "reward_index" / "titles").write_bytes(b"derived")
    moved = data.rename(tmp_path / "moved")
    check_sources(tmp_path, {"dataset": moved})


@pytest.mark.parametrize("change", ["other", "gone", "more"])
def test_another_is_refused_and_the_file_named(data, tmp_path, change):
    check_sources(tmp_path, {"dataset": data})
    file = data / "train.parquet"
    if change == "other":
        file.write_bytes(b"two")
    elif change == "gone":
        file.unlink()
    else:
        (data / "train-1.parquet").write_bytes(b"")
    with pytest.raises(
        UserError, match=r"its dataset \(.*data\) is another than when it began \(train.*parquet differs"
    ):
        check_sources(tmp_path, {"dataset": data})


def test_another_revision_is_refused_and_an_unknown_one_passes(data, tmp_path):
    check_sources(tmp_path, {"dataset": data, "model": "abc"})
    check_sources(tmp_path, {"dataset": data})  # the Hub could not be asked
    with pytest.raises(UserError, match=r"its model \(def\) .* \(revision differs\)"):
        check_sources(tmp_path, {"dataset": data, "model": "def"})


def test_a_run_without_fingerprints_gets_them(data, tmp_path):
    check_sources(tmp_path, {"dataset": data})
    assert json.loads((tmp_path / "sources.json").read_text()) == {"dataset": fingerprint(data)}


@pytest.mark.parametrize("place", [0, WHOLE // 2, -1])
def test_of_a_long_file_length_and_blocks_count(data, place):
    content = bytearray(WHOLE + 3 * BLOCK)
    (data / "big").write_bytes(content)
    before = fingerprint(data)
    content[place] ^= 1
    (data / "big").write_bytes(content)
    # its ends are always read; of the middle some
    assert (fingerprint(data) != before) == (place in (0, -1) or _is_read(place, len(content)))
    (data / "big").write_bytes(content + b"0")
    assert fingerprint(data)["big"] != before["big"]


def _is_read(place, size):
    count = WHOLE // BLOCK
    return any(start <= place < start + BLOCK for start in ((size - BLOCK) * i // (count - 1) for i in range(count)))
