"""Cells of text: entities, tags and control characters taken out, what stands for nothing, several values in a cell."""

from __future__ import annotations

import ast
import html
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

MISSING = frozenset(
    ("", "nan", "none", "null", "n/a", "<na>", "nat", "#n/a", "\\n", "-", "--", "?", "[]", "{}", "(no genres listed)")
    + ("undefined", "unknown", "not available", "not specified")
)
"""What stands for no value, in small letters. NA does in capitals."""
SEPARATORS = (";", "|", "\n", " > ", ", ", ",", " / ")
"""Where the values of a cell may be separated; the first that a column shows to be one is its."""
_SURE = (";", "|", "\n")
"""No name holds these."""
_SUFFIX = re.compile(r",\s+(?=(?:inc|ltd|llc|co|corp|gmbh|s\.?a|jr|sr|ph\.?d|m\.?d|ii|iii|iv)\b\.?,?)", re.IGNORECASE)
_TAG = re.compile(r"<!--.*?(?:-->|$)|<(script|style)\b.*?(?:</\1\s*>|$)|</?[a-zA-Z][^<>]*>", re.DOTALL | re.IGNORECASE)
_INLINE = re.compile(r"</?(?:a|abbr|b|em|font|i|mark|small|span|strong|sub|sup|u)\b[^<>]*>", re.IGNORECASE)
_UNSEEN = ("Cc", "Cf", "Zs", "Zl", "Zp")
_STRANGE = (
    r"[&<\x00-\x1f\x{7f}-\x{9f}\x{a0}\x{ad}\x{1680}\x{2000}-\x{200f}\x{2028}-\x{202f}\x{205f}-\x{206f}\x{3000}\x{feff}]"
    r"|^ | $|  "
)
"""RE2: cells that may have something to take out."""


def clean(text: str) -> str:
    """A text as it is shown: one line, entities resolved (twice where they were escaped twice), no tags.

    >>> clean("<b>Dungeons &amp;amp; Dragons</b>&nbsp;<br>Box")
    'Dungeons & Dragons Box'
    """
    for _ in range(3):
        before = text
        if "<" in text:
            text = _TAG.sub(" ", _INLINE.sub("", text))
        if "&" in text:
            text = html.unescape(text)
        if text == before:
            break
    if not text.isprintable():
        text = "".join(c if unicodedata.category(c) not in _UNSEEN else _blank(c) for c in text)
    return " ".join(text.split())


def _blank(char: str) -> str:
    """A blank for a blank or a control character; nothing for what joins letters invisibly."""
    return "" if unicodedata.category(char) == "Cf" and char != "\u2028" else " "


def is_missing(text: str) -> bool:
    return text.casefold() in MISSING or text == "NA"


def clean_column(column: pa.Array) -> pa.Array:
    """`clean` of every cell, null where nothing is left; plain cells are passed over."""
    strange = pc.match_substring_regex(column, _STRANGE)
    if pc.any(strange).as_py():
        cleaned = {}
        for text in pc.unique(column.filter(pc.fill_null(strange, False))).to_pylist():
            cleaned[text] = clean(text)
        column = pa.array([cleaned.get(text, text) for text in column.to_pylist()], column.type)
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, column.type), column)


def split_cell(cell: str, separator: str) -> list[str]:
    """The values of a cell, cleaned, without repeats. `, Inc.` and `, Jr.` belong to the name before them."""
    if separator == "":
        parts: Iterable[str] = [cell]
    elif separator == "[]":
        parts = parse_list(cell) or []
    elif separator.strip() == ",":
        parts = (part.replace("\x1f", ", ") for part in _SUFFIX.sub("\x1f", cell).split(","))
    else:
        parts = cell.split(separator)
    found = dict.fromkeys(clean(part) for part in parts)
    return [part for part in found if not is_missing(part)]


def parse_list(cell: str) -> list[str] | None:
    """A list as JSON or Python write it: texts, or objects with a name. None where the cell is none.

    >>> parse_list("['Card Game', {'name': 'Family'}]")
    ['Card Game', 'Family']
    """
    text = cell.strip()
    if text[:1] not in "[{('\"" or text[-1:] not in "]})'\"":
        return None
    wrapped = text if text[0] in "[{(" else f"[{text}]"
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(wrapped)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(value, dict):
            value = list(value)
        if isinstance(value, (list, tuple, set)):
            return _texts(value)
    return None


def _texts(values: Iterable[object]) -> list[str]:
    found: list[str] = []
    for value in values:
        if isinstance(value, dict):
            value = next((value[name] for name in ("name", "title", "value", "label") if name in value), None)
        if isinstance(value, (list, tuple, set)):
            found += _texts(value)
        elif value is not None:
            found.append(str(value))
    return found


def find_separator(cells: Sequence[str]) -> str:
    """At what the cells of a column are split: "[]" for lists as text, "" where a cell is one value.

    A comma separates only in a clear list: most parts of such cells occur in other cells too, in either place, and it
    is no column of names such as "Smith, John".
    """
    if not cells:
        return ""
    shown = [cell for cell in cells if cell[:1] in "[('\""]
    if len(shown) >= 0.9 * len(cells) and sum(parse_list(cell) is not None for cell in shown) >= 0.9 * len(shown):
        return "[]"
    for separator in SEPARATORS:
        holding = [cell for cell in cells if len(split_cell(cell, separator)) > 1 and separator in cell]
        if holding and (separator in _SURE or _is_list(cells, holding, separator)):
            return separator
    return ""


def _is_list(cells: Sequence[str], holding: Sequence[str], separator: str) -> bool:
    split = [split_cell(cell, separator) for cell in cells]
    often = Counter(part for parts in split for part in parts)
    parts = [part for own in split if len(own) > 1 for part in own]
    known = sum(often[part] > 1 for part in parts) / len(parts)
    long = sum(len(part.split()) > 5 for part in parts) / len(parts)
    if known < 0.6 or long > 0.2 or separator.strip() != ",":
        return known >= 0.6 and long <= 0.2
    pairs = [own for own in split if len(own) == 2]
    if len(pairs) < len(holding):
        return True
    first, second = ({own[place] for own in pairs} for place in (0, 1))
    alone = {own[0] for own in split if len(own) == 1}
    both = first & second | (first & alone) | (second & alone)
    return len(both) >= 0.2 * len(first | second)
