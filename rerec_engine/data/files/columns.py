"""What the other columns of the items are: attributes, numbers, or nothing that requests can be about."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rerec_engine.data.files.cells import find_separator, is_missing, split_cell
from rerec_engine.data.files.numerals import UNITS, common_unit, decimal_comma, parse_heading, parse_number
from rerec_engine.data.files.table import is_list
from rerec_engine.data.files.times import is_dates
from rerec_engine.graph.numbers import ItemNumbers

_LINK = re.compile(r"(?:https?:)?//\S+|www\.\S+|data:\S+|\S+\.(?:jpe?g|png|gif|webp|svg|mp4|html?)", re.IGNORECASE)
_CODE = re.compile(r"(?=\S*\d)[\w.:/#-]+")
_CODED = re.compile(
    r"(?:^|[\s_.])(?:id|ids|code|sku|asin|ean|isbn\d*|upc|gtin|barcode|uuid|hash|url|link|image\w*|index)$"
)
_YES, _NO = {"true", "yes", "y", "ja", "1"}, {"false", "no", "n", "nein", "0"}
_WORDS = {" ": "blanks", "\n": "lines", "[]": "the cells' lists"}
SAMPLE = 20_000


@dataclass(frozen=True, eq=False)
class Attribute:
    """Values that items have: item rows[e] has values[codes[e]]."""

    relation: str
    values: list[str]
    rows: np.ndarray  # [E] int64
    codes: np.ndarray  # [E] int64


@dataclass(frozen=True, eq=False)
class Numeric:
    """Numbers that items have, and their unit."""

    field: str
    unit: str
    numbers: ItemNumbers


@dataclass(frozen=True)
class Choices:
    """What the caller decides of columns."""

    split: Mapping[str, str] = field(default_factory=dict)
    whole: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = field(default_factory=dict)


Taken = tuple[Attribute | Numeric | None, str]
"""What a column is, and that in words; None: it is left out."""


def take_column(name: str, column: pa.Array, choices: Choices, separator: str = "") -> Taken:
    """Decide what a column is. separator: at what the file's form says that its cells are split."""
    named = choices.renamed.get(name, name)
    if is_list(column):
        return _take_lists(name, named, column)
    codes = column.dictionary_encode()
    texts = [html.unescape(text).strip() if "&" in text else text.strip() for text in codes.dictionary.to_pylist()]
    indices = codes.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    missing = np.array([*(is_missing(text) for text in texts), True])
    indices[missing[indices]] = -1
    used = np.unique(indices[indices >= 0])
    known = [texts[code] for code in used.tolist()]
    if name in choices.whole:
        return _attribute(named, texts, indices, ""), "attribute, whole cells (as told)"
    if name in choices.split:
        return _attribute(
            named, texts, indices, choices.split[name]
        ), f"attribute, split at {_told(choices.split[name])} (as told)"
    if reason := _useless(name, known, indices):
        return None, reason
    if number := _number(named, texts, indices, used):
        return number
    if reason := _wordy(name, known):
        return None, reason
    if set(map(str.casefold, known)) <= _YES | _NO:
        rows = np.flatnonzero(np.isin(indices, [code for code in used if texts[code].casefold() in _YES]))
        return Attribute("feature", [_words(named)], rows, np.zeros(len(rows), np.int64)), "attribute: yes is a feature"
    separator = separator or find_separator(known[:: max(1, len(known) // SAMPLE)])
    found = _attribute(named, texts, indices, separator)
    if not len(found.rows):
        return None, "empty"
    if np.bincount(found.codes).max() == 1 and len(found.values) >= 20 and _length(found.values) > 3:
        return None, "every item has other words"
    told = f"{len(found.values)} values"
    if separator:
        return found, f"attribute, cells split at {_told(separator)}, {told}"
    comma = any("," in text for text in known)
    return found, f"attribute, {told}{', cells with commas kept whole' if comma else ''}"


def _take_lists(name: str, named: str, column: pa.Array) -> Taken:
    parents = pc.list_parent_indices(column).to_numpy(zero_copy_only=False).astype(np.int64)
    codes = pc.list_flatten(column).dictionary_encode()
    texts = [text or "" for text in codes.dictionary.to_pylist()]
    indices = codes.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    known = [text for text in texts if not is_missing(text)]
    if not known:
        return None, "empty"
    if reason := _wordy(name, known):
        return None, reason
    found = _attribute(named, texts, indices, "", parents, several=True)
    return found, f"attribute, lists, {len(found.values)} values"


def _useless(name: str, known: Sequence[str], indices: np.ndarray) -> str:
    if not known:
        return "empty"
    if len(known) == 1 and (indices >= 0).all() and len(indices) > 1:
        return "the same for every item"
    if sum(bool(_LINK.fullmatch(text)) for text in known) >= 0.5 * len(known):
        return "links"
    if _CODED.search(name.casefold()):
        return "codes, by its name"
    digits = [text for text in known if text.isdigit()]
    unnamed = name.casefold().startswith(("column ", "unnamed"))
    if len(digits) == len(known) == len(indices) and (unnamed or len(known) >= 10):
        first = int(known[0])
        if [int(text) for text in known] == [*range(first, first + len(known))]:
            return "row numbers"
    if len(digits) == len(known) >= 10 and (min(map(len, digits)) >= 8 or any(re.match("0.", text) for text in digits)):
        return "codes"
    if is_dates(known[:: max(1, len(known) // 200)]):
        return "dates"
    return ""


def _wordy(name: str, known: Sequence[str]) -> str:
    if sum(bool(_LINK.fullmatch(text)) for text in known) >= 0.5 * len(known):
        return "links"
    if _length(known) > 8 or sum(map(len, known)) > 80 * len(known):
        return "long text"
    if len(known) >= 20 and sum(bool(_CODE.fullmatch(text)) for text in known) >= 0.9 * len(known) > 0:
        return "codes" if len(set(map(len, known))) <= 4 and _length(known) == 1 else ""
    return ""


def _length(texts: Sequence[str]) -> float:
    """Words of a text on average."""
    return sum(len(text.split()) for text in texts) / max(1, len(texts))


def _number(named: str, texts: Sequence[str], indices: np.ndarray, used: np.ndarray) -> tuple[Numeric, str] | None:
    """The column as numbers, where nearly all cells are numbers of one unit."""
    comma = decimal_comma([texts[code] for code in used[:SAMPLE]])
    parsed = {code: parse_number(texts[code], comma) for code in used.tolist()}
    numbers = [number for number in parsed.values() if number is not None]
    heading = parse_heading(named)
    unit = heading.unit or common_unit(numbers)
    right = {code: n for code, n in parsed.items() if n is not None and (n.unit in ("", unit) or not unit)}
    strange = unit not in UNITS.values() and unit != heading.unit  # "12 pack" is a value as it stands
    cells = np.bincount(indices[indices >= 0], minlength=len(texts))
    if (
        cells[[*right]].sum() < 0.95 * cells.sum()
        or not right
        or {n.low for n in numbers} <= {0, 1}
        or (unit and strange)
    ):
        return None
    ends = np.full((2, len(texts) + 1), np.nan)
    top = max(number.high for number in right.values())
    for code, number in right.items():
        ends[:, code] = number.low, top if number.open else number.high
    low, high = ends[:, indices]
    field = _words(heading.name)
    span = f"{np.nanmin(low):g} to {np.nanmax(high):g}"
    told = f"number, {span}{f' {unit}' if unit else ''}{', ranges' if (low < high).any() else ''}"
    left = int((indices >= 0).sum() - (~np.isnan(low)).sum())
    told += f", {left} cells are none" if left else ""
    return Numeric(field, unit, ItemNumbers(low, high)), told


def _attribute(
    named: str,
    texts: Sequence[str],
    indices: np.ndarray,
    separator: str,
    parents: np.ndarray | None = None,
    several: bool = False,
) -> Attribute:
    """Cells, split, as values by item. indices: of texts by row, -1 for none; parents: the items of the rows."""
    index: dict[str, int] = {}
    by_fold: dict[str, str] = {}
    split: list[list[int]] = []
    for text in texts:
        own = []
        for part in split_cell(text, separator):
            part = by_fold.setdefault(part.casefold(), part)
            own.append(index.setdefault(part, len(index)))
        split.append(own)
    split.append([])
    sizes = np.array([len(own) for own in split], np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)])[:-1]
    flat = np.array([code for own in split for code in own], np.int64)
    counts = sizes[indices]
    rows = np.repeat(np.arange(len(indices)) if parents is None else parents, counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    codes = flat[np.repeat(starts[indices], counts) + within]
    kept, renumbered = np.unique(codes, return_inverse=True)
    values = list(index)
    relation = singular(named) if separator or several else named
    return Attribute(relation, [values[code] for code in kept.tolist()], rows, renumbered.astype(np.int64))


def singular(name: str) -> str:
    """Of a column that lists: "categories" -> "category"."""
    if re.search(r"(?:ss|us|is|series|species)$", name, re.IGNORECASE):
        return name
    return re.sub(r"ies$", "y", name) if name.endswith("ies") else re.sub(r"s$", "", name)


def _words(name: str) -> str:
    """A column's name as it is said."""
    return " ".join(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ").replace(".", " ").split()).lower()


def _told(separator: str) -> str:
    return _WORDS.get(separator, f"{separator.strip()!r}")
