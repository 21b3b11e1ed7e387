"""OpenRLHF: `reward_func` for `--reward.remote_url FILE.py`; see docs/integrations.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch

from rerec_engine.errors import UserError
from rerec_engine.integrations.shared import PARTS, candidates_of, configure, score_rows, shared_engine
from rerec_engine.reward.opened import ends_opened

__all__ = ["configure", "reward_func"]

LEAST_LEFT = 8
"""Characters that must be left of a prompt that was cut, for it to be told from the response."""


def reward_func(
    queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any], **options: Any
) -> dict[str, Any]:
    """Rewards of B responses as OpenRLHF takes them: `rewards`, `scores` and each of `extra_logs` float32 [B].

    queries: prompt and response in one text; the prompt, whole or cut on the left, is taken off and never scored. Where
    a prompt ends with `<think>`, its response begins in that block of reasoning.
    labels: a title, or a JSON object (or a mapping) with `ground_truth` (a title, an item id or several) and
    `candidates` where there are some. `scores` is 1 for a hit and else 0, for dynamic filtering. options: see
    `shared_engine`; OpenRLHF gives none, so that the directory comes from `configure` or `REREC_DATA`.
    Errors: `UserError` that names the row by its label; OpenRLHF logs it and goes on without a reward.
    """
    if not len(queries) == len(prompts) == len(labels):
        raise UserError(f"as many queries as prompts and labels: {len(queries)}, {len(prompts)} and {len(labels)}")
    rows = [f"label {str(label)[:100]!r}" for label in labels]
    targets = [_target(label) for label in labels]
    responses = [_response(*texts) for texts in zip(queries, prompts, rows, strict=True)]
    truths = [target.get("ground_truth") for target in targets]
    among, opened = [candidates_of(row) for row in targets], [ends_opened(prompt) for prompt in prompts]
    scores = score_rows(shared_engine(**options), responses, truths, among, rows, opened)
    logs = {part: torch.from_numpy(getattr(scores, part).astype("float32")) for part in PARTS}
    return {"rewards": torch.from_numpy(scores.total), "scores": logs["hit"], "extra_logs": logs}


def _response(query: str, prompt: str, row: str) -> str:
    if query.startswith(prompt):
        return query[len(prompt) :]
    cut = query.lstrip("\ufffd")  # the rest of a character that the cut went through
    for begin in range(1, len(prompt) - LEAST_LEFT + 1):
        if cut.startswith(prompt[begin:]):
            return cut[len(prompt) - begin :]
    return _after_respaced(query, prompt, row)


def _after_respaced(query: str, prompt: str, row: str) -> str:
    """What follows the prompt where decoding has put spaces in or left some out, as SentencePiece may."""
    place = 0
    for char in "".join(prompt.split()):
        while query[place : place + 1].isspace():
            place += 1
        if query[place : place + 1] != char:
            raise UserError(f"{row}: the query does not begin with its prompt")
        place += 1
    return query[place:]


def _target(label: Any) -> Mapping[str, Any]:
    if isinstance(label, str) and label.lstrip().startswith("{"):
        with suppress(ValueError):  # a title in braces
            label = json.loads(label)
    return label if isinstance(label, Mapping) else {"ground_truth": label}
