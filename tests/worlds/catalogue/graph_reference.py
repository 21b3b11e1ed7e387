"""Conditions read from a catalogue the slow way, and any small catalogue."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from rerec_engine.data.knowledge import Knowledge
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.graph.numbers import ItemNumbers


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


@st.composite
def graphs(draw: st.DrawFn) -> Knowledge:
    """20 to 60 items with up to four relations, some values of which many have, items without any, and numbers."""
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
    size = np.where(rng.random(items) < 0.8, rng.integers(1, draw(st.sampled_from([6, 40, 900])), items), np.nan)
    numbers = {"size": ItemNumbers(size, size), "span": ItemNumbers(size, size + rng.integers(0, 3, items))}
    return Knowledge([f"T{i}" for i in range(items)], years, AttributeGraph.from_triples(triples, items),
                     histories=histories, numbers=numbers if draw(st.booleans()) else {})  # fmt: skip
