"""What people have: for each well-known source the names of its files and columns, and what is peculiar in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from rerec_engine.data.files.items import FileItems
from rerec_engine.data.files.joins import first_of, goodreads_authors, lastfm_tags, ml_100k_genres, recbole_graph
from rerec_engine.data.files.table import Rows, Table
from rerec_engine.data.options import FilesOptions
from rerec_engine.data.profiles import OCCUPATIONS
from rerec_engine.errors import UserError, file_error


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
    attributes: Callable[[Path, Rows, FileItems], Table | None] | None = None
    """Makes a table of item, relation and value of further files of the folder."""
    users: tuple[str, ...] = ()
    """Patterns of the file of users."""
    user_columns: tuple[str, ...] = ()
    occupations: tuple[str, ...] = ()
    """What numbers in the column of occupations stand for."""
    variants: tuple[Preset, ...] = ()
    """Other forms of the source: the first whose items are there is taken."""
    needs: str = ""
    """What to get where only interactions are there."""

    def has_items(self, path: Path) -> bool:
        """Whether the file's name is that of items."""
        return any(fnmatch(path.name, pattern) for pattern in self.items)

    def of_items(self, path: Path) -> Preset:
        """The form of the source that has a file of items of this name; itself where none has."""
        return next((form for form in (self, *self.variants) if form.has_items(path)), self)


_DETAILS = ("Brand", "Color", "Material", "Manufacturer", "Style", "Size", "Theme", "Genre", "Publisher", "Language")
PRESETS = {
    "amazon-2023": Preset(
        "product",
        ("meta_*.jsonl*", "meta_*.json*", "raw_meta_*"),
        ("[!m]*.jsonl*", "[!m]*.csv*", "raw_review_*"),
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
        attributes=goodreads_authors,
    ),
    "lastfm": Preset(
        "artist",
        ("artists.dat",),
        ("user_artists.dat", "data1.txt", "test1.txt"),
        ("id=id", "title=name"),
        ("user=1", "item=2"),
        attributes=lastfm_tags,
        needs="HetRec 2011 (grouplens.org/datasets/hetrec-2011) has artists.dat with names, and tags",
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
        variants=(
            Preset(
                "movie",
                ("u.item",),
                ("u.data",),
                ("id=1", "title=2", "year=3"),
                ("user=1", "item=2", "time=4"),
                ("column 1", "column 2", "column 3"),
                attributes=ml_100k_genres,
                users=("u.user",),
                user_columns=("id=1", "age=2", "gender=3", "occupation=4"),
            ),
        ),
    ),
    "recbole": Preset("item", ("*.item",), ("*.inter",), attributes=recbole_graph, users=("*.user",)),
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
    """A preset's files in a folder. preset: its form that is there."""

    preset: Preset
    items: Path | None
    interactions: tuple[Path, ...]
    users: Path | None = None


def find_files(preset: Preset, folder: Path) -> Found:
    """Raises UserError where the folder has neither items nor interactions."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such directory")
    forms = (preset, *preset.variants)
    form = next((form for form in forms if first_of(folder, *form.items)), preset)
    items = first_of(folder, *form.items)
    found = dict.fromkeys(path for pattern in form.interactions for path in sorted(folder.glob(pattern)))
    interactions = tuple(path for path in found if not form.has_items(path))
    if items is None and not interactions:
        patterns = [pattern for form in forms for pattern in form.items + form.interactions]
        raise file_error(folder, f"none of {', '.join(patterns)} is there")
    return Found(form, items, interactions, first_of(folder, *form.users))


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
