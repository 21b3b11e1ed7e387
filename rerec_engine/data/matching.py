"""Titles of other files to items of the catalogue, telling "none" from "several"."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence


def title_matcher(titles: Sequence[str], years: Sequence[int | None]) -> Callable[[str], Iterable[int]]:
    """`matches(title)`: the item that the catalogue finds, several where the title is ambiguous, none where unknown."""
    from rerec_engine.graph.catalogue import Catalogue

    catalogue = Catalogue(list(titles), list(years))

    def matches(title: str) -> list[int]:
        match = catalogue.explain(title)
        if match.item_id >= 0:
            return [match.item_id]
        return list(match.alternatives) if match.rule == "ambiguous" else []

    return matches
