"""The BPR sampler against brute force: what may be drawn, how often, and that a seed fixes it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.stats import chisquare

from rerec_engine.graph.bpr import BprSampler

met_matrices = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=9))  # [U, N]


def sampler_of(met: np.ndarray, seed: int = 0) -> BprSampler:
    return BprSampler(sp.csr_array(met.astype(np.float32)), seed)


@given(met=met_matrices, seed=st.integers(0, 2**32))
def test_an_epoch_holds_every_usable_interaction_once_with_an_unmet_negative(met: np.ndarray, seed: int) -> None:
    sampler = sampler_of(met, seed)
    users, positives, negatives = sampler.epoch()
    assert not met[users, negatives].any()
    expected = {(u, i) for u, i in zip(*np.nonzero(met), strict=True) if not met[u].all()}
    drawn = list(zip(users.tolist(), positives.tolist(), strict=True))
    assert len(drawn) == len(set(drawn)) == len(sampler)
    assert set(drawn) == expected


@given(met=met_matrices, seed=st.integers(0, 2**32))
def test_the_same_seed_draws_the_same_epochs(met: np.ndarray, seed: int) -> None:
    one, two = sampler_of(met, seed), sampler_of(met, seed)
    for _ in range(2):
        for left, right in zip(one.epoch(), two.epoch(), strict=True):
            np.testing.assert_array_equal(left, right)


def test_seeds_and_epochs_differ() -> None:
    met = np.random.default_rng(0).random((20, 30)) < 0.3
    sampler = sampler_of(met, seed=1)
    first, second = sampler.epoch(), sampler.epoch()
    other = sampler_of(met, seed=2).epoch()
    for left, right in ((first, second), (first, other)):
        assert (left.positives != right.positives).any()
        assert (left.negatives != right.negatives).any()


@pytest.mark.parametrize(
    "row",
    [[1, 1, 0, 0, 1, 0, 0, 1], [0, 1, 0, 1, 1, 1, 1, 0], [1, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0]],
    ids=["mixed", "ends-unmet", "starts-met", "nothing-met"],
)
def test_negatives_are_uniform_over_the_unmet_items(row: list[int]) -> None:
    met = np.array([[1] * 8, row], dtype=bool)  # the first user shifts the second one's row inside the CSR arrays
    draws = sampler_of(met, seed=3).negatives(np.full(40_000, 1))
    counts = np.bincount(draws, minlength=8)
    assert counts[met[1]].sum() == 0
    assert chisquare(counts[~met[1]]).pvalue > 1e-3


def test_a_user_with_a_single_unmet_item_always_gets_it() -> None:
    met = np.ones((1, 1000), dtype=bool)
    met[0, 617] = False
    assert set(sampler_of(met).negatives(np.zeros(50, dtype=np.int64))) == {617}


def test_a_user_who_met_everything_is_left_out() -> None:
    sampler = sampler_of(np.array([[1, 1], [1, 0]], dtype=bool))
    assert [array.tolist() for array in sampler.epoch()] == [[1], [0], [1]]
    with pytest.raises(ValueError, match="user 0 has met every item"):
        sampler.negatives(np.array([1, 0]))


def test_unsorted_columns_are_refused() -> None:
    unsorted = sp.csr_array((np.ones(2, np.float32), np.array([1, 0]), np.array([0, 2])), shape=(1, 3))
    with pytest.raises(ValueError, match="sorted, unique"):
        BprSampler(unsorted)


def test_a_read_only_installation_draws_and_writes_nothing(tmp_path: Path) -> None:
    source = Path(sys.modules[BprSampler.__module__].__file__ or "")
    home = tmp_path / "home"
    package = tmp_path / "package"
    for folder in (home, package):
        folder.mkdir()
    (package / "sampler.py").write_text(source.read_text())
    program = (
        "import numpy as np, scipy.sparse as sp; from sampler import BprSampler;"
        "print(BprSampler(sp.csr_array(np.array([[1., 0.]], np.float32))).epoch().negatives)"
    )
    for folder in (home, package):
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "XDG_"))}
    environment |= {"HOME": str(home), "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    left = [path.name for folder in (home, package) for path in folder.rglob("*")]
    for folder in (home, package):
        folder.chmod(stat.S_IRWXU)
    assert result.stdout.strip() == "[1]", result.stderr
    assert left == ["sampler.py"]
