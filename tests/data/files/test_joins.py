"""What presets join from further files: people of books, genres in columns, a graph of entities."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from rerec_engine.data.files.catalogue import FileCatalogue, FileSources, read_catalogue
from rerec_engine.data.files.joins import GENRES, first_of
from rerec_engine.data.files.presets import PRESETS, find_files
from rerec_engine.data.options import FilesOptions


def read(name: str, folder: Path, skip_bad: bool = False) -> FileCatalogue:
    found = find_files(PRESETS[name], folder)
    sources = FileSources(found.items, found.interactions, users=found.users, preset=found.preset, folder=folder)
    catalogue = read_catalogue(sources, FilesOptions(skip_bad=skip_bad))
    catalogue.counts.check()
    return catalogue


def rows(read: FileCatalogue, kind: str) -> Any:
    return read.counts.to_json()["rows"][kind]  # type: ignore[index]


def lines(folder: Path, name: str, entries: list[dict[str, Any]]) -> None:
    (folder / name).write_bytes(gzip.compress("".join(json.dumps(entry) + "\n" for entry in entries).encode()))


def test_the_first_file_that_fits(tmp_path: Path) -> None:
    for name in ("b.x", "a.y", "c.y"):
        (tmp_path / name).touch()
    assert first_of(tmp_path, "*.z", "*.y", "*.x") == tmp_path / "a.y"
    assert first_of(tmp_path, "*.z") is None


def test_people_of_goodreads(tmp_path: Path) -> None:
    """Parts are free text; a book without a title is dropped, and its people with it."""

    def book(own: str, title: str, *people: tuple[str, str]) -> dict[str, Any]:
        authors = [{"author_id": person, "role": role} for person, role in people]
        return {"book_id": own, "title": title, "authors": authors, "num_pages": "", "publication_year": "1984"}

    lines(
        tmp_path,
        "goodreads_books_history.json.gz",
        [
            book("5333265", "W.C. Fields", ("604031", "")),
            book("7", "Fables", ("10", "Goodreads Author"), ("604031", "Translator"), ("10", "Lettering")),
            book("8", "", ("10", "")),
            book("9", "Anon", ("404", "")),
        ],
    )
    person = {"average_rating": "3.98", "text_reviews_count": "7", "ratings_count": "49"}
    lines(
        tmp_path,
        "goodreads_book_authors.json.gz",
        [{**person, "author_id": "604031", "name": "Ronald J. Fields"}, {**person, "author_id": "10", "name": "Zoë"}],
    )
    catalogue = read("goodreads", tmp_path)
    attributes = catalogue.knowledge.attributes
    assert attributes.attributes_of(0) == [("author", "Ronald J. Fields")]
    assert attributes.attributes_of(1) == [("author", "Zoë"), ("translator", "Ronald J. Fields")]
    assert attributes.attributes_of(2) == []
    assert rows(catalogue, "authors of books (goodreads_books_history.json.gz)") == {
        "read": 5, "kept": 3, "dropped": {"another part in the book": 1, "not in goodreads_book_authors.json.gz": 1}
    }  # fmt: skip
    assert rows(catalogue, "authors (goodreads_book_authors.json.gz)") == {"read": 2, "kept": 2, "dropped": {}}


def film(own: str, title: str, date: str, *genres: str) -> str:
    """A row of u.item: the date of the video is empty, the link is escaped."""
    flags = "|".join(str(int(genre in genres)) for genre in GENRES)
    return f"{own}|{title}|{date}||http://us.imdb.com/M/title-exact?Toy%20Story%20(1995)|{flags}\n"


def test_ml_100k_as_grouplens_has_it(tmp_path: Path) -> None:
    """Bars, no header, latin-1; u.data has tabs; a film of which only the word "unknown" is told."""
    films = (
        film("1", "Toy Story (1995)", "01-Jan-1995", "Animation", "Children's", "Comedy")
        + film("267", "unknown", "", "unknown")
        + film("1633", "Á köldum klaka (Cold Fever) (1994)", "08-Mar-1996", "Comedy", "Drama")
    )
    (tmp_path / "u.item").write_bytes(films.encode("latin-1"))
    (tmp_path / "u.data").write_text("196\t1633\t3\t881250949\n196\t1\t3\t881250900\n22\t1\t1\t878887116\n")
    (tmp_path / "u.user").write_text("196|49|M|writer|55105\n22|25|M|other|40206\n305|23|F|none|94086\n")
    (tmp_path / "u.genre").write_text("unknown|0\nAction|1\n\n")
    catalogue = read("movielens", tmp_path)
    assert catalogue.knowledge.titles == ["Toy Story (1995)", "unknown", "Á köldum klaka (Cold Fever) (1994)"]
    assert catalogue.knowledge.years == [1995, None, 1996]
    attributes = [catalogue.knowledge.attributes.attributes_of(item) for item in range(3)]
    assert attributes[0] == [("genre", "Animation"), ("genre", "Children's"), ("genre", "Comedy")]
    assert attributes[1:] == [[], [("genre", "Comedy"), ("genre", "Drama")]]
    assert [own.tolist() for own in catalogue.knowledge.histories] == [[0, 2], [0]]
    assert catalogue.knowledge.profiles == ["45-49 years old, male, writer", "25-34 years old, male"]
    assert rows(catalogue, "users (u.user)") == {"read": 3, "kept": 2, "dropped": {"without interactions": 1}}
    assert rows(catalogue, "attributes (joined)") == {"read": 6, "kept": 5, "dropped": {"no value": 1}}
    assert rows(catalogue, "genres (u.item)")["kept"] == 3
    alone = FileSources(tmp_path / "u.item", preset=PRESETS["movielens"].of_items(tmp_path / "u.item"))
    assert read_catalogue(alone, FilesOptions()).knowledge.titles == catalogue.knowledge.titles


def test_a_graph_of_recbole(tmp_path: Path) -> None:
    """Entities with names, and items' own, are values; Freebase's ids of others are not."""
    (tmp_path / "x.item").write_text("item_id:token\tname:token_seq\n1\tAlien\n2\tAliens\n3\tHeat\n")
    (tmp_path / "x.inter").write_text("user_id:token\titem_id:token\n9\t1\n")
    (tmp_path / "x.link").write_text("item_id:token\tentity_id:token\n1\tm.01\n2\tm.02\n3\tm.0dt\n")
    (tmp_path / "x.kg").write_text(
        "head_id:token\trelation_id:token\ttail_id:token\nm.01\tfilm.film.sequel\tm.02\nm.01\tfilm.film.actor\tm.0h0\n"
        "m.0h0\tfilm.actor.film\tm.01\nm.0dt\tbelongs_to\tCrime films\nm.77\tfilm.film.actor\tm.0h0\n"
    )
    catalogue = read("recbole", tmp_path)
    attributes = [catalogue.knowledge.attributes.attributes_of(item) for item in range(3)]
    assert attributes == [[("film.film.sequel", "Aliens")], [], [("belongs_to", "Crime films")]]
    assert rows(catalogue, "attributes (x.kg)") == {
        "read": 5,
        "kept": 2,
        "dropped": {"an entity without a name": 1, "inverse of an item's edge": 1, "of no item": 1},
    }
    assert rows(catalogue, "attributes (joined)") == {"read": 2, "kept": 2, "dropped": {}}
    (tmp_path / "x.link").unlink()
    assert len(read("recbole", tmp_path).knowledge.attributes) == 0
