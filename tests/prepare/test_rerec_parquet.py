"""`prepare rerec-parquet`: splits and graphs found in a folder, or a catalogue and triples given instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networkx as nx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rerec_engine.data.dataset import load_dataset
from rerec_engine.data.options import EmbeddingOptions, ParquetOptions
from rerec_engine.errors import UserError
from rerec_engine.prepare import RerecParquet, Shares, run

FILMS = [f"Film {i} ({1990 + i})" for i in range(6)]
SMALL = EmbeddingOptions("attributes", dim=2)


def row(number: int, truth: str | None = None) -> dict[str, Any]:
    text = f"Film number {number}? Candidates:\n" + "\n".join(FILMS)
    return {
        "prompt": [{"role": "user", "content": text}],
        "reward_model": {"ground_truth": FILMS[number] if truth is None else truth},
        "extra_info": {"index": number},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two splits, films of two genres, and who saw what."""
    root = tmp_path / "rerec"
    root.mkdir()
    pq.write_table(pa.Table.from_pylist([row(number) for number in range(4)]), root / "train.parquet")
    pq.write_table(pa.Table.from_pylist([row(4)]), root / "test.parquet")
    items, users = nx.Graph(), nx.Graph()
    for number, title in enumerate(FILMS):
        items.add_node(title, type="movie")
        users.add_node(title, type="movie")
        items.add_edge(title, f"Genre {number % 2}", relation="genre")
        users.add_edge(f"u{number % 3}", title)
    nx.write_gexf(items, root / "items.gexf")
    nx.write_gexf(users, root / "user_item.gexf")
    return root


def test_a_folder_becomes_a_dataset(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    told = run(RerecParquet(output, folder, embedding=SMALL, shares=Shares(val=0.25)))
    assert "queries with candidates (train): 4" in told
    dataset = load_dataset(output)
    assert (dataset.titles, dataset.years[1]) == (tuple(FILMS), 1991)
    assert dataset.attributes.attributes_of(1) == [("genre", "Genre 1")]
    assert dataset.user_ids == ("u0", "u1", "u2")
    assert {split: len(dataset.queries(split)) for split in dataset.splits} == {"train": 3, "val": 1, "test": 1}
    (query,) = dataset.queries("test")
    assert (query.ground_truth, query.candidates, query.request) == ((4,), (0, 1, 2, 3, 4, 5), "Film number 4?")


def test_a_catalogue_and_triples_instead_of_graphs(folder: Path, tmp_path: Path) -> None:
    for path in folder.glob("*.gexf"):
        path.unlink()
    with pytest.raises(UserError, match="give a graph"):
        run(RerecParquet(tmp_path / "out", folder, embedding=SMALL))
    catalogue, triples, ratings = tmp_path / "films.tsv", tmp_path / "triples.tsv", tmp_path / "ratings.dat"
    catalogue.write_text("".join(f"{number}\t{title}\n" for number, title in enumerate(FILMS)))
    triples.write_text("".join(f"{number}\tkind\tKind {number % 2}\n" for number in range(6)))
    ratings.write_text("9::0::5::1\n")
    run(
        RerecParquet(
            tmp_path / "out", folder, triples, catalogue, ratings, embedding=SMALL, options=ParquetOptions(open=True)
        )
    )
    dataset = load_dataset(tmp_path / "out")
    assert dataset.attributes.attributes_of(1) == [("kind", "Kind 1")]
    assert (dataset.user_ids, dataset.source_ids[5]) == (("9",), "5")
    assert dataset.queries("test")[0].candidates == ()


def test_a_broken_row_is_named_or_counted(folder: Path, tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([row(0), row(1, "Nothing (1900)")]), folder / "test.parquet")
    with pytest.raises(UserError, match=r"test\.parquet:2: .*'Nothing \(1900\)' is in no catalogue"):
        run(RerecParquet(tmp_path / "out", folder, embedding=SMALL))
    assert not (tmp_path / "out").exists()
    told = run(RerecParquet(tmp_path / "out", folder, embedding=SMALL, options=ParquetOptions(skip_bad=True)))
    assert "title in no catalogue 1" in told
    assert len(load_dataset(tmp_path / "out").queries("test")) == 1


def test_a_folder_without_its_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gone: no such directory"):
        run(RerecParquet(tmp_path / "out", tmp_path / "gone"))
    with pytest.raises(UserError, match="no train, val or test parquet file"):
        run(RerecParquet(tmp_path / "out", tmp_path))
