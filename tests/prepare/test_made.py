"""`prepare demo`, `world` and `next-item`: each writes the dataset that its options ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rerec_engine.data.dataset import load_dataset
from rerec_engine.errors import UserError
from rerec_engine.prepare import Demo, NextItem, World, run
from rerec_engine.worlds.options import DemoOptions, FilmOptions, NextItemOptions

SMALL: dict[str, Any] = {
    "train_queries": 12, "val_queries": 6, "test_queries": 6, "candidates": 6, "short_traces": 4, "medium_traces": 4,
    "full_traces": 4, "biased_traces": 4, "embedding_epochs": 1,
}  # fmt: skip


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """RecBole's MovieLens: 60 films; user u met films 7u, 7u + 5, 7u + 10, ... in that order."""
    folder = tmp_path / "ml"
    folder.mkdir()
    genres = ("War", "Drama Romance", "Comedy", "Crime Drama Horror")
    items = [f"{i}\tFilm {i}\t{1950 + i // 6}\t{genres[i % 4]}" for i in range(60)]
    rows = [f"u{u}\t{(7 * u + 5 * k) % 60}\t4\t{100 + k}" for u in range(24) for k in range(12)]
    users = [f"u{u}\t{24 if u < 10 else 61}\tM\twriter\t8" for u in range(24)]
    files = {
        "item": ["item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq", *items],
        "inter": ["user_id:token\titem_id:token\trating:float\ttimestamp:float", *rows],
        "user": ["user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token", *users],
    }
    for suffix, lines in files.items():
        (folder / f"ml.{suffix}").write_text("\n".join([*lines, ""]))
    return folder


def test_demo(tmp_path: Path) -> None:
    output = tmp_path / "demo"
    options = DemoOptions(**SMALL, films=40, books=40, users=40, domain="film", seed=3)
    assert run(Demo(output, options)) == f"written to {output}"
    dataset = load_dataset(output)
    assert dataset.description.invented
    assert {split: len(dataset.queries(split)) for split in dataset.splits} == {"train": 12, "val": 6, "test": 6}
    assert (output / "warm_start.parquet").is_file()
    assert Demo(output).options == DemoOptions()


def test_world(tmp_path: Path, films: Path) -> None:
    output = tmp_path / "films"
    assert run(World(output, FilmOptions(**SMALL, movielens=films, min_ratings=1))) == f"written to {output}"
    dataset = load_dataset(output)
    assert dataset.titles[3] == "Film 3 (1950)"
    assert not dataset.description.invented
    assert len(dataset.queries("test")) == 6
    with pytest.raises(UserError, match="0 films have 99 ratings, a year and a genre"):
        run(World(output, FilmOptions(**SMALL, movielens=films, min_ratings=99)))


def test_films_that_share_nothing_end_in_one_line(tmp_path: Path, films: Path) -> None:
    """No two are of one year, so that no request can name another film's; the demo's kinds cannot all be made."""
    header, *rows = (films / "ml.item").read_text().splitlines()
    alone = ["\t".join([*row.split("\t")[:2], f"{1900 + i}", "War"]) for i, row in enumerate(rows)]
    (films / "ml.item").write_text("\n".join([header, *alone, ""]))
    with pytest.raises(
        UserError, match="no misinformed request of the train split can be made: too few of the 60 items"
    ):
        run(World(tmp_path / "films", FilmOptions(**SMALL, movielens=films, min_ratings=1)))
    assert not (tmp_path / "films").exists()


def test_next_item(tmp_path: Path, films: Path) -> None:
    output = tmp_path / "next"
    assert (
        run(NextItem(output, NextItemOptions(**SMALL, movielens=films, min_ratings=1, history=3)))
        == f"written to {output}"
    )
    dataset = load_dataset(output)
    for query in dataset.queries("test"):
        user = int(dataset.user_ids[query.user_id].removeprefix("u"))
        assert query.ground_truth == ((7 * user + 55) % 60,)
        assert len(query.history) == 3
    with pytest.raises(UserError, match="gone: no such directory"):
        run(NextItem(output, NextItemOptions(**SMALL, movielens=tmp_path / "gone")))
