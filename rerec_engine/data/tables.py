"""Text tables: MovieLens `::` files, tab-separated ones, RecBole atomic files.

A parser takes one line and raises ValueError saying what it expected; `parse_lines` adds file and line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from rerec_engine.data.counts import Counts
from rerec_engine.data.files.cells import is_missing
from rerec_engine.data.files.encoding import STRANGE, whole_text
from rerec_engine.errors import file_error

T = TypeVar("T")
ItemRow = tuple[str, str, int | None, list[str]]
"""Id, title, year and genres."""
NO_TEXT = "bytes that are no text in the encoding of the rest of the file"
_YEAR = re.compile(r"\((\d{4})\)\s*$")


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, line without its end) of the lines that are not blank.

    Split at \\n alone: a text may hold characters that `str.splitlines` takes for line ends.
    """
    for number, line in enumerate(whole_text(path).split("\n"), 1):
        line = line.rstrip("\r")
        if line.strip():
            yield number, line


def parse_lines(
    path: Path, parse: Callable[[str], T], counts: Counts, kind: str, *, skip_bad: bool = False, header: bool = False
) -> Iterator[tuple[int, T]]:
    """(line number, parsed) of every line. A broken one is an error, or a counted drop with `skip_bad`.

    Each line counts as read of `kind`; whether a parsed one is kept or dropped is for the caller to count.
    """
    for number, line in lines_of(path):
        if header and number == 1:
            continue
        counts.read(kind)
        try:
            if STRANGE in line:
                raise ValueError(NO_TEXT)
            parsed = parse(line)
        except ValueError as error:
            if not skip_bad:
                raise file_error(path, str(error), number) from None
            counts.drop(kind, "broken row", f"{path.name}:{number}: {error}")
            continue
        yield number, parsed


def fields(line: str, separator: str, expected: int) -> list[str]:
    """Exactly `expected` fields, none of them blank."""
    parts = [part.strip() for part in line.split(separator)]
    if len(parts) != expected:
        raise ValueError(f"expected {expected} fields separated by {separator!r}, got {len(parts)}")
    if not all(parts):
        raise ValueError(f"field {parts.index('') + 1} is empty")
    return parts


def integer(text: str, name: str) -> int:
    """A decimal integer of at most 18 characters (`int` alone also takes underscores and other scripts' digits)."""
    if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 18):
        raise ValueError(f"{name} must be an integer, got {text[:40]!r}")
    return int(text)


def number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{name} must be a number, got {text[:40]!r}") from None
    if value - value != 0:
        raise ValueError(f"{name} must be a finite number, got {text!r}")
    return value


def title_year(title: str) -> int | None:
    """The year in brackets that ends a title: "Heat (1995)" -> 1995."""
    match = _YEAR.search(title)
    return int(match[1]) if match else None


def parse_movie(line: str) -> tuple[str, str, list[str]]:
    """`MovieID::Title::Genre|Genre` -> (id, title, genres); "(no genres listed)" is none."""
    item, title, genres = fields(line, "::", 3)
    return str(integer(item, "MovieID")), title, [g.strip() for g in genres.split("|") if not is_missing(g.strip())]


def parse_rating(line: str) -> tuple[str, str, float, int]:
    """`UserID::MovieID::Rating::Timestamp` -> (user, item, rating, seconds)."""
    user, item, rating, time = fields(line, "::", 4)
    return (
        str(integer(user, "UserID")),
        str(integer(item, "MovieID")),
        number(rating, "Rating"),
        integer(time, "Timestamp"),
    )


def parse_user(line: str) -> tuple[str, str, int, int]:
    """`UserID::Gender::Age::Occupation::Zip` -> (user, gender, age code, occupation code)."""
    parts = line.split("::")
    if len(parts) != 5:
        raise ValueError(f"expected 5 fields separated by '::', got {len(parts)}")
    user, gender, age, occupation = (part.strip() for part in parts[:4])
    if gender not in ("F", "M"):
        raise ValueError(f"Gender must be F or M, got {gender[:40]!r}")
    return str(integer(user, "UserID")), gender, integer(age, "Age"), integer(occupation, "Occupation")


def parse_item_list(line: str) -> list[str]:
    """`uid iid iid ...` -> ids, the user first."""
    ids = line.split()
    if not (line.isascii() and "".join(ids).isdigit()):
        raise ValueError("expected ids separated by blanks")
    return ids


def parse_id_pair(line: str) -> tuple[str, str]:
    """`original internal` (item_map.txt, user_map.txt) -> (original, internal)."""
    parts = line.split()
    if len(parts) != 2:
        raise ValueError(f"expected 2 ids, got {len(parts)}")
    return parts[0], parts[1]


def parse_triple(line: str) -> tuple[str, str, str]:
    """`item<TAB>relation<TAB>value`, or a RecBole `.kg` line -> the three fields."""
    a, b, c = fields(line, "\t", 3)
    return a, b, c


def attribute_label(value: str) -> str:
    """A DBpedia resource name as people write it: "dbr:Tom_Hanks" -> "Tom Hanks"."""
    return value[4:].replace("_", " ") if value.startswith("dbr:") and len(value) > 4 else value
