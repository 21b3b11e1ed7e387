"""`prepare requests` over a dataset directory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rerec_engine.data.dataset import load_dataset
from rerec_engine.prepare import Demo, Requests, run
from rerec_engine.worlds.options import CatalogueRequestOptions, DemoOptions


def test_the_catalogue_stays_and_the_queries_are_new(tmp_path: Path) -> None:
    small = DemoOptions(
        train_queries=10, val_queries=5, test_queries=5, short_traces=3, medium_traces=3,
        full_traces=3, biased_traces=3, embedding_epochs=1,
    )  # fmt: skip
    run(Demo(tmp_path / "demo", small))
    options = CatalogueRequestOptions(train_queries=20, val_queries=5, test_queries=8, traces=12)
    told = run(Requests(tmp_path / "new", tmp_path / "demo", facts="asked", order="fresh", options=options))
    old, new = load_dataset(tmp_path / "demo"), load_dataset(tmp_path / "new")
    assert "test: 8 queries\n12 traces" in told
    assert new.titles == old.titles
    assert new.attributes.values == old.attributes.values
    assert np.array_equal(new.item_embeddings, old.item_embeddings)
    assert (new.interactions != old.interactions).nnz == 0
    assert {split: len(new.queries(split)) for split in new.splits} == options.counts
    assert (new.description.form, new.description.facts, new.description.order) == ("sentences", "asked", "fresh")
    assert (tmp_path / "new" / "warm_start.parquet").is_file()
    assert (tmp_path / "new" / "vocabulary.json").is_file()
