"""The metrics of `recbench.py` with titles matched through our catalogue instead of difflib.

A prediction counts once however often it is repeated, so that NDCG never exceeds 1, and no other film's similar title
matches. Ground truths that the catalogue lacks are added to it for the occasion.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.graph.titles import normalise
from rerec_engine.metrics.recbench import SEPARATOR, RowScore, binary_ndcg, split_titles


class CatalogueScorer:
    """Scores answers by item ids. titles: the dataset's; ground_truth: every title list that will be asked for."""

    def __init__(
        self, titles: Sequence[str], years: Sequence[int | None] | None, ground_truth: Iterable[Sequence[str]]
    ) -> None:
        catalogue = Catalogue(titles, years)
        unknown = sorted({title for truth in ground_truth for title in truth if catalogue.match(title) < 0})
        self.added = len(unknown)
        """Number of ground-truth titles that the dataset lacks, or names ambiguously."""
        if unknown:
            extended_years = None if years is None else [*years, *([None] * len(unknown))]
            catalogue = Catalogue([*titles, *unknown], extended_years)
        self._catalogue = catalogue
        self._added = {title: len(titles) + i for i, title in enumerate(unknown)}

    def score(self, row_id: str, response: str, ground_truth: Sequence[str]) -> RowScore:
        """Score one answer. ground_truth: titles, at least one."""
        if not ground_truth:
            raise ValueError(f"query {row_id!r} has no ground truth")
        truth = set(self.truth(ground_truth))
        ranking = self.ranking(response, ground_truth)
        hits = [item in truth for item in ranking]
        return RowScore(
            id=row_id,
            precision=sum(hits) / len(hits),
            recall=sum(hits) / len(truth),
            ndcg=binary_ndcg(hits, len(truth)),
            ftr=SEPARATOR not in response,
        )

    def ranking(self, response: str, ground_truth: Sequence[str]) -> list[int]:
        """The items of an answer, in its order, without repeats; -1: a title in no catalogue, or an ambiguous one."""
        truth = set(self.truth(ground_truth))
        titles = split_titles(response)
        named = [self._predicted_id(title, truth) for title in titles]
        kept = dict.fromkeys(i if i >= 0 else normalise(title) for i, title in zip(named, titles, strict=True))
        return [i if isinstance(i, int) else -1 for i in kept]

    def truth(self, ground_truth: Sequence[str]) -> list[int]:
        """The items of the ground truth; those that the dataset lacks have the numbers behind its own."""
        return [self._truth_id(title) for title in ground_truth]

    def _truth_id(self, title: str) -> int:
        return self._added[title] if title in self._added else self._catalogue.match(title)

    def _predicted_id(self, title: str, truth: set[int]) -> int:
        """A title that fits several items (a missing year) is read as the ground truth among them, if there is one."""
        found = self._catalogue.explain(title)
        if found.rule != "ambiguous":
            return found.item_id
        return self._catalogue.match(title, sorted(truth.intersection(found.alternatives)))
