"""Credit by rank through one number a token: what is coded is read again, and its advantages are the trainer's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rerec_engine.config import AdvantageConfig
from rerec_engine.errors import UserError
from rerec_engine.integrations.rank import coded_advantage, coded_rewards, groups_of
from rerec_engine.reward import Entries, RewardEngine
from rerec_engine.training.advantage import token_advantages
from rerec_engine.training.entries import ListEntries

TEXTS = [
    "Solaris?\n\\boxed{Alien (1979)\nSolaris\nSolaris}",
    "\\boxed{Solaris; Alien (1979)}",
    "no idea",
    "So\n\\boxed{Nobody Knows; Solaris}",
    "\\boxed{Alien}",
    "Solaris\n\\boxed{Solaris}",
]
UIDS = np.array(["b", "b", "b", "a", "a", "a"], dtype=object)


@pytest.fixture
def scored(byte_tokenizer: Any, engine: RewardEngine) -> tuple[Any, torch.Tensor]:
    """Scores of the texts as padded rows, and their mask."""
    rows = [byte_tokenizer(text)["input_ids"] for text in TEXTS]
    width = max(map(len, rows)) + 2
    ids, mask = np.zeros((len(rows), width), np.int64), np.zeros((len(rows), width), bool)
    for i, row in enumerate(rows):
        ids[i, : len(row)], mask[i, : len(row)] = row, True
    found = engine.score_tokens(ids, mask, [4] * len(rows), byte_tokenizer, [[4, 5, 0]] * len(rows), k=3, entries=True)
    return found, torch.from_numpy(mask)


def test_advantages_are_those_of_the_trainer(scored: Any) -> None:
    found, mask = scored
    coded = torch.from_numpy(coded_rewards(found.token_rewards, found.entries))
    ours = coded_advantage(coded, mask, groups_of(UIDS))
    packed = Entries(found.entries.of_token[mask.numpy()], *found.entries[1:])
    bounds = np.concatenate([[0], mask.sum(1).cumsum(0).numpy()])
    rewards, config = found.token_rewards[mask.numpy()], AdvantageConfig(estimator="rank")
    listed = ListEntries.of(packed)
    expected = token_advantages(rewards, found.scores.total, bounds, groups_of(UIDS), config, entries=listed)
    np.testing.assert_allclose(ours[mask], expected.advantages, atol=1e-4)
    assert (ours[~mask] == 0).all()
    assert len({round(float(x), 4) for x in ours[mask]}) > 6


def test_a_small_penalty_moves_no_token_to_another_place() -> None:
    """Two answers whose entries swap places, with noise on every token."""
    coded = torch.tensor([[0.5, 17.0, 31.9, 0.5], [0.5, 15.9, 33.0, 0.5]])
    mask, group = torch.ones(2, 4, dtype=torch.bool), torch.tensor([0, 0])
    plain = coded_advantage(coded, mask, group)
    assert plain[:, 1:3].sign().tolist() == [[1, -1], [-1, 1]]
    noise = 0.01 * torch.rand(2, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(coded_advantage(coded - noise, mask, group)[:, 1:3], plain[:, 1:3], atol=1e-5, rtol=0)


def test_a_gap_within_an_entry_counts_once() -> None:
    coded = torch.tensor([[16.5, 16.5, 16.5, 0.25], [16.0, 0.0, 0.0, 0.25]])
    mask = torch.tensor([[True, False, True, True], [True, True, False, False]])
    found = coded_advantage(coded, mask, torch.tensor([0, 0]))
    whole = coded_advantage(coded, torch.tensor([[True] * 4, [True, True, False, False]]), torch.tensor([0, 0]))
    half = 0.25 / (0.125**0.5 + 1e-6)
    assert found[0, [0, 2]].tolist() == pytest.approx([half, half], abs=1e-6)
    assert whole[0, [0, 1, 2]].tolist() == pytest.approx([half] * 3, abs=1e-6)


def test_without_entries_rewards_stay_as_they_are() -> None:
    rewards = np.array([[0.5, 0.25]], np.float32)
    none = Entries(np.full((1, 2), -1, np.int32), np.zeros(0, np.float32), np.array([0, 0]))
    assert coded_rewards(rewards, none).tolist() == rewards.tolist()
    found = coded_advantage(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.bool), torch.zeros(0, dtype=torch.long))
    assert found.shape == (0, 3)


def test_large_rewards_are_refused() -> None:
    one = Entries(np.zeros((1, 1), np.int32), np.array([8.0], np.float32), np.array([0, 1]))
    with pytest.raises(UserError, match="rewards within 8 of 0, got 8: lower the weights"):
        coded_rewards(np.zeros((1, 1), np.float32), one)
