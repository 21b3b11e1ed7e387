"""What presets join from further files of their folders: tables of item, relation and value."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rerec_engine.data.files.encoding import find_encoding, text_of, told_faults
from rerec_engine.data.files.items import FileItems
from rerec_engine.data.files.json_rows import parse_line
from rerec_engine.data.files.reading import TableFile
from rerec_engine.data.files.table import Rows, Table, whole
from rerec_engine.data.sources import SourceItems, read_kg

FEWEST_TAGGERS = 2
"""People who gave an artist of Last.fm a tag that counts."""
ROLES_OF_PEOPLE = {
    "": "author", "author": "author", "goodreads author": "author", "illustrator": "illustrator",
    "translator": "translator", "editor": "editor", "narrator": "narrator",
}  # fmt: skip
"""Relations by what Goodreads calls a person's part in a book, which is free text there."""
GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
"""The last columns of ML-100K's u.item, as its README and u.genre name them."""
FIRST_GENRE = 6
"""The column of the first."""


def first_of(folder: Path, *patterns: str) -> Path | None:
    """The first file of the folder that fits the first pattern that any fits."""
    return next((path for pattern in patterns for path in sorted(folder.glob(pattern))), None)


def lastfm_tags(folder: Path, rows: Rows, items: FileItems) -> Table | None:
    """user_taggedartists.dat joined with tags.dat: the tags that at least two people gave an artist."""
    given, names = folder / "user_taggedartists.dat", folder / "tags.dat"
    if not (given.is_file() and names.is_file()):
        return None
    tags = TableFile(names).read(replace(rows, kind=f"tags ({names.name})"))
    rows.counts.keep(f"tags ({names.name})", tags.count)
    table = TableFile(given).read(replace(rows, kind=f"tags given ({given.name})"))
    rows.counts.keep(f"tags given ({given.name})", table.count)
    place = pc.index_in(table.column("tagID"), value_set=tags.column("tagID"))
    pairs = pa.table({"item": table.column("artistID"), "value": tags.column("tagValue").take(place)})
    often = pairs.group_by(["item", "value"], use_threads=False).aggregate([([], "count_all")])
    often = often.filter(pc.greater_equal(often["count_all"], FEWEST_TAGGERS))
    relation = pa.array(["tag"] * often.num_rows, pa.string())
    data = pa.table({"item": whole(often["item"]), "relation": relation, "value": whole(often["value"])})
    return Table(given, data, f"tags of at least {FEWEST_TAGGERS} people")


def ml_100k_genres(folder: Path, rows: Rows, items: FileItems) -> Table | None:
    """u.item's columns of 0 and 1, one a genre."""
    path = folder / "u.item"
    if not path.is_file():
        return None
    kind = f"genres ({path.name})"
    columns = {f"column {FIRST_GENRE + number}": name for number, name in enumerate(GENRES)}
    table = TableFile(path, header=False).read(replace(rows, kind=kind), ["column 1", *columns])
    rows.counts.keep(kind, table.count)
    ids = table.column("column 1")
    found = [
        (own, "genre", name)
        for column, name in columns.items()
        if column in table.columns
        for own in ids.filter(pc.equal(table.column(column), "1")).to_pylist()
    ]
    return _triples(path, found, "columns of 0 and 1")


def goodreads_authors(folder: Path, rows: Rows, items: FileItems) -> Table | None:
    """The people of the books, named by goodreads_book_authors.json.gz; a relation for each part that one has in it."""
    names, books = first_of(folder, "goodreads_book_authors*.json*"), first_of(folder, "goodreads_books*.json*")
    if names is None or books is None:
        return None
    table = TableFile(names).read(replace(rows, kind=f"authors ({names.name})"), ["author_id", "name"])
    rows.counts.keep(f"authors ({names.name})", table.count)
    by_id = dict(zip(table.column("author_id").to_pylist(), table.column("name").to_pylist(), strict=True))
    known, kind = set(items.ids.to_pylist()), f"authors of books ({books.name})"
    found: list[tuple[str, str, str]] = []
    for book in _objects(books):
        own = str(book.get("book_id", ""))
        for person in book.get("authors") or () if own in known else ():
            rows.counts.read(kind)
            relation = ROLES_OF_PEOPLE.get(str(person.get("role") or "").strip().casefold())
            name = by_id.get(str(person.get("author_id")))
            if relation is None or not name:
                rows.counts.drop(kind, f"not in {names.name}" if relation else "another part in the book")
                continue
            rows.counts.keep(kind)
            found.append((own, relation, name))
    return _triples(books, found, f"authors named by {names.name}")


def recbole_graph(folder: Path, rows: Rows, items: FileItems) -> Table | None:
    """The .kg whose .link tells the items' entities. An entity that is an item is said by its title; Freebase's ids of
    others name nothing that a request could be about, and are dropped."""
    path = first_of(folder, "*.kg")
    if path is None or not path.with_suffix(".link").is_file():
        return None
    ids = items.ids.to_pylist()
    source = SourceItems(items.titles, items.years, {own: item for item, own in enumerate(ids)})
    triples = read_kg(path, path.with_suffix(".link"), source, rows.counts, skip_bad=rows.skip_bad, named=True)
    return _triples(path, [(ids[item], relation, value) for item, relation, value in triples], "entities with names")


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    """A line's each; broken ones were told when the items were read."""
    with told_faults(path), text_of(path, find_encoding(path)) as text:
        for line in text:
            with suppress(ValueError):
                yield parse_line(line)


def _triples(path: Path, found: list[tuple[str, str, str]], told: str) -> Table:
    columns = zip(*found, strict=True) if found else ((), (), ())
    arrays = [pa.array(column, pa.string()) for column in columns]
    return Table(path, pa.table(dict(zip(("item", "relation", "value"), arrays, strict=True))), told)
