"""Which column is what: as the caller says, or guessed from the names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rerec_engine.errors import UserError, file_error

_IDS = (
    "sku item_id itemid product_id productid parent_asin asin article_id articleid stockcode variant_sku lineitem_sku "
    "movie_id movieid book_id bookid game_id gameid artist_id artistid track_id trackid song_id app_id appid "
    "business_id gmap_id recipe_id news_id listing_id isbn13 isbn ean gtin upc artikelnummer artikelnr"
)
ROLES: dict[str, dict[str, str]] = {
    "items": {
        "id": f"id {_IDS} item product article code handle key identifier",
        "title": "title name item_name product_name product_title item_title movie_title book_title game_title "
        "app_name movie_name book_name artist_name track_name track_title song_title product product_display_name "
        "prod_name primary_title item label designation titel bezeichnung nom",
        "year": "year release_year released release_date releasedate publication_year original_publication_year "
        "year_published yearpublished publicationyear published publish_date publication_date date_published pub_year "
        "first_published start_year launch_year jahr erscheinungsjahr",
        "text": "description text overview summary plot synopsis body_html body_(html) abstract blurb long_description "
        "product_description details about detail_desc about_the_game short_description beschreibung",
    },
    "interactions": {
        "user": "user user_id userid customer customer_id customerid customer_email reviewer_id reviewerid member "
        "member_id client client_id username user_name buyer buyer_id account account_id visitorid visitor_id uid "
        "steam_id steamid email user_email shopper reader reviewer profile_name session_id session kunde kundennummer",
        "item": f"item {_IDS} product article id business book movie game artist track code title name",
        "history": "history history_item_id history_item_ids item_history past_items",
        "time": "time timestamp date datetime ts unix_review_time unixreviewtime sort_timestamp created_at created "
        "ordered_at order_date orderdate purchase_date purchased_at purchased invoice_date invoicedate event_time "
        "date_added rated_at reviewed_at review_date review_time reviewtime viewed_at t_dat date_updated day datum",
    },
    "attributes": {
        "item": f"item {_IDS} id head head_id subject product movie book",
        "relation": "relation relation_id attribute property predicate key field type attribute_name",
        "value": "value object tail tail_id attribute_value val entity",
    },
    "users": {
        "id": "id user user_id userid customer customer_id customerid member_id client_id visitorid uid kundennummer",
        "age": "age age_group agegroup age_range alter",
        "gender": "gender sex geschlecht",
        "occupation": "occupation job profession job_title beruf",
        "country": "country nationality location land",
    },
}
"""By kind of file, the names that each role goes by, likeliest first."""
NEEDED = {
    "items": ("id", "title"),
    "interactions": ("user", "item"),
    "attributes": ("item", "relation", "value"),
    "users": ("id",),
}
FLAGS = {kind: f"--{kind.removesuffix('s')}-columns" for kind in ROLES}


@dataclass
class Roles:
    """Columns by role, and the names that the caller gives to others. given: the roles that were not guessed."""

    columns: dict[str, str]
    renamed: dict[str, str] = field(default_factory=dict)
    """Column -> name."""
    given: frozenset[str] = frozenset()

    def told(self, role: str) -> str:
        return f"{role}{'' if role in self.given else ' (guessed from the name)'}"

    def all_told(self) -> list[tuple[str, str]]:
        """By column, its role."""
        return [(column, self.told(role)) for role, column in self.columns.items()]


def parse_pairs(words: Iterable[str], flag: str) -> dict[str, str]:
    """`NAME=COLUMN` words. Raises UserError."""
    pairs = {}
    for word in words:
        name, equals, column = word.partition("=")
        if not equals or not name.strip() or not column:
            raise UserError(f"{flag}: expected NAME=COLUMN, got {word!r}")
        pairs[name.strip()] = column
    return pairs


def squeezed(name: str) -> str:
    """A name as it is compared: small letters and digits."""
    return re.sub(r"[\W_]", "", name.casefold())


def known_name(name: str, kind: str) -> bool:
    """Whether a column of this name has a role by its name."""
    return any(squeezed(name) in map(squeezed, names.split()) for names in ROLES[kind].values())


def find_roles(
    path: Path, kind: str, columns: Sequence[str], given: Mapping[str, str], like: Sequence[str] = ()
) -> Roles:
    """The column of every role. Raises UserError for a needed one that is neither given nor guessed.

    given: by role, or by a new name for a column that has none; a number is a column's place from 1. like: names of the
    other file's columns: of two columns that could be the item's id, the one that both files have is.
    """
    named = {name: _column(path, column, columns, FLAGS[kind]) for name, column in given.items()}
    roles = {role: named[role] for role in ROLES[kind] if role in named}
    renamed = {column: name for name, column in named.items() if name not in ROLES[kind]}
    by_name = {squeezed(column): column for column in reversed(columns) if column not in renamed}
    shared = {squeezed(name) for name in like} & by_name.keys()
    for role, names in ROLES[kind].items():
        if role in roles:
            continue
        order = [squeezed(name) for name in names.split()]
        if role in ("id", "item"):
            order.sort(key=lambda name: name not in shared)
        taken = set(roles.values())
        found = next((by_name[name] for name in order if name in by_name and by_name[name] not in taken), None)
        if found is not None:
            roles[role] = found
    if kind == "attributes" and not given and len(columns) == 3 and len(roles) < 3:
        roles = dict(zip(ROLES[kind], columns, strict=True))
    missing = [role for role in NEEDED[kind] if role not in roles]
    if missing:
        known = ", ".join(columns[:12]) + (", ..." if len(columns) > 12 else "")
        example = " ".join(f"{role}=COLUMN" for role in missing)
        raise file_error(
            path, f"which column is the {missing[0]}? Say so with {FLAGS[kind]} {example} (it has {known})"
        )
    return Roles(roles, renamed, frozenset(named))


def _column(path: Path, name: str, columns: Sequence[str], flag: str) -> str:
    if name in columns:
        return name
    close = [column for column in columns if squeezed(column) == squeezed(name)]
    if len(close) == 1:
        return close[0]
    if name.isdigit() and 1 <= int(name) <= len(columns):
        return columns[int(name) - 1]
    raise file_error(path, f"{flag}: there is no column {name!r} (it has {', '.join(columns[:12])})")
