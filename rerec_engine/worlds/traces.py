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
        _make_trace(world, seed, i, phase, shown, teacher, rng, options.listed)
        for phase, count, shown, teacher in phases
        for i in range(count)
    ]


def trace(
    world: World,
    query: DemoQuery,
    believed: dict[str, str],
    rng: np.random.Generator,
    beliefs: Beliefs | None = None,
    listed: int = 1,
) -> str:
    """A teacher's reasoning: what is inferred, what is needed, each candidate checked in turn, the answer in a box.

    The teacher checks by what it believes; it stops at the first candidate that satisfies everything, and names the
    last one where none does. listed: how many items it names. Behind its choice stand those that it checked, those
    first that satisfied most, and then the others, in their order.
    """
    beliefs = beliefs or Beliefs()
    lines = [query.inference + " need" + "".join(f" {v}" for v in believed.values())]
    answer, satisfied = query.candidates[-1], dict.fromkeys(query.candidates, 0)
    for number, item in enumerate(query.candidates, 1):
        line, fits = f"{number}) {world.titles[item]}", True
        for relation, wanted in believed.items():
            said = beliefs.tell(world, item, relation, rng)
            fits = said == wanted
            line += f" {said} {'yes' if fits else 'no'}"
            satisfied[item] += 2 if fits else 1  # checked in vain is more than not looked at
            if not fits:
                break
        lines.append(line)
        if fits:
            answer = item
            break
    others = sorted((item for item in query.candidates if item != answer), key=lambda item: -satisfied[item])
    titles = " ; ".join(world.titles[item] for item in (answer, *others[: listed - 1]))
    return "\n".join(lines) + f"\n\\boxed{{ {titles}}}"


def _make_trace(
    world: World,
    seed: int,
    i: int,
    phase: str,
    candidates: int,
    beliefs: Beliefs,
    rng: np.random.Generator,
    listed: int,
) -> Trace:
    spread = 0 if phase in ("full", "biased") else candidates // 3
    count = candidates + int(rng.integers(-spread, spread + 1))
    query, believed = draw_query(world, CATEGORIES[i % 5], "train", seed, rng, count, beliefs)
    if phase in ("short", "medium"):  # in any order, so that every relation is asked often
        names = list(believed)
        believed = {names[k]: believed[names[k]] for k in rng.permutation(len(names))}
    prompt = sentence_prompt(asked(query.text, listed), candidates=[world.titles[c] for c in query.candidates])
    return Trace(phase, list(prompt), trace(world, query, believed, rng, beliefs, listed))


def asked(text: str, listed: int) -> str:
    """A request for so many items."""
    return text if listed == 1 else f"{text} ; name {listed}"
