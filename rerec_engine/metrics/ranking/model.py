"""Ranked lists of a language model: by the log-prob of every title in the box, or by the votes of many answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rerec_engine.cli import progress_bar
from rerec_engine.metrics.evaluation import Generate
from rerec_engine.metrics.ranking.measures import distinct
from rerec_engine.metrics.ranking.sources import DEPTH, by_votes
from rerec_engine.model.policy import Policy
from rerec_engine.model.text import decode
from rerec_engine.rollout.base import derive_seed
from rerec_engine.rollout.beams import BOX
from rerec_engine.types import Query, Sampling

if TYPE_CHECKING:
    from rerec_engine.reward import RewardEngine

AT_ONCE = 16_384
"""Tokens of titles in one pass."""


@dataclass(frozen=True)
class TitleScores:
    """A `Search` that scores every title: log-prob of the title and the closing brace, at temperature 1, behind the
    prompt and the opened box. One pass reads the prompt once for all titles, where the model takes packed rows.

    gap: between the box's brace and a title, " " where the model was taught so. normalised: the mean over the tokens
    instead of their sum. reason: what is said before the box, of prompts; None: nothing.
    """

    policy: Policy
    titles: Sequence[str]
    gap: str = ""
    normalised: bool = False
    reason: Callable[[Sequence[Sequence[int]]], Sequence[str]] | None = None

    def __call__(
        self, prompts: Sequence[Sequence[int]], items: Sequence[Sequence[int]]
    ) -> list[list[tuple[int, float]]]:
        said = [""] * len(prompts) if self.reason is None else self.reason(prompts)
        return [self._ranked(*each) for each in zip(prompts, said, items, strict=True)]

    def _ranked(self, prompt: Sequence[int], said: str, items: Sequence[int]) -> list[tuple[int, float]]:
        lead = f"{said}{BOX}{self.gap}"
        whole = self._ids([lead, *(f"{lead}{self.titles[item]}}}" for item in items)])
        common = min(_common(whole[0], own) for own in whole[1:])
        before = [*prompt, *whole[0][:common]]
        scores = self._scores(before, [own[common:] for own in whole[1:]])
        order = np.argsort(-scores, kind="stable")
        return [(int(items[i]), float(scores[i])) for i in order]

    @torch.inference_mode()
    def _scores(self, before: Sequence[int], titles: Sequence[Sequence[int]]) -> np.ndarray:
        """Of each title's tokens, nats; [C] float64. A title that occurs twice is computed once."""
        scores, start = np.empty(len(titles)), 0
        while start < len(titles):
            stop, tokens = start, 0
            while stop < len(titles) and (stop == start or tokens + len(titles[stop]) <= AT_ONCE):
                tokens += len(titles[stop])
                stop += 1
            rows = [(before, title) for title in titles[start:stop]]
            logp, _ = self.policy.token_logprobs(rows, return_entropy=False)
            parts = logp.double().cpu().split([len(title) for title in titles[start:stop]])
            scores[start:stop] = [float(own.mean() if self.normalised else own.sum()) for own in parts]
            start = stop
        return scores

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        return [list(ids) for ids in self.policy.tokenizer(list(texts), add_special_tokens=False)["input_ids"]]


def reasoner(generate: Generate, tokenizer: Any, max_new_tokens: int) -> Callable[[Sequence[Sequence[int]]], list[str]]:
    """What greedy answers say before their last box; all that they say, and a line break, where they open none."""

    def said(prompts: Sequence[Sequence[int]]) -> list[str]:
        rollouts = generate(prompts, 1, Sampling(max_new_tokens=max_new_tokens, temperature=0.0))
        texts = [decode(tokenizer, rollout.token_ids) for rollout in rollouts]
        return [text[: text.rindex(BOX)] if BOX in text else f"{text.rstrip()}\n" for text in texts]

    return said


def votes(
    generate: Generate,
    tokenizer: Any,
    engine: RewardEngine,
    queries: Sequence[Query],
    *,
    encode: Callable[[Query], list[int]],
    samples: int,
    sampling: Sampling,
    batch_size: int = 64,
    opened: bool = False,
    progress: bool = False,
    constrain: bool = False,
) -> dict[str, list[int]]:
    """Lists by query id: of `samples` answers to each, items by votes, then by where they first appear.

    batch_size: queries that are asked together. opened: whether the prompts open a block of reasoning. constrain: hand
    `generate` the candidates that an answer may name.
    """
    found: dict[str, list[int]] = {}
    with progress_bar(len(queries), "votes", "query", shown=progress) as bar:
        for start in range(0, len(queries), batch_size):
            batch = queries[start : start + batch_size]
            candidates = [query.candidates for query in batch] if constrain else None
            seed = derive_seed(sampling.seed, "votes", start)
            drawn = Sampling(sampling.max_new_tokens, sampling.temperature, seed, candidates=candidates)
            rollouts = generate([encode(query) for query in batch], samples, drawn)
            asked = [query for query in batch for _ in range(samples)]
            scores = engine.score(
                [decode(tokenizer, rollout.token_ids) for rollout in rollouts],
                [query.ground_truth for query in asked],
                [query.candidates for query in asked],
                opened=opened,
            )
            lists = [
                distinct(int(item) for item in items) if answered else []
                for items, answered in zip(scores.items, scores.answered, strict=True)
            ]
            for place, query in enumerate(batch):
                found[query.id] = by_votes(lists[place * samples : (place + 1) * samples])[:DEPTH]
            bar.update(len(batch))
    return found


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the beginning that two lists share."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
