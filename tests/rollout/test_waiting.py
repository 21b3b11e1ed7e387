"""What is read when: room for rows and bytes, pieces, like lengths together."""

from __future__ import annotations

import pytest

from rerec_engine.rollout.waiting import PADDED, Waiting, common_beginning


def waiting(lengths, n=1, rows=100, room=10**9):
    """A token of a prompt or of a response (ten each) is a byte."""
    return Waiting([[0] * length for length in lengths], n, lambda prompt, count: prompt + 10 * count, rows, room)


def test_shortest_first_in_pieces():
    wait = waiting([5, 3, 9, 3, 4])
    assert wait.take({}, 8) == [[1, 3], [4], [0], [2]]
    assert not wait


def test_a_prompt_longer_than_a_piece_is_one():
    assert waiting([50, 60]).take({}, 8) == [[0], [1]]


@pytest.mark.parametrize(
    ("options", "first"),
    [({"rows": 5, "n": 2}, 2), ({"rows": 1, "n": 2}, 1), ({"room": 30}, 2), ({"room": 1}, 1), ({"room": 45}, 3)],
    ids=str,
)
def test_as_many_as_there_is_room_for_and_one_at_least(options, first):
    wait = waiting([5, 5, 5, 5], **options)
    assert sum(map(len, wait.take({}, 100))) == first
    assert len(wait.places) == 4 - first


def test_what_is_decoded_takes_room_and_less_than_a_piece_waits_for_more():
    wait = waiting([5] * 6, rows=4)
    assert wait.take({}, 10) == [[0, 1], [2, 3]]
    assert wait.take({0: 1, 1: 1, 2: 1}, 10) == []
    assert wait.take({1: 1, 2: 1}, 10) == [[4, 5]]
    wait = waiting([5] * 3, n=2, rows=4)
    assert wait.take({}, 10) == [[0, 1]]
    assert wait.take({0: 1, 1: 1}, 10) == [[2]], "the last one waits for no other"


def test_read_at_once_they_are_padded_to_the_longest():
    wait = waiting([3, 5, 4], n=2, room=2 * 5 + 100)
    assert wait.take_whole(one_length=False) == [0, 2, 1]
    wait = waiting([PADDED, PADDED, 1, 1])
    assert [wait.take_whole(one_length=False) for _ in range(3)] == [[2, 3], [0], [1]]
    wait = waiting([3, 5, 3])
    assert [wait.take_whole(one_length=True) for _ in range(2)] == [[0, 2], [1]]


def test_common_beginnings_end_between_blocks_and_leave_a_token():
    same = list(range(40))
    assert common_beginning([[*same, 1, 2], [*same, 3]]) == 32
    assert common_beginning([same[:33], same]) == 32
    assert common_beginning([same[:32], same]) == 0, "a pass for 16 tokens is not worth it"
    assert common_beginning([same]) == 0
    assert common_beginning([[1, *same], [2, *same]]) == 0
