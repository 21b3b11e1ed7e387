"""Requests over any catalogue, with their candidates, traces and vocabulary."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rerec_engine.data.description import DatasetDescription
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.data.traces import Trace
from rerec_engine.errors import UserError
from rerec_engine.types import Query
from rerec_engine.worlds.catalogue.candidates import FEWEST_WRONG, Judged
from rerec_engine.worlds.catalogue.drafts import Draft, Picker, how_many
from rerec_engine.worlds.catalogue.shelf import Shelf
from rerec_engine.worlds.options import CatalogueRequestOptions
from rerec_engine.worlds.requests import split_of

TRIES = 300
"""Draws for one request before its kind is given up."""


@dataclass(frozen=True)
class MadeRequests:
    """What a dataset directory has beside its catalogue."""

    splits: dict[str, list[Query]]
    extra_info: dict[str, dict[str, Any]]
    """Further fields of a query's extra_info, by query id."""
    traces: list[Trace]
    """For `warm_start.parquet`."""
    vocabulary: list[str]
    """For `vocabulary.json`; empty for a form that needs none."""
    description: DatasetDescription
    counts: dict[str, int] = field(default_factory=dict)
    """What happened by the way, in words."""


def make_requests(knowledge: Knowledge, options: CatalogueRequestOptions) -> MadeRequests:
    """Raises UserError for a catalogue that is too poor, and for options that cannot be followed."""
    if options.candidates <= FEWEST_WRONG:
        raise UserError(f"candidates must be more than {FEWEST_WRONG}, got {options.candidates}")
    shelf = Shelf(knowledge)
    picker = Picker(shelf)
    rng = np.random.default_rng([options.seed, 4])
    splits: dict[str, list[Query]] = {}
    extra: dict[str, dict[str, Any]] = {}
    for split, count in options.counts.items():
        splits[split] = []
        for i in range(count):
            query, draft = _explicit(picker, split, f"{split}-{i}", options, rng)
            splits[split].append(query)
            extra[query.id] = {
                "conditions": [c.key(shelf.graph.values) for c in draft.conditions],
                "form": draft.form,
                "unseen_wording": False,
            }
    return MadeRequests(splits, extra, [], [], knowledge.description)


def _explicit(
    picker: Picker, split: str, name: str, options: CatalogueRequestOptions, rng: np.random.Generator
) -> tuple[Query, Draft]:
    shelf = picker.shelf
    for _ in range(TRIES):
        conditions, target = picker.wish(rng, how_many(rng, (0.35, 0.45, 0.2)))
        if split_of({c.key(shelf.graph.values): "" for c in conditions}, options.seed) != split:
            continue
        drawn = Judged(shelf, conditions).draw(rng, options.candidates, target=target)
        if drawn is None:
            continue
        draft = Draft("explicit", "plain", conditions, target)
        said = shelf.knowledge.description
        clauses = [(said.wording(c.name).clause, shelf.names[c.attributes[0]]) for c in conditions]
        before = "".join(f"{value} " for clause, value in clauses if not clause)
        after = "".join(f" {clause} {value}" for clause, value in clauses if clause)
        text = f"Find a {before}{said.noun}{after}"
        titles = [shelf.knowledge.titles[i] for i in drawn[1]]
        messages = said.prompt(text, candidates=titles)
        query = Query(name, messages, drawn[0], drawn[1], "explicit", len(conditions), request=text, asked=draft.asked)
        return query, draft
    raise UserError(f"no request for {split} was found in {TRIES} draws: the catalogue has too few items or attributes")
