"""Credit by rank where a stack hands over one number a token: places of entries coded into the rewards of tokens.

The reward of an entry's token is the entry's plus `STEP` for each place up to its own, so that both can be read again,
also after something small was taken off, such as a KL penalty. In float32 that costs the reward of place p, from 1, an
error of up to p / 2^20.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rerec_engine.errors import UserError
from rerec_engine.ops.groups import entry_advantage, standardise
from rerec_engine.reward import Entries

STEP = 16.0


def coded_rewards(token_rewards: NDArray[np.float32], entries: Entries) -> NDArray[np.float32]:
    """The rewards [B, L] with place and reward of its entry at each entry's token. Errors: `UserError` for a reward
    that is not between -STEP / 2 and STEP / 2."""
    for rewards in (token_rewards, entries.rewards):
        if rewards.size and not np.abs(rewards).max() < STEP / 2:
            worst = float(rewards.flat[np.abs(rewards).argmax()])
            raise UserError(f"credit by rank needs rewards within {STEP / 2:g} of 0, got {worst:g}: lower the weights")
    if not len(entries.rewards):
        return token_rewards
    place = entries.of_token
    at = np.minimum(entries.cu_entries[:-1, None] + np.maximum(place, 0), len(entries.rewards) - 1)
    return np.where(place >= 0, entries.rewards[at] + STEP * (place + 1), token_rewards).astype(np.float32)


def coded_advantage(
    coded: torch.Tensor,  # [B, L]
    mask: torch.Tensor,  # [B, L] bool
    group: torch.Tensor,  # [B] int, 0 .. Q - 1
) -> torch.Tensor:
    """`token_advantages` of estimator rank from `coded_rewards`, [B, L] float64; 0 where masked."""
    values = torch.where(mask, coded.double(), 0.0)
    places = (values / STEP).round().long()  # 0: no entry's, else from 1
    rewards, inside = values - STEP * places, mask & (places > 0)
    owner = group[:, None].expand_as(mask)
    advantages = torch.zeros_like(values)
    advantages[mask] = standardise(rewards[mask], ~inside[mask], owner[mask])
    # An entry counts once, however many tokens it has: by its first. Places rise within a response.
    before = torch.nn.functional.pad(torch.where(inside, places, 0), (1, 0)).cummax(1).values[:, :-1]
    first = inside & (places > before)
    of_entry = entry_advantage(rewards[first], places[first] - 1, owner[first], torch.bincount(group))
    number = first.flatten().cumsum(0).view_as(places) - 1
    if len(of_entry):
        advantages[inside] = of_entry.to(advantages.dtype)[number[inside]]
    return advantages


def groups_of(index: NDArray[Any]) -> torch.Tensor:
    """Numbers 0 .. Q - 1 of prompts' uids, [B]."""
    return torch.from_numpy(np.unique(np.asarray(index).astype(str), return_inverse=True)[1])
