"""The items of a catalogue file: ids, titles that are distinct, years, descriptions, and what the other columns are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rerec_engine.data.files.cells import clean_column, parse_list
from rerec_engine.data.files.columns import Attribute, Choices, Numeric, take_column
from rerec_engine.data.files.roles import Roles
from rerec_engine.data.files.table import Rows, Table, is_list
from rerec_engine.data.files.times import years_of
from rerec_engine.data.tables import title_year
from rerec_engine.errors import file_error
from rerec_engine.graph.numbers import ItemNumbers
from rerec_engine.graph.titles import NOTED_YEARS

NO_TITLE = "no title"
NO_ID = ("", "nan", "NaN", "None", "<NA>", "NULL", "null", "\\N")
LONGEST = 40
"""Characters of a value that tells two items of one title apart, at most."""


@dataclass(eq=False)
class FileItems:
    """Items 0..N-1 of a catalogue file."""

    ids: pa.Array  # [N] strings, distinct
    titles: list[str]  # [N], distinct
    years: list[int | None]
    texts: list[str | None]  # [N] or empty
    attributes: list[Attribute]
    numbers: list[Numeric]
    told: list[tuple[str, str]] = field(default_factory=list)
    """By column, what it is."""
    renamed: dict[str, int] = field(default_factory=dict)
    """How many titles were made distinct, by how."""

    @property
    def count(self) -> int:
        return len(self.titles)


def read_items(table: Table, roles: Roles, rows: Rows, choices: Choices, ignored: Sequence[str] = ()) -> FileItems:
    """Ids, titles and the rest. Raises UserError for a broken row unless such are skipped.

    A row is broken that has no id, or that of an earlier row. One without a title is dropped and counted.
    """
    ids = clean_ids(table.column(roles.columns["id"]))
    table, ids = _drop_broken(table, ids, rows)
    titles = clean_column(_text(table.column(roles.columns["title"])))
    named = titles.is_valid().to_numpy(zero_copy_only=False).astype(bool)
    table.tell_dropped(~named, NO_TITLE, rows)
    table, ids, titles = table.where(named), ids.filter(pa.array(named)), titles.drop_null()
    if not table.count:
        raise file_error(table.path, "holds no item with a title")
    rows.counts.keep(rows.kind, table.count)
    years = _title_years(titles.to_pylist(), dated="year" in roles.columns)
    if "year" in roles.columns:
        own = years_of(_text(table.column(roles.columns["year"])))
        years = [a if a is not None else b for a, b in zip(own, years, strict=True)]
    texts = _descriptions(table.column(roles.columns["text"])) if "text" in roles.columns else []
    items = FileItems(ids, [], years, texts, [], [], roles.all_told())
    for name in table.columns:
        if name in ignored:
            items.told.append((name, "left out (as told)"))
        elif name not in roles.columns.values():
            what, words = take_column(name, table.column(name), choices, table.separators.get(name, ""))
            called = f"{choices.renamed[name]}: " if name in choices.renamed else ""
            items.told.append((name, called + words if what is not None else f"left out: {words}"))
            if isinstance(what, Attribute):
                items.attributes.append(what)
            elif isinstance(what, Numeric):
                items.numbers.append(what)
    items.numbers = merge_ends(items.numbers, items.told)
    items.titles = distinct_titles(titles.to_pylist(), items, items.renamed)
    return items


def items_of_log(column: pa.Array, noun: str) -> FileItems:
    """Items of which nothing but the ids is known: a title is noun and id."""
    ids = pc.unique(clean_ids(column)).drop_null()
    titles = [f"{noun.capitalize()} {own}" for own in ids.to_pylist()]
    return FileItems(ids, titles, [None] * len(titles), [], [], [])


def clean_ids(column: pa.Array) -> pa.Array:
    """Ids as the source writes them, blanks around them taken off; 3.0 is 3 where all ids are so (a pandas table).

    Null where none is given: what pandas, databases and R write for a gap is no id.
    """
    column = pc.utf8_trim_whitespace(_text(column))
    column = pc.if_else(pc.is_in(column, pa.array(NO_ID, column.type)), pa.scalar(None, column.type), column)
    if pc.all(pc.match_substring_regex(column, r"^\d+\.0$")).as_py():
        column = pc.replace_substring(column, ".0", "")
    return column


def _title_years(titles: Sequence[str], dated: bool) -> list[int | None]:
    """The years that titles end in; none where few do, unless the items are `dated` by a column too, since "Ink
    Cartridge (1930)" then names a model."""
    years = [year if (year := title_year(title)) in NOTED_YEARS else None for title in titles]
    return years if dated or 2 * sum(year is not None for year in years) >= len(years) else [None] * len(years)


