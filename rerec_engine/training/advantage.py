"""Advantages of a step's response tokens, by the estimator that `AdvantageConfig` names.

`docs/method.md` gives the equations and their sources. All statistics are float64 and vectorised.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from rerec_engine.config import AdvantageConfig, Config
from rerec_engine.ops.groups import group_advantage, standardise
from rerec_engine.training.batches import ForwardPasses, ScoredBatch, TrainingBatch
from rerec_engine.training.entries import ListEntries
from rerec_engine.training.importance import truncated_weights
from rerec_engine.training.loss import kl_penalty

Array = np.ndarray | torch.Tensor


class Advantages(NamedTuple):
    """What `token_advantages` returns."""

    advantages: torch.Tensor  # [T] float32
    returns: torch.Tensor | None  # [T] float32, the critic's targets; gae only


def with_advantages(batch: ScoredBatch, passes: ForwardPasses, config: Config) -> TrainingBatch:
    """The batch with the advantages of all response tokens, by the estimator that the settings name."""
    drawn = batch.rollout_logprobs
    old = drawn if passes.own_logprobs is None else passes.own_logprobs.cpu()
    kl = None
    if passes.ref_logprobs is not None and config.loss.kl_in == "reward":
        kl = kl_penalty(old, passes.ref_logprobs.cpu(), config.loss)
    found = token_advantages(
        batch.token_rewards if config.advantage.estimator in ("raae", "rank") else None,
        batch.scores["reward"],
        batch.cu_seqlens,
        batch.group,
        config.advantage,
        hits=batch.scores["hit"],
        values=None if passes.values is None else passes.values.cpu(),
        kl=kl,
        entries=batch.entries,
    )
    advantages = found.advantages
    if config.loss.importance_cap:
        advantages = advantages * truncated_weights(old, drawn, config.loss.importance_cap)
    return TrainingBatch(
        **vars(batch),
        advantages=advantages,
        old_logprobs=old,
        ref_logprobs=passes.ref_logprobs,
        values=passes.values,
        returns=found.returns,
    )


def token_advantages(
    token_rewards: Array | None,  # [T]
    rewards: Array,  # [B]
    cu_seqlens: Array,  # [B + 1] int
    group: Array,  # [B] int
    config: AdvantageConfig,
    *,
    hits: Array | None = None,  # [B] bool
    values: Array | None = None,  # [T]
    kl: Array | None = None,  # [T]
    entries: ListEntries | None = None,
) -> Advantages:
    """Advantage of every token of B packed responses; response i owns tokens cu_seqlens[i]:cu_seqlens[i + 1].

    | estimator | advantage |
    |---|---|
    | raae | (token reward - mean) / population std over all response tokens of the group |
    | rank | of a token of an entry (entry's reward - mean) / (sample std + 1e-6) over the same place of the group's
    answers, see `ops.groups.entry_advantage`; of any other token raae's, over such tokens |
    | grpo | (reward - mean) / (sample std + 1e-6) over the group's responses |
    | dr_grpo | reward - mean over the group's responses |
    | rloo | reward - mean of the group's other responses; 0 for a response without others |
    | reinforce_pp | (reward - KL still to come), normalised over all tokens of the batch |
    | gae | GAE(gamma, lambda) of `values`, reward at the last token, whitened over all tokens of the batch |

    The first five are exactly 0 in a group whose rewards are all equal, the last two where the whole batch's are.
    `token_rewards` are the penalised rewards of RAAE and used by raae and rank only (None elsewhere), `entries` by rank
    alone. `kl` is a penalty per
    token, already multiplied by its coefficient (`loss.kl_penalty`), for the two estimators that can have the KL in
    the reward (reinforce_pp, gae); leave it None where the loss has the KL term. `hits` (is the answer right) is
    needed with `config.outcome_gate`: a group without a hit then gets 0 after all else, so batch statistics still
    count it.

    Raises ValueError for shapes that do not fit, a missing input, and NaN or infinity, naming the response.
    """
    reward = _tensor(rewards, "rewards").double()  # [B]
    bounds = _tensor(cu_seqlens, "cu_seqlens").to(reward.device).long()
    groups = _tensor(group, "group").to(reward.device).long()
    if bounds.shape != (reward.numel() + 1,) or groups.shape != reward.shape:
        raise ValueError(
            f"rewards [B], group [B] and cu_seqlens [B + 1] must fit, got {list(reward.shape)}, {list(groups.shape)} "
            f"and {list(bounds.shape)}"
        )
    lengths = bounds.diff()
    if int(bounds[0]) != 0 or bool((lengths < 0).any()) or bool((groups < 0).any()):
        raise ValueError("cu_seqlens must rise from 0 and group ids be >= 0")
    owner = torch.arange(reward.numel(), device=reward.device).repeat_interleave(lengths)  # [T]
    _finite(reward, None, "reward")
    inputs = {
        name: _per_token(x, name, owner)
        for name, x in (("token_rewards", token_rewards), ("values", values), ("kl", kl))
    }
    if kl is not None and config.estimator not in ("reinforce_pp", "gae"):
        raise ValueError(
            f"advantage.estimator {config.estimator} takes no kl (loss.kl_in reward); only reinforce_pp and gae do"
        )
    returns = None
    if config.estimator == "raae":
        advantages = standardise(_needed(inputs, "token_rewards", config), torch.ones_like(owner), groups[owner])
    elif config.estimator == "rank":
        advantages = _by_rank(_needed(inputs, "token_rewards", config), entries, groups, owner)
    elif config.estimator == "reinforce_pp":
        advantages = whiten(_reward_to_go(reward, inputs["kl"], bounds, owner))
    elif config.estimator == "gae":
        terminal = _terminal(reward, inputs["kl"], bounds, owner)
        value = _needed(inputs, "values", config)
        advantages = gae(terminal, value, bounds, config.gae_gamma, config.gae_lambda)
        returns = (advantages + value).float()
        advantages = whiten(advantages)
    else:
        advantages = group_advantage(reward, groups, config.estimator)[owner]
    if config.outcome_gate:
        if hits is None:
            raise ValueError("advantage.outcome_gate needs hits, got None")
        advantages = torch.where(_group_hit(_tensor(hits, "hits").to(reward.device), groups)[owner], advantages, 0.0)
    return Advantages(advantages.float(), returns)


def _by_rank(
    token_rewards: torch.Tensor,  # [T]
    entries: ListEntries | None,
    groups: torch.Tensor,  # [B]
    owner: torch.Tensor,  # [T]
) -> torch.Tensor:
    """Those of the entries at their tokens, and RAAE's among all others, [T] float64."""
    if entries is None:
        raise ValueError("advantage.estimator rank needs entries, got None")
    of_token, rewards, cu_entries = (torch.as_tensor(x).to(owner.device) for x in entries)
    if of_token.shape != owner.shape or cu_entries.shape != (len(groups) + 1,) or len(rewards) != int(cu_entries[-1]):
        raise ValueError(
            f"entries must be of_token [T] = {list(owner.shape)}, rewards [E] and cu_entries [B + 1], got "
            f"{list(of_token.shape)}, {list(rewards.shape)} and {list(cu_entries.shape)}"
        )
    bad = (~rewards.isfinite()).nonzero()
    if bad.numel():
        raise ValueError(f"the reward of entry {int(bad[0])} must be finite, got {float(rewards[bad[0]])}")
    inside = of_token >= 0
    advantages = standardise(token_rewards, ~inside, groups[owner])
    if not len(rewards):
        return advantages
    of_entry = ListEntries(of_token, rewards, cu_entries).advantages(groups).to(advantages.dtype)  # [E]
    at = torch.where(inside, cu_entries[owner] + of_token.long(), 0)
    return torch.where(inside, of_entry[at], advantages)


def gae(
    token_rewards: torch.Tensor,  # [T]
    values: torch.Tensor,  # [T]
    cu_seqlens: torch.Tensor,  # [B + 1]
    gamma: float,
    lam: float,
) -> torch.Tensor:
    """A_t = sum_l (gamma lam)^l delta_{t+l} with delta_t = r_t + gamma V_{t+1} - V_t, [T] float64 (arXiv 1506.02438).

    The value after a response's last token is 0. The sum is built by doubling: after k rounds it covers 2^k tokens, so
    a batch costs log2(longest response) vectorised rounds.
    """
    lengths = cu_seqlens.diff()
    end = cu_seqlens[1:].repeat_interleave(lengths)  # [T], one past the response's last token
    position = torch.arange(values.numel(), device=values.device)
    value = values.double()
    following = torch.where(position + 1 < end, value.roll(-1), 0.0)
    total = token_rewards.double() + gamma * following - value
    reach, decay = 1, gamma * lam
    longest = int(lengths.max()) if lengths.numel() else 0
    while reach < longest:
        later = torch.where(position + reach < end, total.roll(-reach), 0.0)
        total = total + decay * later
        reach, decay = reach * 2, decay * decay
    return total


def whiten(x: torch.Tensor) -> torch.Tensor:
    """(x - mean) / population std over all elements, float64; exactly 0 where all are equal."""
    return standardise(x, torch.ones_like(x), torch.zeros_like(x, dtype=torch.long))


def _terminal(reward: torch.Tensor, kl: torch.Tensor | None, bounds: torch.Tensor, owner: torch.Tensor) -> torch.Tensor:
    """Rewards per token, [T]: the response's at its last token, minus the KL penalty at each."""
    tokens = reward.new_zeros(owner.numel()) if kl is None else -kl
    filled = bounds.diff() > 0
    return tokens.index_add(0, bounds[1:][filled] - 1, reward[filled])


def _reward_to_go(
    reward: torch.Tensor, kl: torch.Tensor | None, bounds: torch.Tensor, owner: torch.Tensor
) -> torch.Tensor:
    """r - sum_{i >= t} kl_i for every token (arXiv 2501.03262), [T]."""
    if kl is None:
        return reward[owner]
    before = torch.cat([kl.new_zeros(1), kl.cumsum(0)])  # [T + 1]
    return reward[owner] - (before[bounds[1:]][owner] - before[:-1])


def _group_hit(hits: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    """Whether the response's group has a hit, [B] bool."""
    if hits.shape != group.shape:
        raise ValueError(f"hits must be [B] = {list(group.shape)}, got {list(hits.shape)}")
    count = torch.zeros(int(group.max()) + 1 if group.numel() else 0, dtype=torch.long, device=group.device)
    return (count.index_add_(0, group, (hits > 0).long()) > 0)[group]


def _tensor(x: Array, name: str) -> torch.Tensor:
    tensor = torch.as_tensor(x).detach()
    if tensor.ndim != 1:
        raise ValueError(f"{name} must have one dimension, got {list(tensor.shape)}")
    return tensor


def _per_token(x: Array | None, name: str, owner: torch.Tensor) -> torch.Tensor | None:
    if x is None:
        return None
    tensor = _tensor(x, name).to(owner.device).double()
    if tensor.shape != owner.shape:
        raise ValueError(f"{name} must be [T] = {list(owner.shape)}, got {list(tensor.shape)}")
    _finite(tensor, owner, name)
    return tensor


def _finite(x: torch.Tensor, owner: torch.Tensor | None, name: str) -> None:
    bad = (~x.isfinite()).nonzero()
    if bad.numel():
        place = int(bad[0])
        response = place if owner is None else int(owner[place])
        raise ValueError(f"{name} of response {response} must be finite, got {float(x[place])}")


def _needed(inputs: dict[str, torch.Tensor | None], name: str, config: AdvantageConfig) -> torch.Tensor:
    tensor = inputs[name]
    if tensor is None:
        raise ValueError(f"advantage.estimator {config.estimator} needs {name}, got None")
    return tensor
