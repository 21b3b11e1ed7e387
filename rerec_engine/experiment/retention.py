"""What a model of the demo still knows after training: the facts of the catalogue, and its teacher's reasoning.

A model of another kind: `lm-eval` on the run's final/ (docs/experiments.md).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from rerec_engine.data.prompts import sentence_prompt
from rerec_engine.model.policy import Policy
from rerec_engine.model.sequences import Row
from rerec_engine.types import CATEGORIES
from rerec_engine.worlds.options import DemoOptions
from rerec_engine.worlds.requests import draw_query
from rerec_engine.worlds.traces import trace
from rerec_engine.worlds.world import World, make_world

BATCH = 64  # sequences at once
SHOWN = 5  # candidates of a prompt that asks for a fact


def world_of(options: Mapping[str, Any]) -> tuple[World, int]:
    """The world of a demo dataset and its seed; options: those that `prepare demo` was given."""
    names = {field.name for field in dataclasses.fields(DemoOptions)}
    chosen = DemoOptions(**{name: value for name, value in options.items() if name in names})
    return make_world(chosen.seed, chosen.films, chosen.books, chosen.users), chosen.seed


def facts(policy: Policy, world: World, seed: int = 0) -> dict[str, float]:
    """Share of the catalogue's facts that the model tells, by relation and of all (`facts`).

    The model is asked in the form of its own reasoning: it has read a request for some value of the relation, and its
    response has come to a candidate's title. The relation's value with the highest probability is what it tells.
    """
    rng = np.random.default_rng([seed, 11])
    asked = [(i, relation) for i, domain in enumerate(world.domain) for relation in world.relations[domain]]
    values = {r: sorted({f[r] for f in world.facts if r in f}) for r in {r for _, r in asked}}
    tokens = {v: policy.tokenizer.encode(f" {v}", add_special_tokens=False) for vs in values.values() for v in vs}
    rows = [_question(policy, world, item, values[relation], rng) for item, relation in asked]
    right: dict[str, list[bool]] = {}
    for (item, relation), logits in zip(asked, _last_logits(policy, rows), strict=True):
        told = max(values[relation], key=lambda v: float(logits[tokens[v][0]]))
        right.setdefault(relation, []).append(told == world.facts[item][relation])
    return {"facts": float(np.mean(sum(right.values(), []))), **{r: float(np.mean(x)) for r, x in right.items()}}


def _question(policy: Policy, world: World, item: int, values: Sequence[str], rng: np.random.Generator) -> Row:
    others = [int(i) for i in world.domain_items[world.domain[item]] if i != item]
    candidates = [item, *(int(i) for i in rng.choice(others, SHOWN - 1, replace=False))]
    wanted = values[int(rng.integers(len(values)))]
    noun = world.domain[item]
    prompt = policy.encode_prompt(sentence_prompt(f"Find a {noun}", candidates=[world.titles[i] for i in candidates]))
    started = f" need {wanted}\n1) {world.titles[item]}"
    return prompt, policy.tokenizer.encode(started, add_special_tokens=False)


@torch.inference_mode()
def _last_logits(policy: Policy, rows: Sequence[Row]) -> Iterator[torch.Tensor]:
    """Logits [V] of what follows each row."""
    for start in range(0, len(rows), BATCH):
        part = [[*prompt, *response] for prompt, response in rows[start : start + BATCH]]
        ids = torch.full((len(part), max(map(len, part))), policy.pad_id)
        for row, sequence in zip(ids, part, strict=True):
            row[: len(sequence)] = torch.tensor(sequence)
        last = torch.tensor([len(sequence) - 1 for sequence in part])
        hidden = policy.body(input_ids=ids.to(policy.device), use_cache=False).last_hidden_state
        yield from policy.output((hidden[torch.arange(len(part)), last] @ policy.head.T).float()).cpu()


@torch.inference_mode()
def perplexity(policy: Policy, world: World, seed: int, count: int = 300) -> float:
    """exp of the mean negative log-prob of a token, over the reasoning of a teacher without error on `count` queries
    whose conditions occur in no training query and no trace."""
    rng = np.random.default_rng([seed, 12])
    rows = []
    for i in range(count):
        query, believed = draw_query(world, CATEGORIES[i % len(CATEGORIES)], "test", seed, rng)
        prompt = sentence_prompt(query.text, candidates=[world.titles[c] for c in query.candidates])
        text = trace(world, query, believed, rng)
        rows.append((policy.encode_prompt(prompt), policy.tokenizer.encode(text, add_special_tokens=False)))
    total = sum(float(policy.token_logprobs(rows[i : i + BATCH])[0].double().sum()) for i in range(0, count, BATCH))
    return math.exp(-total / sum(len(response) for _, response in rows))
