"""segment_advantage against a token-by-token float64 oracle; constant, empty and single-response groups."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.ops import expand_segments, segment_advantage

pytestmark = pytest.mark.usefixtures("each_implementation")

REWARDS = st.sampled_from([-0.55, -0.05, 0.1, 0.1234567, 1.1, 1.1, 1.12])


def oracle(lengths: list[list[int]], bad: list[list[bool]], rewards: list[float], group: list[int], w: float) -> list:
    """Advantages per token, by expanding every token; None where a group's token rewards are constant."""
    tokens = [
        (g, np.float32(r) - w * abs(np.float64(np.float32(r))) if b else np.float64(np.float32(r)))
        for ls, bs, r, g in zip(lengths, bad, rewards, group, strict=True)
        for n, b in zip(ls, bs, strict=True)
        for _ in range(n)
    ]
    out = []
    for g, value in tokens:
        peers = np.array([v for h, v in tokens if h == g])
        out.append(0.0 if peers.min() == peers.max() else (value - peers.mean()) / peers.std())
    return out


def pack(lengths: list[list[int]], bad: list[list[bool]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    flat = [n for ls in lengths for n in ls]
    return (
        torch.tensor(flat, dtype=torch.int64),
        torch.tensor([b for bs in bad for b in bs], dtype=torch.bool),
        torch.tensor(np.cumsum([0] + [len(ls) for ls in lengths])),
    )


@pytest.mark.slow
@given(st.data())
def test_raae_equals_token_by_token(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 7))
    lengths = data.draw(st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=count, max_size=count))
    bad = [data.draw(st.lists(st.booleans(), min_size=len(ls), max_size=len(ls))) for ls in lengths]
    rewards = data.draw(st.lists(REWARDS, min_size=count, max_size=count))
    group = data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))  # ids may be absent or scattered
    w = data.draw(st.sampled_from([0.0, 0.3, 1.0]))
    n, penalised, cu = pack(lengths, bad)
    ours = segment_advantage(n, penalised, cu, torch.tensor(rewards), torch.tensor(group), w_penalty=w)
    assert ours.dtype == torch.float32
    tokens = expand_segments(ours, n)
    expected = oracle(lengths, bad, rewards, group, w)
    np.testing.assert_allclose(tokens.numpy(), expected, atol=3e-6, rtol=1e-6)
    assert all(a == 0 for a, b in zip(tokens.tolist(), expected, strict=True) if b == 0.0)


def test_a_group_constant_in_its_tokens_is_exactly_zero() -> None:
    lengths = torch.tensor([7, 0, 13, 5])  # the only differing segment has no token
    penalised = torch.tensor([False, True, False, False])
    ours = segment_advantage(
        lengths, penalised, torch.tensor([0, 2, 3, 4]), torch.full((3,), 1.1), torch.zeros(3).long()
    )
    assert torch.equal(ours, torch.zeros(4))


def test_large_constant_groups_are_exactly_zero_and_large_ones_exact() -> None:
    g = torch.Generator().manual_seed(0)
    segments, responses = 60_000, 10_000
    lengths = torch.randint(1, 200, (segments,), generator=g)
    penalised = torch.rand(segments, generator=g) < 0.3
    cu = torch.arange(0, segments + 1, 6)
    group = torch.arange(responses) // 100
    rewards = torch.rand(responses, generator=g)
    rewards[group % 2 == 0] = 0.1 + 0.0123
    ours = segment_advantage(lengths, penalised, cu, rewards, group, w_penalty=0.0)
    constant = (group % 2 == 0).repeat_interleave(6)
    assert not ours[constant].any()
    weight, member = lengths.double(), group.repeat_interleave(6)
    for g_id in (1, 99):
        own = member == g_id
        value, w = rewards.double().repeat_interleave(6)[own], weight[own]
        mean = (w * value).sum() / w.sum()
        std = ((w * (value - mean) ** 2).sum() / w.sum()).sqrt()
        torch.testing.assert_close(ours[own].double(), (value - mean) / std, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    "estimator, expected",
    [
        ("grpo", [1.1547, -0.57735, -0.57735, 0.0, 0.0, 0.0]),
        ("dr_grpo", [2 / 3, -1 / 3, -1 / 3, 0.0, 0.0, 0.0]),
        ("rloo", [1.0, -0.5, -0.5, 0.0, 0.0, 0.0]),
    ],
)
def test_response_level_estimators(estimator: str, expected: list[float]) -> None:
    rewards = torch.tensor([1.1, 0.1, 0.1, 0.7, 0.3, 0.3])
    group = torch.tensor([0, 0, 0, 5, 2, 2])  # group 5 has a single response, group 2 constant rewards
    ours = segment_advantage(
        torch.tensor([3, 1, 4, 1, 5, 9]), torch.ones(6).bool(), torch.arange(7), rewards, group, estimator=estimator
    )
    torch.testing.assert_close(ours, torch.tensor(expected), atol=1e-5, rtol=0)
    assert not ours[3:].any()


def test_expand_segments() -> None:
    assert expand_segments(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2, 0, 1])).tolist() == [1.0, 1.0, 3.0]


def test_no_response_at_all() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    assert segment_advantage(none, none.bool(), torch.zeros(1).long(), torch.zeros(0), none).shape == (0,)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"rewards": torch.tensor([0.0, torch.nan])}, "response 1"),
        ({"segment_lengths": torch.tensor([3, -1])}, "negative"),
        ({"group": torch.tensor([0, -1])}, "negative"),
        ({"cu_segments": torch.tensor([0, 2, 1])}, "cu_segments"),
        ({"cu_segments": torch.tensor([0, 1])}, "must fit"),
        ({"segment_penalised": torch.zeros(3).bool()}, "must be \\[S\\]"),
        ({"estimator": "best"}, "estimator"),
    ],
)
def test_bad_input(change: dict, message: str) -> None:
    arguments = {
        "segment_lengths": torch.tensor([3, 1]),
        "segment_penalised": torch.zeros(2).bool(),
        "cu_segments": torch.tensor([0, 1, 2]),
        "rewards": torch.zeros(2),
        "group": torch.zeros(2).long(),
    }
    with pytest.raises(ValueError, match=message):
        segment_advantage(**arguments | change)
