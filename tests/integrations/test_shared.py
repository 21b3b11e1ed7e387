from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rerec_engine.config import RewardWeights
from rerec_engine.errors import UserError
from rerec_engine.integrations import shared
from rerec_engine.integrations.shared import candidates_of, configure, row_name, score_rows, shared_engine
from rerec_engine.reward import RewardEngine


def test_one_engine_a_directory(data_dir: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        engines = list(pool.map(lambda _: shared_engine(data_dir, threads=1), range(16)))
    assert len({id(engine) for engine in engines}) == 1
    assert shared_engine(data_dir / ".." / data_dir.name, threads=1) is engines[0]
    assert shared_engine(data_dir, threads=1, weights=RewardWeights(qas=1.0)) is not engines[0]


def test_a_call_goes_before_configure_and_configure_before_the_environment(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REREC_DATA", str(data_dir))
    monkeypatch.setenv("REREC_THREADS", "3")
    assert shared_engine().threads == 3
    monkeypatch.setenv("REREC_DATA", "nowhere")
    configure(data_dir, threads=2, weights={"ndcg": 2.0}, answer="first")
    engine = shared_engine()
    assert (engine.threads, engine.weights, engine.answer) == (2, RewardWeights(ndcg=2.0), "first")
    assert shared_engine(threads=1, answer="last").threads == 1
    configure()
    with pytest.raises(UserError, match="nowhere"):
        shared_engine()


@pytest.mark.parametrize(
    ("options", "environment", "message"),
    [
        ({}, {}, "set REREC_DATA"),
        ({"data_dir": "missing"}, {}, "missing: no such dataset directory"),
        ({"weights": {"ndgc": 1.0}, "data_dir": "x"}, {}, "weights: .*ndgc"),
        ({"data_dir": "x"}, {"REREC_THREADS": "two"}, "REREC_THREADS .* 'two'"),
    ],
)
def test_what_is_missing_is_named(
    options: dict[str, Any], environment: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=message):
        shared_engine(**options)
    assert shared._engines == {}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (None, None),
        ({}, None),
        ({"candidates": [], "candidate_ids": []}, None),
        ({"candidates": None, "candidate_ids": np.array([3, 1])}, [3, 1]),
        ({"candidates": np.array(["Heat (1995)"], dtype=object), "candidate_ids": [0]}, ["Heat (1995)"]),
    ],
    ids=str,
)
def test_candidates_of_a_row(row: dict[str, Any] | None, expected: list[Any] | None) -> None:
    assert candidates_of(row) == expected


@pytest.mark.parametrize(
    ("extra", "expected"),
    [(None, "row 7"), ({"index": 0}, "row 0"), ({"id": "q4", "index": 0}, "row q4"), ({"id": None}, "row 7")],
    ids=str,
)
def test_row_names(extra: dict[str, Any] | None, expected: str) -> None:
    assert row_name(extra, 7) == expected


@pytest.mark.parametrize(
    ("truth", "candidates", "reason"),
    [
        ("Hamlet", None, "'Hamlet' fits several items"),
        ("Casablanca", None, "'Casablanca' is not in the catalogue"),
        (None, None, "got None"),
        ([], None, "empty"),
        (17, None, "outside the catalogue"),
        ("Heat", ["Casablanca"], r"candidates\[1\].*'Casablanca' is not in the catalogue"),
    ],
)
def test_the_error_of_a_row_names_it(engine: RewardEngine, truth: object, candidates: object, reason: str) -> None:
    with pytest.raises(UserError, match=rf"^row b: .*{reason}"):
        score_rows(engine, ["", ""], ["Heat", truth], [None, candidates], ["row a", "row b"])


def test_titles_ids_lists_and_arrays_are_the_same_ground_truth(engine: RewardEngine) -> None:
    truths = ["Alien (1979)", 4, np.int64(4), ["Alien (1979)"], np.array([4]), np.array(["Alien (1979)"], dtype=object)]
    rows = [f"row {i}" for i in range(len(truths))]
    scores = score_rows(engine, ["\\boxed{Alien (1979)}"] * len(truths), truths, [None] * len(truths), rows)
    assert scores.hit.tolist() == [1] * len(truths)
