"""All that is known of a catalogue: what requests are written over, facts are shown from, and reasons judged by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rerec_engine.data.dataset import Dataset
from rerec_engine.data.description import DatasetDescription
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.graph.numbers import ItemNumbers


@dataclass(frozen=True, eq=False)
class Knowledge:
    """A catalogue, before or after it is a dataset directory."""

    titles: Sequence[str]  # [N], distinct
    years: Sequence[int | None]  # [N]
    attributes: AttributeGraph
    description: DatasetDescription = field(default_factory=DatasetDescription)
    numbers: Mapping[str, ItemNumbers] = field(default_factory=dict)
    texts: Sequence[str | None] = ()  # [N], descriptions; empty: of no item
    histories: Sequence[np.ndarray] = ()  # [U], each user's items, oldest first where the times are known
    profiles: Sequence[str] = ()  # [U], each user in a few words ("young female teacher"), "" unknown; or empty

    @property
    def item_count(self) -> int:
        return len(self.titles)

    @classmethod
    def of(cls, dataset: Dataset, users: bool = True) -> Knowledge:
        """Of a dataset directory, which does not know in which order its users chose. users: whether histories are
        wanted."""
        matrix = dataset.interactions
        return cls(
            titles=dataset.titles,
            years=dataset.years,
            attributes=dataset.attributes,
            description=dataset.description,
            numbers=dataset.numbers,
            texts=dataset.texts,
            histories=np.split(matrix.indices, matrix.indptr[1:-1]) if users and matrix.shape[0] else (),
            profiles=dataset.profiles if users else (),
        )
