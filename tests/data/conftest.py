"""A small, valid dataset that the tests of this folder write and then damage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from rerec_engine.data.assemble import Prepared
from rerec_engine.data.dataset import write_dataset
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.data.prompter import Prompter
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.types import Message, Query

TITLES = ("Heat (1995)", "Usual Suspects, The (1995)", "Alien³ (1992)", "Untitled", "Casino (1995)")


def query(name: str, **fields: Any) -> Query:
    message = Message(role="user", content="a \\boxed{film}?")
    defaults: dict[str, Any] = {
        "messages": (message,),
        "ground_truth": (0,),
        "candidates": (2, 0, 1),
        "category": "explicit",
        "request": "a film?",
    }
    return Query(id=name, **{**defaults, **fields})


@pytest.fixture
def arguments() -> dict[str, Any]:
    """Keyword arguments of `write_dataset`."""
    graph = AttributeGraph.from_triples([(0, "genre", "Crime"), (1, "genre", "Crime"), (2, "genre", "Sci-Fi")], 5)
    return {
        "titles": TITLES,
        "years": (1995, 1995, 1992, None, 1995),
        "relations": graph.relations,
        "values": graph.values,
        "item_attributes": graph.item_attributes,
        "interactions": sp.csr_matrix(np.array([[1, 0, 1, 0, 0], [0, 1, 0, 0, 1]], np.float32)),
        "item_embeddings": np.eye(5, 3, dtype=np.float32),
        "splits": {
            "train": [
                query("a", condition_num=2, user_id=1, history=(1, 4)),
                query("b", ground_truth=(3, 4), candidates=(), category="interest"),
            ],
            "test": [query("c")],
        },
        "data_source": "made",
    }


@pytest.fixture
def written(tmp_path: Path, arguments: dict[str, Any]) -> Callable[..., Path]:
    """Writes the dataset, with some arguments replaced, and returns its directory."""

    def write(**changes: Any) -> Path:
        path = tmp_path / "dataset"
        write_dataset(path, **{**arguments, **changes})
        return path

    return write


@pytest.fixture
def check_prompts() -> Callable[[Prepared], None]:
    """Whether each prompt of what was prepared is the one that is made anew from its query; `UserError` where not."""

    def check(prepared: Prepared) -> None:
        items, graph = prepared.items, prepared.graph
        prompter = Prompter(Knowledge(items.titles, items.years, graph, prepared.description))
        for split, queries in prepared.splits.items():
            prompter.check(queries, Path(split), "none")

    return check
