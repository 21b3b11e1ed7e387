"""Every estimator against a plain loop in float64; constant groups, the outcome gate, bad rewards."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.config import AdvantageConfig
from rerec_engine.ops import expand_segments, segment_advantage
from rerec_engine.training.advantage import gae, token_advantages
from rerec_engine.training.entries import ListEntries

LENGTHS = np.array([4, 1, 6, 0, 3, 5, 2])
CU = np.concatenate([[0], np.cumsum(LENGTHS)])
GROUP = np.array([0, 0, 0, 1, 1, 1, 4])
REWARDS = np.array([1.11, 0.1, -0.55, 0.3, 0.25, 1.0, 0.7], dtype=np.float32)
ESTIMATORS = ("raae", "rank", "grpo", "dr_grpo", "rloo", "reinforce_pp", "gae")
OWNER = np.repeat(np.arange(len(LENGTHS)), LENGTHS)


LISTED = np.array([2, 0, 3, 0, 1, 1, 1])
"""Entries of each response: some have one, and some several tokens; the last response of the second group is alone at
its second place, and the third group has one response."""
PLACES = np.array([0, -1, 1, 1, -1, -1, 0, 0, -1, 1, 2, 0, -1, -1, 0, 0, 0, -1, -1, 0, -1], dtype=np.int32)
ENTRY_REWARDS = np.array([1.0, -0.1, 0.0, 0.63, 0.5, 0.2, -0.1, 0.5], dtype=np.float32)


def entries(rewards: np.ndarray = ENTRY_REWARDS) -> ListEntries:
    bounds = np.concatenate([[0], np.cumsum(LISTED)])
    return ListEntries(*(torch.from_numpy(x) for x in (PLACES, rewards, bounds)))


def token_rewards(rewards: np.ndarray = REWARDS) -> np.ndarray:
    tokens = rewards[OWNER].astype(np.float32)
    return np.where(np.arange(len(tokens)) % 4 == 1, tokens - 0.3 * np.abs(tokens), tokens).astype(np.float32)


def compute(estimator: str, rewards: np.ndarray = REWARDS, **more: Any) -> tuple[np.ndarray, Any]:
    options = {k: more.pop(k) for k in ("outcome_gate", "gae_gamma", "gae_lambda") if k in more}
    if estimator == "gae":
        more.setdefault("values", np.linspace(-1, 1, CU[-1], dtype=np.float32))
    if estimator == "rank":
        more.setdefault("entries", entries())
    tokens = more.pop("tokens") if "tokens" in more else token_rewards(rewards)
    found = token_advantages(tokens, rewards, CU, GROUP, AdvantageConfig(estimator=estimator, **options), **more)
    assert found.advantages.dtype == torch.float32
    assert found.advantages.shape == (CU[-1],)
    return found.advantages.numpy(), found.returns


def loop_gae(rewards: np.ndarray, values: np.ndarray, cu: np.ndarray, gamma: float, lam: float) -> np.ndarray:
    out = np.zeros(len(values))
    for start, end in pairwise(cu):
        running = 0.0
        for t in range(end - 1, start - 1, -1):
            following = values[t + 1] if t + 1 < end else 0.0
            running = rewards[t] + gamma * following - values[t] + gamma * lam * running
            out[t] = running
    return out


def terminal(kl: np.ndarray | None = None) -> np.ndarray:
    tokens = np.zeros(CU[-1]) if kl is None else -kl.astype(np.float64)
    for i, n in enumerate(LENGTHS):
        if n:
            tokens[CU[i + 1] - 1] += REWARDS[i]
    return tokens


def whitened(x: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / x.std()


def test_raae() -> None:
    tokens = token_rewards().astype(np.float64)
    expected = np.zeros(CU[-1])
    for g in set(GROUP):
        own = GROUP[OWNER] == g
        if len(set(tokens[own])) > 1:
            expected[own] = (tokens[own] - tokens[own].mean()) / tokens[own].std()
    assert 0 < np.count_nonzero(expected) < len(expected)
    np.testing.assert_allclose(compute("raae")[0], expected, atol=1e-6)


def test_rank() -> None:
    """At the tokens of entries the entry's against the same place of the group; raae's over the others."""
    tokens, start = token_rewards().astype(np.float64), np.concatenate([[0], np.cumsum(LISTED)])
    expected = np.zeros(CU[-1])
    for g in set(GROUP):
        own = (GROUP[OWNER] == g) & (PLACES < 0)
        if len(set(tokens[own])) > 1:
            expected[own] = (tokens[own] - tokens[own].mean()) / tokens[own].std()
    for t, place in enumerate(PLACES):
        if place < 0:
            continue
        group = np.flatnonzero(GROUP[OWNER[t]] == GROUP)
        column = np.array([ENTRY_REWARDS[start[i] + place] if place < LISTED[i] else 0.0 for i in group])
        own = ENTRY_REWARDS[start[OWNER[t]] + place]
        expected[t] = (own - column.mean()) / (column.std(ddof=1) + 1e-6) if len(set(column)) > 1 else 0.0
    found = compute("rank")[0]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(found - compute("raae")[0]).max() > 0.1


def test_rank_without_a_list_is_raae() -> None:
    none = ListEntries(torch.full((CU[-1],), -1), torch.zeros(0), torch.zeros(len(LENGTHS) + 1, dtype=torch.long))
    np.testing.assert_array_equal(compute("rank", entries=none)[0], compute("raae")[0])


def test_rank_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="estimator rank needs entries, got None"):
        compute("rank", entries=None)
    with pytest.raises(ValueError, match=r"entries must be of_token \[T\]"):
        compute("rank", entries=entries()._replace(of_token=torch.zeros(3)))
    with pytest.raises(ValueError, match="reward of entry 2 must be finite, got nan"):
        compute("rank", entries=entries(np.where(np.arange(8) == 2, np.nan, ENTRY_REWARDS).astype(np.float32)))


def test_raae_equals_segment_advantage() -> None:
    lengths = torch.tensor([3, 1, 1, 2, 4, 3, 1, 1, 3, 2])
    cu_segments = torch.tensor([0, 2, 3, 5, 5, 6, 9, 10])
    penalised = torch.tensor([True, False, False, True, False, True, False, True, False, False])
    segments = segment_advantage(lengths, penalised, cu_segments, torch.tensor(REWARDS), torch.tensor(GROUP))
    value = np.repeat(REWARDS, np.diff(cu_segments)).astype(np.float32)
    value = np.where(penalised, value - 0.3 * np.abs(value), value).astype(np.float32)
    found, _ = compute("raae", tokens=np.repeat(value, lengths))
    np.testing.assert_allclose(found, expand_segments(segments, lengths).numpy(), atol=2e-6)


def test_response_level_estimators() -> None:
    for estimator in ("grpo", "dr_grpo", "rloo"):
        expected = np.zeros(len(REWARDS))
        for i, reward in enumerate(REWARDS.astype(np.float64)):
            own = REWARDS[GROUP[i] == GROUP].astype(np.float64)
            others = np.delete(own, np.flatnonzero(np.flatnonzero(GROUP[i] == GROUP) == i))
            if len(own) > 1:
                expected[i] = {
                    "grpo": (reward - own.mean()) / (own.std(ddof=1) + 1e-6),
                    "dr_grpo": reward - own.mean(),
                    "rloo": reward - others.mean(),
                }[estimator]
        np.testing.assert_allclose(compute(estimator)[0], expected[OWNER], atol=1e-6, err_msg=estimator)


@pytest.mark.parametrize("with_kl", [False, True])
def test_reinforce_pp(with_kl: bool) -> None:
    kl = np.random.default_rng(0).uniform(0, 0.1, CU[-1]) if with_kl else None
    expected = REWARDS[OWNER].astype(np.float64)
    for t in range(CU[-1]) if kl is not None else ():
        expected[t] -= kl[t : CU[OWNER[t] + 1]].sum()
    np.testing.assert_allclose(compute("reinforce_pp", kl=kl)[0], whitened(expected), atol=1e-6)


@pytest.mark.parametrize("gamma, lam", [(1.0, 0.95), (0.9, 0.5), (1.0, 1.0), (0.99, 0.0)])
@pytest.mark.parametrize("with_kl", [False, True])
def test_gae(gamma: float, lam: float, with_kl: bool) -> None:
    values = np.random.default_rng(1).normal(size=CU[-1]).astype(np.float32)
    kl = np.random.default_rng(2).uniform(0, 0.1, CU[-1]) if with_kl else None
    expected = loop_gae(terminal(kl), values, CU, gamma, lam)
    found, returns = compute("gae", values=values, kl=kl, gae_gamma=gamma, gae_lambda=lam)
    np.testing.assert_allclose(found, whitened(expected), atol=1e-5)
    np.testing.assert_allclose(returns.numpy(), expected + values, atol=1e-5)
    assert returns.dtype == torch.float32


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=6),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 2**32 - 1),
)
def test_gae_by_doubling_equals_the_recursion(lengths: list[int], gamma: float, lam: float, seed: int) -> None:
    cu = np.concatenate([[0], np.cumsum(lengths)])
    g = np.random.default_rng(seed)
    rewards, values = g.normal(size=cu[-1]), g.normal(size=cu[-1])
    ours = gae(torch.tensor(rewards), torch.tensor(values), torch.tensor(cu), gamma, lam)
    np.testing.assert_allclose(ours.numpy(), loop_gae(rewards, values, cu, gamma, lam), atol=1e-11)


@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=4), st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**32 - 1)
)
def test_gae_equals_its_definition(lengths: list[int], gamma: float, lam: float, seed: int) -> None:
    """A sum over all later errors for each token; and with lambda 1 the discounted return less the value."""
    cu = np.concatenate([[0], np.cumsum(lengths)])
    g = np.random.default_rng(seed)
    rewards, values = g.normal(size=cu[-1]), g.normal(size=cu[-1])
    tensors = (torch.tensor(rewards), torch.tensor(values), torch.tensor(cu))
    summed, returned = np.zeros(cu[-1]), np.zeros(cu[-1])
    for start, end in pairwise(cu):
        following = np.append(values[start + 1 : end], 0.0)
        error = rewards[start:end] + gamma * following[: end - start] - values[start:end]
        for t in range(start, end):
            summed[t] = sum((gamma * lam) ** (u - t) * error[u - start] for u in range(t, end))
            returned[t] = sum(gamma ** (u - t) * rewards[u] for u in range(t, end)) - values[t]
    np.testing.assert_allclose(gae(*tensors, gamma, lam).numpy(), summed, atol=1e-11)
    np.testing.assert_allclose(gae(*tensors, gamma, 1.0).numpy(), returned, atol=1e-11)


def test_only_gae_has_returns() -> None:
    assert {e for e in ESTIMATORS if compute(e)[1] is not None} == {"gae"}


@pytest.mark.parametrize("estimator", ["raae", "grpo", "dr_grpo", "rloo", "reinforce_pp"])
@pytest.mark.parametrize("reward", [0.0, 0.1 + 0.0123, -0.55])
def test_constant_rewards_give_exactly_zero(estimator: str, reward: float) -> None:
    rewards = np.full(len(LENGTHS), reward, dtype=np.float32)
    assert not compute(estimator, rewards, tokens=rewards[OWNER])[0].any()


def test_groups_do_not_touch_each_other() -> None:
    other = np.where(GROUP == 1, REWARDS * 7, REWARDS).astype(np.float32)
    for estimator in ("raae", "grpo", "dr_grpo", "rloo"):
        same = GROUP[OWNER] != 1
        np.testing.assert_array_equal(compute(estimator)[0][same], compute(estimator, other)[0][same])


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_outcome_gate_silences_groups_without_a_hit(estimator: str) -> None:
    hits = np.array([0, 1, 0, 0, 0, 0, 0], dtype=bool)
    gated, _ = compute(estimator, outcome_gate=True, hits=hits)
    free, _ = compute(estimator, hits=hits)
    live = GROUP[OWNER] == 0
    assert not gated[~live].any()
    assert free[~live].any()
    np.testing.assert_array_equal(gated[live], free[live])


def test_torch_and_numpy_agree() -> None:
    config = AdvantageConfig()
    a = token_advantages(token_rewards(), REWARDS, CU, GROUP, config).advantages
    tensors = (torch.tensor(x) for x in (token_rewards(), REWARDS, CU, GROUP))
    assert torch.equal(a, token_advantages(*tensors, config).advantages)


def test_no_response_at_all() -> None:
    none = np.zeros(0)
    for estimator in ESTIMATORS:
        config = AdvantageConfig(estimator=estimator, outcome_gate=True)
        more = {"hits": none, "values": none, "entries": ListEntries(*torch.zeros(2, 0), torch.zeros(1).long())}
        found = token_advantages(none, none, np.zeros(1, int), none.astype(int), config, **more)
        assert found.advantages.shape == (0,)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_reward_names_the_response(bad: float) -> None:
    rewards, tokens = REWARDS.copy(), token_rewards()
    rewards[4] = bad
    with pytest.raises(ValueError, match="reward of response 4 must be finite"):
        compute("grpo", rewards, tokens=None)
    tokens[CU[5]] = bad
    with pytest.raises(ValueError, match="token_rewards of response 5 must be finite"):
        compute("raae", tokens=tokens)


@pytest.mark.parametrize(
    "estimator, more, message",
    [
        ("raae", {"tokens": None}, "raae needs token_rewards"),
        ("raae", {"tokens": np.zeros(3)}, "token_rewards must be \\[T\\]"),
        ("gae", {"values": None}, "gae needs values"),
        ("grpo", {"outcome_gate": True}, "needs hits"),
        ("grpo", {"outcome_gate": True, "hits": np.ones(2)}, "hits must be \\[B\\]"),
        ("grpo", {"kl": np.zeros(CU[-1])}, "takes no kl"),
        ("grpo", {"rewards": np.zeros(3)}, "must fit"),
        ("grpo", {"rewards": np.zeros((7, 1))}, "one dimension"),
    ],
)
def test_bad_input(estimator: str, more: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compute(estimator, **{"tokens": None} | more)
