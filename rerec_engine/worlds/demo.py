"""The demo's dataset directory: an invented world, queries of all five kinds, and the warm start's reasoning traces."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rerec_engine.errors import UserError
from rerec_engine.types import CATEGORIES
from rerec_engine.worlds.options import DemoOptions, RequestOptions
from rerec_engine.worlds.requests import DemoQuery, draw_query, personal
from rerec_engine.worlds.world import RELATIONS, World, make_world
from rerec_engine.worlds.writing import write_world

DATA_SOURCE = "rerec_engine/demo"


def write_demo(output: Path, options: DemoOptions | None = None) -> None:
    """Generate the demo as a dataset directory. Raises UserError."""
    options = options or DemoOptions()
    if options.domain not in ("", *RELATIONS):
        raise UserError(f"domain is film or book, got {options.domain!r}")
    world = make_world(options.seed, options.films, options.books, options.users)
    write_world(output, world, draw_requests(world, options, options.domain), options, DATA_SOURCE)


def draw_requests(world: World, options: RequestOptions, domain: str = "") -> dict[str, list[DemoQuery]]:
    """By split, queries of the five kinds in turn. Raises UserError."""
    if options.taste not in ("", "told", "untold"):
        raise UserError(f"taste is told or untold, got {options.taste!r}")
    rng = np.random.default_rng([options.seed, 1])
    return {
        split: [_draw(world, split, i, options, rng, domain) for i in range(count)]
        for split, count in options.counts.items()
    }


def _draw(
    world: World, split: str, i: int, options: RequestOptions, rng: np.random.Generator, domain: str
) -> DemoQuery:
    category = "interest" if options.taste else CATEGORIES[i % len(CATEGORIES)]
    while True:
        query, _ = draw_query(world, category, split, options.seed, rng, options.candidates)
        if domain in ("", world.domain[query.target]):
            return personal(world, query, rng, options.taste == "told", options.candidates) if options.taste else query
