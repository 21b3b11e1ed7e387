"""A teacher's reasoning over the requests of a made world, for the warm start."""

from __future__ import annotations

import numpy as np

from rerec_engine.data.prompts import sentence_prompt
from rerec_engine.data.traces import Trace
from rerec_engine.types import CATEGORIES
from rerec_engine.worlds.beliefs import Beliefs
from rerec_engine.worlds.options import TraceOptions
from rerec_engine.worlds.requests import DemoQuery, draw_query
from rerec_engine.worlds.world import World


def make_traces(world: World, options: TraceOptions, candidates: int, seed: int) -> list[Trace]:
    """The traces of all phases; none asks for a condition set of val or test."""
    beliefs = Beliefs.about(world, options.belief_share, options.belief_rate, seed)
    phases = (
        ("short", options.short_traces, min(5, candidates), Beliefs()),
        ("medium", options.medium_traces, min(10, candidates), Beliefs()),
        ("full", options.full_traces, candidates, Beliefs()),
        ("biased", options.biased_traces, candidates, beliefs),
    )
    rng = np.random.default_rng([seed, 2])
    return [
        _make_trace(world, seed, i, phase, shown, teacher, rng)
        for phase, count, shown, teacher in phases
        for i in range(count)
    ]


def trace(
    world: World, query: DemoQuery, believed: dict[str, str], rng: np.random.Generator, beliefs: Beliefs | None = None
) -> str:
    """A teacher's reasoning: what is inferred, what is needed, each candidate checked in turn, the answer in a box.

    The teacher checks by what it believes; it stops at the first candidate that satisfies everything, and names the
    last one where none does.
    """
    beliefs = beliefs or Beliefs()
    lines = [query.inference + " need" + "".join(f" {v}" for v in believed.values())]
    answer = query.candidates[-1]
    for number, item in enumerate(query.candidates, 1):
        line, fits = f"{number}) {world.titles[item]}", True
        for relation, wanted in believed.items():
            said = beliefs.tell(world, item, relation, rng)
            fits = said == wanted
            line += f" {said} {'yes' if fits else 'no'}"
            if not fits:
                break
        lines.append(line)
        if fits:
            answer = item
            break
    return "\n".join(lines) + f"\n\\boxed{{ {world.titles[answer]}}}"


def _make_trace(
    world: World, seed: int, i: int, phase: str, candidates: int, beliefs: Beliefs, rng: np.random.Generator
) -> Trace:
    spread = 0 if phase in ("full", "biased") else candidates // 3
    count = candidates + int(rng.integers(-spread, spread + 1))
    query, believed = draw_query(world, CATEGORIES[i % 5], "train", seed, rng, count, beliefs)
    if phase in ("short", "medium"):  # in any order, so that every relation is asked often
        names = list(believed)
        believed = {names[k]: believed[names[k]] for k in rng.permutation(len(names))}
    prompt = sentence_prompt(query.text, candidates=[world.titles[c] for c in query.candidates])
    return Trace(phase, list(prompt), trace(world, query, believed, rng, beliefs))
