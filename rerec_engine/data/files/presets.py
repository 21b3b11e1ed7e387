"""What people have: for each well-known source the names of its files and columns, and what is peculiar in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from rerec_engine.data.files.reading import TableFile
from rerec_engine.data.files.table import Rows, Table, whole
from rerec_engine.data.options import FilesOptions
from rerec_engine.data.profiles import OCCUPATIONS
from rerec_engine.errors import UserError, file_error

FEWEST_TAGGERS = 2
"""People who gave an artist of Last.fm a tag that counts."""


@dataclass(frozen=True)
class Preset:
    """One source. Files are patterns in its folder: the first of the items' that fits, all of the interactions'."""

    noun: str
    items: tuple[str, ...]
    interactions: tuple[str, ...]
    item_columns: tuple[str, ...] = ()
    interaction_columns: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    """Columns of the items that are read, `details.Brand` in objects; empty: all."""
    split: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    attributes: Callable[[Path, Rows], Table | None] | None = None
    """Makes a table of item, relation and value of further files of the folder."""
    users: tuple[str, ...] = ()
    """Patterns of the file of users."""
    user_columns: tuple[str, ...] = ()
    occupations: tuple[str, ...] = ()
    """What numbers in the column of occupations stand for."""


def lastfm_tags(folder: Path, rows: Rows) -> Table | None:
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
    rows.counts.read(rows.kind, data.num_rows)
    return Table(given, data, f"tags of at least {FEWEST_TAGGERS} people")


_DETAILS = ("Brand", "Color", "Material", "Manufacturer", "Style", "Size", "Theme", "Genre", "Publisher", "Language")
PRESETS = {
    "amazon-2023": Preset(
        "product",
        ("meta_*.jsonl*", "meta_*.json*"),
        ("[!m]*.jsonl*", "[!m]*.csv*"),
        ("id=parent_asin", "title=title", "text=description", "brand=store", "category=categories"),
        ("user=user_id", "item=parent_asin", "time=timestamp"),
        ("parent_asin", "title", "store", "main_category", "categories", "description", "price", "average_rating")
        + ("rating_number", *(f"details.{name}" for name in _DETAILS)),
    ),
    "amazon-office": Preset(
        "product",
        ("*.item.json*",),
        ("*train*.csv*", "*valid*.csv*", "*test*.csv*"),
        ("title=title", "text=description"),
        ("user=user_id", "item=item_id", "history=history_item_id"),
    ),
    "goodreads": Preset(
        "book",
        ("goodreads_books*.json*",),
        ("goodreads_interactions*.json*", "goodreads_reviews*.json*"),
        ("id=book_id", "title=title", "year=publication_year", "text=description", "pages=num_pages"),
        ("user=user_id", "item=book_id", "time=date_added"),
        ("book_id", "title", "publication_year", "description", "num_pages", "average_rating", "publisher", "format")
        + ("language_code", "popular_shelves"),
    ),
    "lastfm": Preset(
        "artist",
        ("artists.dat",),
        ("user_artists.dat", "data1.txt", "test1.txt"),
        ("id=id", "title=name"),
        ("user=1", "item=2"),
        attributes=lastfm_tags,
    ),
    "movielens": Preset(
        "movie",
        ("movies.csv*", "movies.dat*"),
        ("ratings.csv*", "ratings.dat*"),
        ("id=1", "title=2", "genre=3"),
        ("user=1", "item=2", "time=4"),
        users=("users.dat",),
        user_columns=("id=1", "gender=2", "age=3", "occupation=4"),
        occupations=OCCUPATIONS,
    ),
    "recbole": Preset("item", ("*.item",), ("*.inter",), users=("*.user",)),
    "steam": Preset(
        "game",
        ("steam_games.json*",),
        ("steam_reviews.json*", "steam_new.json*"),
        ("id=id", "title=app_name", "year=release_date"),
        ("user=username", "item=product_id", "time=date"),
        (
            "id",
            "app_name",
            "release_date",
            "developer",
            "publisher",
            "genres",
            "tags",
            "specs",
            "price",
            "early_access",
        ),
    ),
}
"""By name."""


@dataclass(frozen=True)
class Found:
    """A preset's files in a folder."""

    items: Path | None
    interactions: tuple[Path, ...]
    users: Path | None = None


def find_files(preset: Preset, folder: Path) -> Found:
    """Raises UserError where the folder has neither."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such directory")
    items, users = _first(folder, preset.items), _first(folder, preset.users)
    found = dict.fromkeys(path for pattern in preset.interactions for path in sorted(folder.glob(pattern)))
    interactions = tuple(path for path in found if path != items)
    if items is None and not interactions:
        raise file_error(folder, f"none of {', '.join(preset.items + preset.interactions)} is there")
    return Found(items, interactions, users)


def _first(folder: Path, patterns: tuple[str, ...]) -> Path | None:
    return next((path for pattern in patterns for path in sorted(folder.glob(pattern))), None)


def with_preset(options: FilesOptions, preset: Preset) -> FilesOptions:
    """The caller's options, and the preset's where he leaves them out."""
    return replace(
        options,
        noun=preset.noun if options.noun == FilesOptions.noun else options.noun,
        item_columns=preset.item_columns + options.item_columns,
        interaction_columns=preset.interaction_columns + options.interaction_columns,
        user_columns=preset.user_columns + options.user_columns,
        split=preset.split + options.split,
        ignore=preset.ignore + options.ignore,
    )
