"""Every positive is right and every negative wrong, by a reference that reads the graph on its own; no condition set is
in two splits."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerec_engine.data.knowledge import Knowledge
from rerec_engine.errors import UserError
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.worlds.catalogue import MadeRequests, make_requests
from rerec_engine.worlds.options import CatalogueRequestOptions

SMALL = CatalogueRequestOptions(train_queries=45, val_queries=12, test_queries=24, candidates=12, traces=0)


class Reference:
    """Reads conditions as they stand in extra_info, and the graph as triples."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.facts = [set(knowledge.attributes.attributes_of(i)) for i in range(knowledge.item_count)]
        self.relations = set(knowledge.attributes.relations)
        self.ends = {
            field: list(zip(own.low.tolist(), own.high.tolist(), strict=True))
            for field, own in knowledge.numbers.items()
        }
        self.ends["year"] = [(year, year) if year is not None else (np.nan, np.nan) for year in knowledge.years]

    def right(self, conditions: Sequence[str]) -> set[int]:
        """Items that satisfy all."""
        superlatives = [c for c in conditions if re.search(r":(?:most|least)$", c)]
        found = {i for i in range(len(self.facts)) if all(self.holds(c, i) for c in set(conditions) - {*superlatives})}
        for condition in superlatives:
            field, _, how = condition.rpartition(":")
            own = {i: self.ends[field][i][0] for i in found if self.ends[field][i][0] == self.ends[field][i][0]}
            best = (max if how == "most" else min)(own.values(), default=0)
            winners = {i for i, number in own.items() if number == best}
            found = winners if len(winners) == 1 else set()
        return found

    def holds(self, condition: str, item: int) -> bool:
        parts = re.fullmatch(r"(not )?(.+?)([=<>])(.+)", condition)
        assert parts, condition
        excluded, name, sign, rest = parts.groups()
        if name in self.relations:
            return any((name, value) in self.facts[item] for value in rest.split("|")) is not bool(excluded)
        low, high = self.ends[name][item]
        if sign == "=":
            first, _, last = rest.partition("..")
            return bool(high >= float(first) and low <= float(last))
        return bool(low < float(rest) if sign == "<" else high > float(rest))


def check(knowledge: Knowledge, made: MadeRequests) -> None:
    reference, splits = Reference(knowledge), dict[tuple[str, ...], str]()
    for split, queries in made.splits.items():
        for query in queries:
            conditions = made.extra_info[query.id]["conditions"]
            assert splits.setdefault(tuple(conditions), split) == split
            right = reference.right(conditions)
            assert set(query.candidates) & right == set(query.ground_truth), (query.request, conditions)
            assert len(set(query.candidates)) == len(query.candidates)
            assert {re.split(r"[=<>:]", c.removeprefix("not "))[0] for c in conditions} == set(query.asked)


@pytest.mark.parametrize("form", ["sentences", "chat"])
def test_of_every_kind(games: Callable[..., Knowledge], form: str) -> None:
    knowledge = games(form)
    made = make_requests(knowledge, CatalogueRequestOptions(train_queries=360, traces=0))
    check(knowledge, made)
    kinds = {(query.category, made.extra_info[query.id]["form"]) for query in made.splits["test"]}
    extra = {("explicit", form) for form in ("plain", "exclusion", "years", "numbers", "several")}
    assert extra | {(c, "plain") for c in ("implicit", "misinformed", "interest", "demographics")} <= kinds


@st.composite
def graphs(draw: st.DrawFn) -> Knowledge:
    """20 to 60 items with up to four relations, some values of which many items have, and items without any."""
    items = draw(st.integers(20, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    triples: list[tuple[int, str, str]] = []
    for relation in ("designer", "Set_in", "category", "tag")[: draw(st.integers(1, 4))]:
        values, most = draw(st.integers(3, 12)), draw(st.integers(1, 3))
        for item in range(items):
            chosen = rng.integers(0, values, rng.integers(0, most + 1))
            triples += [(item, relation, f"{relation} {value}") for value in chosen]
    years = [int(year) if year > 1950 else None for year in rng.integers(1940, 2020, items)]
    histories = [rng.choice(items, 6, replace=False) for _ in range(draw(st.integers(0, 12)))]
    return Knowledge([f"T{i}" for i in range(items)], years, AttributeGraph.from_triples(triples, items),
                     histories=histories)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(knowledge=graphs(), seed=st.integers(0, 5))
def test_of_any_graph(knowledge: Knowledge, seed: int) -> None:
    try:
        made = make_requests(knowledge, CatalogueRequestOptions(**{**vars(SMALL), "seed": seed}))
    except UserError:  # a graph may be too poor for so many requests
        return
    check(knowledge, made)


def test_hard_negatives_miss_one_condition_alone(games: Callable[..., Knowledge]) -> None:
    knowledge = games("chat", 200)
    made = make_requests(knowledge, CatalogueRequestOptions(traces=0))
    reference, shares = Reference(knowledge), []
    for query in made.splits["test"]:
        conditions = made.extra_info[query.id]["conditions"]
        if len(conditions) == 2 and not any(c.endswith(("most", "least")) for c in conditions):
            hits = [sum(reference.holds(c, i) for c in conditions) for i in query.candidates]
            shares.append(hits.count(1) / len(hits))
    assert 0.3 < np.mean(shares) < 0.6


def test_what_is_excluded_stands_among_the_candidates(games: Callable[..., Knowledge]) -> None:
    knowledge = games("chat", 200)
    made = make_requests(knowledge, CatalogueRequestOptions(kinds="exclusion", traces=0))
    reference = Reference(knowledge)
    for query in made.splits["test"]:
        wish = [c for c in made.extra_info[query.id]["conditions"] if not c.startswith("not ")]
        assert len(reference.right(wish) & set(query.candidates)) > 1


def test_one_seed_gives_one_dataset(games: Callable[..., Knowledge]) -> None:
    options = CatalogueRequestOptions(train_queries=30, val_queries=10, test_queries=10, traces=30)
    first, again = (make_requests(games("sentences"), options) for _ in range(2))
    assert first == again
    other = make_requests(games("sentences"), CatalogueRequestOptions(**{**vars(options), "seed": 1}))
    assert other.splits != first.splits
