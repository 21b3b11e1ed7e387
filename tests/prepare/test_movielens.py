"""`prepare movielens`: the files of a copy, found in its folder or given one by one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rerec_engine.data.dataset import load_dataset
from rerec_engine.data.options import EmbeddingOptions, MovieLensOptions
from rerec_engine.errors import UserError
from rerec_engine.prepare import MovieLens, Shares, run

SMALL = EmbeddingOptions("attributes", dim=2)


def settings(output: Path) -> str:
    """The sources, as the report tells them."""
    return str(json.loads((output / "prepare_report.json").read_text())["settings"]["sources"])


def test_a_folder_and_a_file_from_elsewhere(source: Path, tmp_path: Path) -> None:
    output, attributes = tmp_path / "out", source / "ml-1m-dbpedia/item_attributes.tsv"
    told = run(
        MovieLens(output, source / "ml-1m", attributes=attributes, embedding=SMALL, shares=Shares(val=0.2, test=0.2))
    )
    assert told.endswith(f"written to {output}")
    dataset = load_dataset(output)
    assert {split: len(dataset.queries(split)) for split in dataset.splits} == {"train": 3, "val": 1, "test": 1}
    assert ("starring", "Star 1") in dataset.attributes.attributes_of(0)
    assert "item_attributes.tsv" in settings(output)


def test_files_one_by_one(source: Path, tmp_path: Path) -> None:
    ratings = tmp_path / "my.dat"
    ratings.write_text("".join(f"7::{i}::4::{i}\n" for i in range(1, 9)))
    users = tmp_path / "people.dat"
    users.write_text("7::F::25::12::1\n")
    output = tmp_path / "out"
    task = MovieLens(
        output, catalogue=source / "ml-1m/movies.dat", interactions=ratings, users=users, embedding=SMALL,
        options=MovieLensOptions(history=2),
    )  # fmt: skip
    run(task)
    (query,) = load_dataset(output).queries("test")
    assert (query.history, query.ground_truth) == ((5, 6), (7,))
    assert query.profile == "25-34 years old, female, programmer"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"source": "gone"}, "gone: no such directory"),
        ({"source": "."}, r"neither NAME\.inter \(RecBole\), ratings\.dat nor train\.txt is there"),
        ({}, "give --source DIR, or --catalogue and --interactions"),
        ({"catalogue": "ml-1m/movies.dat"}, "give --source DIR, or --catalogue and --interactions"),
        ({"source": "ml-1m", "catalogue": "gone.dat"}, r"gone\.dat: no such file"),
        ({"source": "ml-1m", "attributes": "gone.kg"}, r"gone\.link: no such file"),
    ],
)
def test_what_is_missing(source: Path, tmp_path: Path, names: dict[str, str], message: str) -> None:
    paths = {name: source / place for name, place in names.items()}
    with pytest.raises(UserError, match=message):
        run(MovieLens(tmp_path / "out", **paths, embedding=SMALL))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [MovieLensOptions(max_queries=0), MovieLensOptions(history=0)])
def test_options_out_of_range(source: Path, tmp_path: Path, options: MovieLensOptions) -> None:
    with pytest.raises(UserError, match="max_queries and history must be at least 1"):
        run(MovieLens(tmp_path / "out", source / "ml-1m", options=options))
