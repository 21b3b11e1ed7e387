"""Head, middle and tail by the log."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.metrics.ranking.popularity import Popularity


def log(taken: list[int]) -> sp.csr_matrix:
    """So many users take each item."""
    return sp.csr_matrix((np.arange(max([*taken, 1]))[:, None] < np.array(taken)).astype(np.float32))


@pytest.mark.parametrize(
    ("taken", "group"),
    [
        ([9], [0]),
        ([5, 4, 3, 2, 1, 0], [0, 1, 1, 2, 2, 2]),  # of 15, what more popular ones hold: 0, 5, 9, 12, 14
        ([2, 2, 2], [0, 0, 0]),  # equally popular: none is torn off
        ([0, 0], [2, 2]),
        ([1, 8, 0, 1], [2, 0, 2, 2]),
    ],
)
def test_groups_hold_a_third_of_the_log_each(taken: list[int], group: list[int]) -> None:
    found = Popularity.of(log(taken))
    assert found.taken.tolist() == taken
    assert found.group.tolist() == group
    assert found.users == max(taken)
    assert found.known == any(taken)


def test_weights_and_idle_users_do_not_count() -> None:
    found = Popularity.of(sp.csr_matrix([[7.0, 0], [0, 0], [1, 2]]))
    assert (found.taken.tolist(), found.users) == ([2, 1], 2)


def test_a_query_has_the_group_of_its_most_popular_right_item() -> None:
    found = Popularity.of(log([5, 4, 3, 2, 1, 0]))
    assert [found.group_of(truth) for truth in ((5, 0), (2,), (4, 3), (4, 2))] == ["head", "middle", "tail", "middle"]


@given(st.lists(st.integers(0, 20), min_size=1, max_size=30))
def test_who_is_more_popular_is_never_further_down(taken: list[int]) -> None:
    group = Popularity.of(log(taken)).group
    for a, one in enumerate(taken):
        for b, other in enumerate(taken):
            assert one <= other or group[a] <= group[b]
            assert one != other or group[a] == group[b]
            assert one > 0 or group[a] == 2
