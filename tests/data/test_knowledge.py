from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.sparse as sp

from rerec_engine.data.dataset import load_dataset, write_dataset
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.graph.numbers import ItemNumbers
from rerec_engine.types import Message, Query


def test_a_directory_gives_back_what_is_known(tmp_path: Path) -> None:
    chosen = sp.csr_matrix(np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], np.float32))
    price = ItemNumbers(np.array([9.5, np.nan, 20.0]), np.array([9.5, np.nan, 20.0]))
    asked = Query("q", (Message(role="user", content="x"),), (0,), asked=("price",), profile="a teacher")
    write_dataset(
        tmp_path / "d",
        titles=["A", "B", "C"],
        years=[1999, None, None],
        relations=["genre"],
        values=["War"],
        item_attributes=sp.csr_matrix(np.array([[1], [0], [1]], np.int8)),
        interactions=chosen,
        item_embeddings=np.eye(3, dtype=np.float32),
        splits={"train": [asked]},
        data_source="test",
        profiles=["under 18 years old", "", "a teacher"],
        texts=["a card game", None, ""],
        numbers={"price": price},
    )
    dataset = load_dataset(tmp_path / "d")
    known = Knowledge.of(dataset)
    assert [own.tolist() for own in known.histories] == [[0, 2], [], [1]]
    assert known.item_count == 3
    assert known.profiles == ("under 18 years old", "", "a teacher")
    assert known.texts == ("a card game", None, "")
    np.testing.assert_array_equal(known.numbers["price"].low, price.low)
    assert (dataset.queries("train")[0].asked, dataset.queries("train")[0].profile) == (("price",), "a teacher")
