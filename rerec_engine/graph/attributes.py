"""The item-attribute graph: which item has which (relation, value), as one CSR matrix.

QAS counts over it: |attrs(p) ∩ attrs(gt)| / |attrs(gt)| (ReRec, arXiv 2604.07851).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp


@dataclass(frozen=True, eq=False)
class AttributeGraph:
    """Attribute a is (relations[a], values[a]); item_attributes[i, a] is 1 where item i has it.

    Rows are sorted and hold each attribute once. Raises ValueError where table and matrix disagree.
    """

    relations: tuple[str, ...]  # [A]
    values: tuple[str, ...]  # [A]
    item_attributes: sp.csr_matrix  # [N, A] int8

    def __post_init__(self) -> None:
        if len(self.relations) != len(self.values):
            raise ValueError(f"expected as many relations as values, got {len(self.relations)} and {len(self.values)}")
        if self.item_attributes.shape[1] != len(self.values):
            raise ValueError(
                f"{len(self.values)} attributes, but item_attributes has {self.item_attributes.shape[1]} columns"
            )
        if len(self._index) != len(self.values):
            raise ValueError("an attribute (relation, value) is given twice")

    @classmethod
    def from_triples(cls, triples: Iterable[tuple[int, str, str]], item_count: int) -> AttributeGraph:
        """Build from (item, relation, value), repeats dropped; attributes are numbered in order of appearance.

        Raises ValueError for an item outside 0..item_count-1.
        """
        index: dict[tuple[str, str], int] = {}
        pairs: set[tuple[int, int]] = set()
        for item, relation, value in triples:
            if not 0 <= item < item_count:
                raise ValueError(f"item must be in 0..{item_count - 1}, got {item}")
            pairs.add((item, index.setdefault((relation, value), len(index))))
        rows_columns = np.array(sorted(pairs), np.int64).reshape(-1, 2)
        matrix = sp.csr_matrix(
            (np.ones(len(pairs), np.int8), (rows_columns[:, 0], rows_columns[:, 1])), (item_count, len(index)), np.int8
        )
        return cls(tuple(r for r, _ in index), tuple(v for _, v in index), matrix)

    @cached_property
    def breadth(self) -> Mapping[str, int]:
        """How many values each relation has."""
        return Counter(self.relations)

    @cached_property
    def _index(self) -> dict[tuple[str, str], int]:
        return {pair: a for a, pair in enumerate(zip(self.relations, self.values, strict=True))}

    @cached_property
    def _by_attribute(self) -> sp.csc_matrix:
        return self.item_attributes.tocsc()

    @property
    def item_count(self) -> int:
        return int(self.item_attributes.shape[0])

    def __len__(self) -> int:
        return len(self.values)

    def find(self, relation: str, value: str) -> int:
        """The attribute's id, or -1 where there is none."""
        return self._index.get((relation, value), -1)

    def ids_of(self, item: int) -> np.ndarray:
        """The item's attribute ids, ascending: [degree] int32."""
        if not 0 <= item < self.item_count:
            raise ValueError(f"item must be in 0..{self.item_count - 1}, got {item}")
        matrix = self.item_attributes
        return np.asarray(matrix.indices[matrix.indptr[item] : matrix.indptr[item + 1]])

    def attributes_of(self, item: int) -> list[tuple[str, str]]:
        """The item's (relation, value) pairs, by attribute id."""
        return [(self.relations[a], self.values[a]) for a in self.ids_of(item)]

    def shared_by(self, items: Sequence[int]) -> np.ndarray:
        """Ids of the attributes that all items have: [k] int64. Raises ValueError for no item."""
        if not len(items):
            raise ValueError("shared_by needs at least one item")
        unique = set(items)
        counts = np.bincount(np.concatenate([self.ids_of(item) for item in unique]), minlength=len(self))  # [A]
        return np.flatnonzero(counts == len(unique))

    def count_shared(self, attribute_ids: Sequence[int] | np.ndarray) -> np.ndarray:
        """How many of the (distinct) attributes each item has: [N] int64."""
        counts = np.zeros(self.item_count, np.int64)
        columns = self._by_attribute
        for a in attribute_ids:
            if not 0 <= a < len(self):
                raise ValueError(f"attribute must be in 0..{len(self) - 1}, got {a}")
            counts[columns.indices[columns.indptr[a] : columns.indptr[a + 1]]] += 1
        return counts

    def items_with(self, attribute_ids: Sequence[int] | np.ndarray) -> np.ndarray:
        """Items that have all of the attributes, ascending: [k] int64. No attribute: every item."""
        wanted = sorted({int(a) for a in attribute_ids})
        return np.flatnonzero(self.count_shared(wanted) == len(wanted))
