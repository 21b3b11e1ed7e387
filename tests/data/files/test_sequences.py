"""What users took next, out of a log and out of published splits; what may be learned from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.data.counts import Counts
from rerec_engine.data.files.sequences import Sequences, Target, has_histories, of_log, of_rows
from rerec_engine.errors import UserError

ITEMS = {str(item): item for item in range(10)}
USERS = {"ann": 0, "ben": 1}
HEAD = "user_id,history_item_id,item_id\n"


def write(folder: Path, **files: str) -> list[Path]:
    for name, rows in files.items():
        (folder / f"{name}.csv").write_text(HEAD + rows)
    return [folder / f"{name}.csv" for name in files]


def read(paths: list[Path], skip_bad: bool = False) -> tuple[Sequences, Counts]:
    counts = Counts()
    found = of_rows(paths, {}, ITEMS, USERS, counts, skip_bad)
    counts.check()
    return found, counts


def test_the_last_of_a_log_are_held_out() -> None:
    found = of_log([np.array([4, 5, 6, 7]), np.array([1, 2]), np.array([3])])
    assert found.targets == [
        Target("train", 0, (4,), 5),
        Target("val", 0, (4, 5), 6),
        Target("test", 0, (4, 5, 6), 7),
        Target("train", 1, (1,), 2),
    ]
    assert found.past == {0: (4, 5), 1: (1, 2), 2: (3,)}
    assert found.log(3, 8).toarray().nonzero()[1].tolist() == [4, 5, 1, 2, 3]


def test_rows_keep_their_split(tmp_path: Path) -> None:
    files = {"train": 'ann,"[1, 2]",3\nann,"[1, 2, 3]",4\n', "test": 'ben,"[5]",6\n'}
    found, _ = read(write(tmp_path, **files))
    assert found.targets == [
        Target("train", 0, (1, 2), 3),
        Target("train", 0, (1, 2, 3), 4),
        Target("test", 1, (5,), 6),
    ]
    assert found.past == {0: (1, 2, 3, 4)}


def test_without_a_train_file_the_past_of_the_first_held_out_row_is_learned_from(tmp_path: Path) -> None:
    """Later histories hold the targets of earlier rows, also of the other file."""
    valid = 'ann,"[1, 2, 2]",3\n'
    test = 'ann,"[1, 2, 2, 3]",4\nann,"[1, 2, 2, 3, 4]",5\nben,"[7]",8\nben,"[7, 8]",9\n'
    found, counts = read(write(tmp_path, Office_valid=valid, Office_test=test))
    train = [(target.user, target.history, target.item) for target in found.targets if target.split == "train"]
    assert train == [(0, (1,), 2), (0, (1, 2), 2)]
    assert found.past == {0: (1, 2, 2), 1: (7,)}
    assert [target.item for target in found.targets if target.split != "train"] == [3, 4, 5, 8, 9]
    assert found.log(2, 10).toarray().sum(axis=1).tolist() == [2, 1]
    assert counts.kept_by_kind["targets (train: histories of each user's first held-out row)"] == 2


@given(st.lists(st.integers(0, 9), min_size=4, max_size=16), st.integers(1, 4), st.integers(1, 10))
def test_no_transition_that_is_asked_for_is_learned(
    tmp_path_factory: pytest.TempPathFactory, items: list[int], held_out: int, window: int
) -> None:
    """Of a sequence whose last items are the targets of held-out rows, with histories cut to a window."""
    held_out = min(held_out, len(items) - 1)
    places = range(len(items) - held_out, len(items))
    rows = [f'ann,"{items[max(0, at - window) : at]}",{items[at]}' for at in places]
    found, _ = read(write(tmp_path_factory.mktemp("rows"), test="\n".join(rows) + "\n"))
    learned = [target for target in found.targets if target.split == "train"]
    first = places[0]
    past = tuple(items[max(0, first - window) : first])
    assert found.past == {0: past}
    assert [(target.history, target.item) for target in learned] == [
        (past[:at], past[at]) for at in range(1, len(past))
    ]


def test_how_lists_are_written_does_not_matter(tmp_path: Path) -> None:
    rows = "ann,\"['1', '2']\",3\nann,1 2,3\nann,1,3\n"
    found, _ = read(write(tmp_path, train=rows))
    assert [target.history for target in found.targets] == [(1, 2), (1, 2), (1,)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('ann,"[1, 77]",3', "item 77 is not in the catalogue"),
        ('ann,"[1]",77', "item 77 is not in the catalogue"),
        ('ann,"[",3', "its history is no list of items"),
        ("ann,,3", "its history is no list of items"),
        ('eve,"[1]",3', "user eve is unknown"),
    ],
)
def test_broken_rows_are_told_or_counted(tmp_path: Path, row: str, message: str) -> None:
    paths = write(tmp_path, train=f'ann,"[1]",2\n{row}\n')
    with pytest.raises(UserError, match=rf"train\.csv:3: {message}"):
        read(paths)
    found, counts = read(paths, skip_bad=True)
    assert len(found.targets) == 1
    assert counts.dropped("targets (train.csv)") == {"broken row": 1}


def test_names_of_files_tell_the_split(tmp_path: Path) -> None:
    row = 'ann,"[1]",2\n'
    for names, message in (
        (("rows",), "which split is it"),
        (("train_test",), "which split is it"),
        (("a_test", "b_test"), "a second file of the split test"),
    ):
        with pytest.raises(UserError, match=message):
            read(write(tmp_path, **dict.fromkeys(names, row)))


def test_what_has_histories(tmp_path: Path) -> None:
    assert has_histories(write(tmp_path, train='ann,"[1]",2\n'), {})
    (tmp_path / "plain.csv").write_text("user_id,item_id\nann,1\n")
    assert not has_histories([tmp_path / "plain.csv"], {})
    assert not has_histories([], {})