def _drop_broken(table: Table, ids: pa.Array, rows: Rows) -> tuple[Table, pa.Array]:
    """Without the rows that have no id or an earlier row's."""
    codes = ids.dictionary_encode().indices
    known = codes.is_valid().to_numpy(zero_copy_only=False).astype(bool)
    plain = codes.fill_null(-1).to_numpy(zero_copy_only=False)
    first = np.zeros(len(plain), bool)
    first[np.unique(plain, return_index=True)[1]] = True
    broken = ~(known & first)

    def reason(row: int) -> str:
        return f"id {ids[row]} occurs twice" if known[row] else "the id is empty"

    return table.without_broken(broken, reason, rows), ids.filter(pa.array(~broken)) if broken.any() else ids


def _text(column: pa.Array) -> pa.Array:
    """A column of one text a cell: lists are joined."""
    return pc.binary_join(column, " ") if is_list(column) else column


def _descriptions(column: pa.Array) -> list[str | None]:
    """Free texts, cleaned; lists of paragraphs, also such as stand in the cell as text, are joined."""
    column = _text(column)
    listed = pc.fill_null(pc.starts_with(column, "["), False)
    if pc.any(listed).as_py():
        joined = [text and " ".join((text[0] == "[" and parse_list(text)) or [text]) for text in column.to_pylist()]
        column = pa.array(joined, column.type)
    texts: list[str | None] = clean_column(column).to_pylist()
    return texts


def merge_ends(numbers: Sequence[Numeric], told: list[tuple[str, str]]) -> list[Numeric]:
    """min_players and max_players as one range, players."""
    by_field = {number.field: number for number in numbers}
    merged: list[Numeric] = []
    used: set[str] = set()
    for low in numbers:
        match = re.fullmatch(r"min(?:imum)? ?(\w.*)", low.field)
        name = match[1] if match else ""
        tops = [f"{word}{name}" for word in ("max ", "max", "maximum ")]
        high = next((by_field[top] for top in tops if top in by_field), None)
        if not name or high is None or name in by_field:
            merged.append(low)
            continue
        ends = np.stack([low.numbers.low, high.numbers.high])
        ends[:, np.isnan(ends).any(axis=0) | (ends[0] > ends[1])] = np.nan
        unit = low.unit or high.unit or (name if name.endswith("s") else "")
        merged.append(Numeric(name, unit, ItemNumbers(*ends)))
        used.add(high.field)
        told.append((f"{low.field}, {high.field}", f"one number, {name}"))
    return [number for number in merged if number.field not in used]


def distinct_titles(titles: Sequence[str], items: FileItems, renamed: dict[str, int]) -> list[str]:
    """Titles, each once: items of one title get their years, else values of a column that differs, else their ids."""
    groups: dict[str, list[int]] = {}
    for item, title in enumerate(titles):
        groups.setdefault(title.casefold(), []).append(item)
    found = list(titles)
    values = _single_values(items.attributes, {i for group in groups.values() if len(group) > 1 for i in group})
    for group in groups.values():
        if len(group) > 1:
            how, marks = _marks(group, items, titles, values)
            renamed[how] = renamed.get(how, 0) + len(group)
            for item, mark in zip(group, marks, strict=True):
                found[item] = f"{titles[item]} {mark}"
    seen: set[str] = set()
    for item, title in enumerate(found):
        if title.casefold() in seen:
            found[item] = f"{title} [{items.ids[item]}]"
        seen.add(found[item].casefold())
    return found


def _marks(
    group: Sequence[int], items: FileItems, titles: Sequence[str], values: Mapping[str, Mapping[int, str]]
) -> tuple[str, list[str]]:
    """How the items of one title are told apart, and what is put after each title."""
    years = [items.years[item] for item in group]
    if None not in years and len(set(years)) == len(group) and title_year(titles[group[0]]) is None:
        return "year", [f"({year})" for year in years]
    for relation, by_item in values.items():
        own = [by_item.get(item, "") for item in group]
        if all(0 < len(value) <= LONGEST for value in own) and len({value.casefold() for value in own}) == len(group):
            return relation, [f"({value})" for value in own]
    return "id", [f"[{items.ids[item]}]" for item in group]


def _single_values(attributes: Sequence[Attribute], wanted: set[int]) -> dict[str, dict[int, str]]:
    """By relation, the value of each wanted item that has one alone."""
    found: dict[str, dict[int, str]] = {}
    chosen = np.array(sorted(wanted), np.int64)
    for attribute in attributes if wanted else ():
        mask = np.isin(attribute.rows, chosen)
        rows, codes = attribute.rows[mask].tolist(), attribute.codes[mask].tolist()
        by_item: dict[int, str] = {}
        for item, code in zip(rows, codes, strict=True):
            by_item[item] = "" if item in by_item else attribute.values[code]
        found[attribute.relation] = by_item
    return found
