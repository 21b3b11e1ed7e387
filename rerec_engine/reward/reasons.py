"""What the reward engine tells of the statements in responses: how many there are, and how many are true."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rerec_engine import _core
from rerec_engine.data.description import DatasetDescription, read_description
from rerec_engine.errors import UserError
from rerec_engine.reward.phrases import phrases, value_kinds


@dataclass(frozen=True)
class Reasons:
    """Statements "item has value" of B responses before their answer (of one without an answer: all)."""

    statements: NDArray[np.int32]
    """[B]"""
    true_statements: NDArray[np.int32]
    """[B], of these"""

    @property
    def true_reasons(self) -> NDArray[np.float32]:
        """[B], the share of true statements; NaN where there is none."""
        share = np.full(len(self.statements), np.nan, dtype=np.float32)
        np.divide(self.true_statements, self.statements, out=share, where=self.statements > 0, casting="unsafe")
        return share


def true_share(statements: float, true_statements: float) -> float | None:
    """The share of true statements among all of a set of responses; None where there is none.

    >>> true_share(4, 3), true_share(0, 0)
    (0.75, None)
    """
    return float(true_statements) / float(statements) if statements > 0 else None


@dataclass(frozen=True)
class ReasonSource:
    """Where the relations of the attributes and their wording come from."""

    relations: Callable[[], Sequence[str]]  # [A]
    description: Callable[[], DatasetDescription]

    @classmethod
    def of_directory(cls, folder: Path) -> ReasonSource:
        from rerec_engine.data.store import read_table

        def relations() -> list[str]:
            column: list[str] = read_table(folder / "attributes.parquet", ("relation",)).column("relation").to_pylist()
            return column

        return cls(relations, lambda: read_description(folder))

    @classmethod
    def of(cls, relations: Sequence[str], description: DatasetDescription | None) -> ReasonSource:
        return cls(lambda: relations, lambda: description or DatasetDescription())


class ReasonIndex:
    """Has the engine build its index of names when it is first needed. May be asked from several threads."""

    def __init__(self, core: _core.Engine, source: ReasonSource | None) -> None:
        self._core, self._source = core, source
        self._lock, self._built = threading.Lock(), False

    @property
    def available(self) -> bool:
        return self._source is not None

    def build(self) -> None:
        """Errors: `UserError` where the attributes' names are not known."""
        if self._source is None:
            raise UserError("true reasons need attribute_names (of a dataset directory: attributes.parquet)")
        with self._lock:
            if self._built:
                return
            description = self._source.description()
            kinds = value_kinds(self._source.relations(), description)
            found = phrases(kinds.relations, description)
            self._core.read_names(
                kinds.relation,
                kinds.any_case.astype(np.uint8),
                [phrase.words for phrase in found],
                np.array([phrase.kind for phrase in found], dtype=np.int8),
                np.array([phrase.flags for phrase in found], dtype=np.uint8),
                np.array([phrase.mask for phrase in found], dtype=np.uint64),
            )
            self._built = True
