"""RecBole's atomic files: a header of names and types, rows of cells separated by tabs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rerec_engine.data.files.cells import is_missing
from rerec_engine.data.files.times import parse_year
from rerec_engine.data.tables import ItemRow, lines_of, number, title_year
from rerec_engine.errors import file_error

_NAMES = {
    "item_id": ("item_id",),
    "title": ("movie_title", "movie_name", "title", "name", "item_name", "item_title", "book_title", "product_title"),
    "year": ("release_year", "movie_year", "year", "release_date", "publication_year", "year_of_publication"),
    "class": ("class", "genre", "genres", "type", "category", "categories", "movie_genre"),
}
"""By what it tells, the names of an item's columns, likeliest first; years and classes may be missing."""


def header_of(path: Path) -> list[tuple[str, str]]:
    """(name, type) of every column; a type is "" where it is not told."""
    first = next(lines_of(path), (1, ""))[1]
    parts = [part.partition(":") for part in first.split("\t")]
    return [(name.strip(), kind.strip()) for name, _, kind in parts]


def check_header(path: Path, names: tuple[str, ...]) -> None:
    """Raises UserError unless the file starts with RecBole's typed header of these fields."""
    got = tuple(name for name, _ in header_of(path))
    if got[: len(names)] != names:
        raise file_error(path, f"expected the header {', '.join(names)}, got {', '.join(got)[:120]!r}", 1)


def item_parser(path: Path) -> Callable[[str], ItemRow]:
    """The parser of an `.item` file's lines, whatever the order of its columns -> (id, "Title (Year)", year, classes).

    A year that is no number ("unkonwn", "V") is none: the title stays as it is. Raises UserError for a header without
    id or title.
    """
    header = header_of(path)
    columns = {name: place for place, (name, _) in reversed([*enumerate(header)])}
    found = {kind: next((columns[name] for name in names if name in columns), -1) for kind, names in _NAMES.items()}
    if min(found["item_id"], found["title"]) < 0:
        told = ", ".join(name for name, _ in header)[:120]
        raise file_error(path, f"expected a header with item_id and {_NAMES['title'][0]}, got {told!r}", 1)
    several = found["class"] >= 0 and header[found["class"]][1] != "token"

    def parse(line: str) -> ItemRow:
        parts = [part.strip() for part in line.split("\t")]
        if len(parts) != len(header):
            raise ValueError(f"expected {len(header)} fields separated by tabs, got {len(parts)}")
        item, title = parts[found["item_id"]], parts[found["title"]]
        if not item or not title:
            raise ValueError(f"the {'title' if item else 'item_id'} is empty")
        year = parse_year(parts[found["year"]]) if found["year"] >= 0 else None
        classes = classes_of(parts[found["class"]], several) if found["class"] >= 0 else []
        if (own := title_year(title)) is not None or year is None:
            return item, title, year if year is not None else own, classes
        return item, f"{title} ({year})", year, classes

    return parse


def classes_of(cell: str, several: bool) -> list[str]:
    """The classes of a cell, separated by bars or, where it holds several, blanks; none where it says that it has none.

    >>> classes_of("Crime War", True), classes_of("Board Game", False), classes_of("(no genres listed)", True)
    (['Crime', 'War'], ['Board Game'], [])
    """
    if is_missing(cell):
        return []
    parts = cell.split("|") if "|" in cell else cell.split() if several else [cell]
    return [part.strip() for part in parts if not is_missing(part.strip())]


def parse_rating(line: str) -> tuple[str, str, float, int]:
    """A line of an `.inter` file, `user<TAB>item<TAB>rating<TAB>timestamp` -> (user, item, rating, seconds)."""
    parts = [part.strip() for part in line.split("\t")]
    if len(parts) < 4 or not all(parts[:4]):
        raise ValueError(f"expected user_id, item_id, rating and timestamp separated by tabs, got {len(parts)} fields")
    return parts[0], parts[1], number(parts[2], "rating"), int(number(parts[3], "timestamp"))
