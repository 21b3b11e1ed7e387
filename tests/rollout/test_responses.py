"""What has been drawn, and who leaves when."""

from __future__ import annotations

import pytest
import torch

from rerec_engine.rollout.responses import SETTLE_EVERY, Responses

END = 9


def put(responses, *tokens):
    responses.put(torch.tensor(tokens), -torch.tensor(tokens, dtype=torch.float32))


@pytest.mark.parametrize("eager", [True, False])
def test_rows_that_join_later_have_tokens_of_their_own(eager):
    responses = Responses(2, 2, 3, (END,), torch.device("cpu"), eager)
    responses.join([1])
    put(responses, 5, END)
    going = responses.settle()
    assert (going.tolist() if eager else going) == ([0] if eager else None)
    responses.join([0])
    assert dict(responses.decoded()) == {0: 2, 1: 1 if eager else 2}
    put(responses, *([6, 7, 8] if eager else [6, 1, 7, 8]))
    responses.settle()
    put(responses, *([2, END, 8] if eager else [2, 1, END, 8]))
    assert responses.longest == 3
    assert responses.settle().tolist() == ([2] if eager else [3])
    put(responses, 4)
    assert responses.settle().tolist() == []
    assert responses.finished == 4
    found = [(r.token_ids, r.finish) for r in responses.records(7)]
    assert found == [([7, END], "stop"), ([8, 8, 4], "length"), ([5, 6, 2], "length"), ([END], "stop")]
    assert [r.logprobs for r in responses.records(7)] == [[-x for x in tokens] for tokens, _ in found]


def test_the_lazy_leave_together():
    responses = Responses(1, 20, 50, (END,), torch.device("cpu"), eager=False)
    responses.join([0])
    left = []
    for t in range(2 * SETTLE_EVERY):
        put(responses, *[END if i == t else 1 for i in range(len(responses.alive))])
        going = responses.settle()
        left.append(None if going is None else len(going))
    assert left == [None] * (SETTLE_EVERY - 1) + [20 - SETTLE_EVERY] + [None] * (SETTLE_EVERY - 1) + [8]
