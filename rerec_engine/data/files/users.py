"""The users of a catalogue: what a file says of them, as profiles: "25-34 years old, female, programmer"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from rerec_engine.data.files.cells import clean_column, is_missing
from rerec_engine.data.files.items import clean_ids
from rerec_engine.data.files.numerals import parse_number
from rerec_engine.data.files.roles import FLAGS, ROLES, Roles
from rerec_engine.data.files.table import Rows, Table
from rerec_engine.data.profiles import OTHER, age_group, gender_of, profile_of
from rerec_engine.errors import file_error

OLDEST = 120
"""Years: ages above are mistakes, as those below 1."""
SAYS_NOTHING, TAKES_NOTHING = "says nothing", "without interactions"
_UNDER = re.compile(r"(?:under|below|less than|<|unter)\s*(\d+)", re.IGNORECASE)


def check_parts(path: Path, roles: Roles) -> None:
    """Raises UserError for a name that is no part of a profile."""
    for name in roles.renamed.values():
        raise file_error(path, f"{FLAGS['users']}: {name!r} is none of {', '.join(ROLES['users'])}")


def read_profiles(
    table: Table, roles: Roles, user_ids: Sequence[str], rows: Rows, occupations: Sequence[str] = ()
) -> list[str]:
    """[U], "" where nothing is known. Raises UserError for a row without id, or with an earlier one's, unless skipped.

    occupations: what a number in that column stands for. Ages become groups of some ten years.
    """
    ids = clean_ids(table.column(roles.columns["id"]))
    codes = ids.dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False)
    first = np.zeros(table.count, bool)
    first[np.unique(codes, return_index=True)[1]] = True
    broken = ~first | (codes < 0)
    table.without_broken(broken, lambda row: f"id {ids[row]} occurs twice" if codes[row] >= 0 else "no id", rows)
    said = {
        part: _words(part, table.column(roles.columns[part]), occupations)
        for part in ROLES["users"]
        if part in roles.columns and part != "id"
    }
    if "age" in said:
        cells = table.column(roles.columns["age"])
        given = sum(text is not None and not is_missing(text) for text in cells.to_pylist())
        unread = given - sum(map(bool, said["age"]))
        if unread:
            rows.counts.note("ages that are none", unread)
    told = [profile_of(*parts) for parts in zip(*(said.get(p, [""] * table.count) for p in _ORDER), strict=True)]
    place = {own: user for user, own in enumerate(user_ids)}
    users = np.array([place.get(own, -1) for own in ids.to_pylist()], np.int64)
    silent = ~broken & np.array([not profile for profile in told], bool)
    away = ~broken & ~silent & (users < 0)
    table.tell_dropped(silent, SAYS_NOTHING, rows)
    table.tell_dropped(away, TAKES_NOTHING, rows)
    profiles = [""] * len(user_ids)
    good = np.flatnonzero(~(broken | silent | away)).tolist()
    for row in good:
        profiles[users[row]] = told[row]
    rows.counts.keep(rows.kind, len(good))
    return profiles


_ORDER = ("age", "gender", "occupation", "country")


def _words(part: str, column: pa.Array, occupations: Sequence[str]) -> list[str]:
    """A column's cells as a profile says them, "" where they say nothing."""
    codes = clean_column(column).dictionary_encode()
    made = [_word(part, text, occupations) for text in codes.dictionary.to_pylist()]
    return [made[code] if code is not None else "" for code in codes.indices.to_pylist()]


def _word(part: str, text: str, occupations: Sequence[str]) -> str:
    if is_missing(text):
        return ""
    if part == "age":
        return age_words(text)
    if part == "gender":
        return gender_of(text)
    if part == "country":
        return f"from {text.split(',')[-1].strip()}"
    if text.isdigit():
        return occupations[int(text)] if int(text) < len(occupations) else ""
    return "" if text.casefold() in OTHER else " ".join(text.replace(",", " ").split())


def age_words(text: str) -> str:
    """The group of an age, or the range that is one already; "" where it is no age.

    >>> age_words("34"), age_words("25 - 29"), age_words("65+"), age_words("under 18"), age_words("239")
    ('25-34 years old', '25-29 years old', '65 or more years old', 'under 18 years old', '')
    """
    if found := _UNDER.match(text):
        return f"under {found[1]} years old"
    number = parse_number(text)
    if number is None or number.unit not in ("", "years") or not 1 <= number.low <= number.high <= OLDEST:
        return ""
    if number.open:
        return f"{number.low:g} or more years old"
    group = age_group(int(number.low)) if number.low == number.high else f"{number.low:g}-{number.high:g}"
    return f"{group} years old"
