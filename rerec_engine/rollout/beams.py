"""Beam search over titles: the items that the model itself would name first, without reading all titles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rerec_engine.constrain.titles import AnswerRows, AnswerTitles
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.rollout.waiting import common_beginning

BOX = "\\boxed{"
WIDTH = 20
LONGEST = 512
"""Tokens of a title at most; what is longer is not found."""


@dataclass
class Found:
    """The items that were found for one prompt, with the log-prob (nats) and tokens of their best spelling."""

    scores: dict[int, tuple[float, int]] = field(default_factory=dict)

    def add(self, item: int, score: float, tokens: int) -> None:
        if item not in self.scores or self.scores[item][0] < score:
            self.scores[item] = score, tokens

    def least(self, width: int) -> float:
        """What a further item must exceed to be among the best."""
        if len(self.scores) < width:
            return -np.inf
        return sorted((score for score, _ in self.scores.values()), reverse=True)[width - 1]

    def ranked(self, width: int, normalised: bool) -> list[tuple[int, float]]:
        scores = {item: score / tokens if normalised else score for item, (score, tokens) in self.scores.items()}
        return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))[:width]


class Beams:
    """A search (`metrics.ranking.sources.Search`): of each prompt the best `width` items that it may name.

    A title's score is the log-prob (nats) of its tokens and of the closing brace behind the prompt and an opened box,
    under the model's own distribution; normalised: divided by the number of these tokens. `width` unfinished titles are
    followed at a time, and what cannot come among the best any more is dropped: no score grows by a token.
    A title that can be spelled in several ways counts by the best one that was followed. gap: a space stands between
    brace and title, as a model of its own phrases has it. reason: what is said before the box, of prompts; None:
    nothing.
    """

    def __init__(
        self,
        sampler: Sampler,
        titles: AnswerTitles,
        width: int = WIDTH,
        normalised: bool = False,
        gap: bool = False,
        reason: Callable[[Sequence[Sequence[int]]], Sequence[str]] | None = None,
    ) -> None:
        self.reason = reason
        self.sampler, self.titles, self.width, self.normalised = sampler, titles, width, normalised
        first = titles.first_bytes()
        self._may_begin = first == ord(" ") if gap else (first != ord(" ")) & (first != ord("\n"))
        tokenizer = sampler.policy.tokenizer
        self._box: list[int] = list(tokenizer(BOX, add_special_tokens=False)["input_ids"])

    def __call__(
        self,
        prompts: Sequence[Sequence[int]],
        items: Sequence[Sequence[int]],
    ) -> list[list[tuple[int, float]]]:
        """items: those that each prompt may be answered with; none, or as many as there are: the whole catalogue."""
        size = len(self.titles.catalogue)
        candidates = [() if len(some) == size else some for some in items]
        said = [""] * len(prompts) if self.reason is None else self.reason(prompts)
        tokenizer = self.sampler.policy.tokenizer
        before = tokenizer([f"{text}{BOX}" for text in said], add_special_tokens=False)["input_ids"]
        whole = [[*prompt, *own] for prompt, own in zip(prompts, before, strict=True)]
        found = self._search(whole, candidates)
        return [own.ranked(self.width, self.normalised) for own in found]

    @torch.inference_mode()
    def _search(self, prompts: Sequence[list[int]], candidates: Sequence[Sequence[int]]) -> list[Found]:
        decoder, device = self.sampler.decoder, self.sampler.policy.device
        limit = min(LONGEST, self.titles.longest + 2)
        length = max(map(len, prompts)) + limit
        if decoder.grows:
            decoder.open(length, limit, prompts[0][: common_beginning(prompts)])
        else:
            decoder.open(length, limit)
        logits = decoder.join(prompts, 1)  # [B, V]
        rows = self.titles.rows()
        rows.join(candidates, 1)
        for token in self._box:  # however it is spelled behind the prompt
            rows.advance(torch.full((len(prompts),), token))
        found = [Found() for _ in prompts]
        owner, score = np.arange(len(prompts)), np.zeros(len(prompts))
        for tokens in range(1, limit + 1):
            parents, drawn, score = self._best(rows, logits, owner, score, found, tokens)
            if not len(parents) or tokens == limit:
                break
            owner = owner[parents]
            rows_kept, drawn_ids = torch.from_numpy(parents), torch.from_numpy(drawn)
            rows.keep(rows_kept)
            rows.advance(drawn_ids)
            decoder.keep(rows_kept.to(device))
            logits = decoder.step(drawn_ids.to(device))
        decoder.close()
        return found

    def _best(
        self,
        rows: AnswerRows,
        logits: Tensor,  # [rows, V]
        owner: NDArray[np.int64],  # [rows], the prompt of each
        score: NDArray[np.float64],  # [rows]
        found: list[Found],
        tokens: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """The rows that go on, with their next tokens and scores, prompt by prompt; what ends is found."""
        row, ids, item, place = rows.core.continuations()
        where = torch.from_numpy(row).to(logits.device), torch.from_numpy(ids).long().to(logits.device)
        value = score[row] + (logits[where] - logits.logsumexp(1)[where[0]]).double().cpu().numpy()
        for i in np.flatnonzero(item >= 0):
            found[owner[row[i]]].add(int(item[i]), float(value[i]), tokens)
        least = np.array([own.least(self.width) for own in found])
        going = (item < 0) & (value > least[owner[row]])
        going = np.flatnonzero(going & self._may_begin[ids] if tokens == 1 else going)
        going = going[_one_spelling(owner[row[going]], place[going], value[going])]
        order = going[np.lexsort((-value[going], owner[row[going]]))]
        rank = np.arange(len(order)) - np.searchsorted(owner[row[order]], owner[row[order]])
        order = order[rank < self.width]
        return row[order], ids[order].astype(np.int64), value[order]


def _one_spelling(
    owner: NDArray[np.int64],  # [X], the prompt of each
    place: NDArray[np.int32],  # [X, 3], see `_core.AnswerRows.continuations`
    value: NDArray[np.float64],  # [X], log-probs
) -> NDArray[np.int64]:
    """Of beginnings that the same titles have, the one whose bytes are likeliest.

    A beam would else be filled by the ways to spell one title.
    """
    first, titles, depth = place.T.astype(np.int64)
    same = np.stack([owner, first, titles])
    order = np.lexsort((-value / np.maximum(depth, 1), *same[::-1]))
    fresh = np.ones(len(order), dtype=bool)
    fresh[1:] = (same[:, order[1:]] != same[:, order[:-1]]).any(0)
    return np.sort(order[fresh])
