"""Candidates and request read out of a prompt's text, for parquet files that hold them nowhere else."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from itertools import islice

_MARKER = re.compile(r"candidate[^\n:\[]{0,80}[:\[\n]", re.IGNORECASE)
_LABEL = re.compile(r"\b(?:request|query|question)\s*:\s*", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.?!](?=\s)|\n")
_SENTENCE = re.compile(r"[.?!:]$")
_BULLET = re.compile(r"^\s*(?:[-*•]|\(?\d{1,3}[.):])\s+")
_SEPARATORS = (
    re.compile(r"\s*\[SEP\]\s*"),
    re.compile(r"\s*;\s*"),
    re.compile(r"(?<=\(\d{4}\))\s*,\s*"),
    re.compile(r",\s+"),
)
_LONGEST, _MOST = 200_000, 50  # characters of a prompt, markers and brackets tried in it: the work stays bounded


def find_candidates(text: str, resolve: Callable[[str], int]) -> list[str]:
    """The titles of the candidate list in a prompt, in order; empty where it has none.

    Read after each occurrence of "candidate": a bracketed list, lines (bulleted, numbered or bare), or one line of
    titles separated by [SEP], ";" or ",". The reading with the most titles that `resolve` (title -> item or -1) knows
    wins; every one of its entries is returned, known or not, so that the caller sees what is missing.
    """
    best: list[str] = []
    best_known = 1
    text = text[:_LONGEST]
    for marker in islice(_MARKER.finditer(text), _MOST):
        for titles in _readings(text, marker, resolve):
            known = sum(resolve(title) >= 0 for title in titles)
            if known > best_known or (known == best_known and best and len(titles) < len(best)):
                best, best_known = titles, known
    return best


def find_request(text: str) -> str:
    """The words as asked in a prompt: the paragraph after "Request:", "Query:" or "Question:", else the sentences
    before the one that leads to the candidates; the whole text where neither finds any.
    """
    label = _LABEL.search(text[:_LONGEST])
    start = label.end() if label else 0
    marker = _MARKER.search(text[:_LONGEST], start)
    asked = text[start : marker.start() if marker else None]
    if marker:
        ends = [match.end() for match in _SENTENCE_END.finditer(asked)]
        asked = asked[: ends[-1]] if ends else asked if label else ""
    if label:
        asked = asked.strip().split("\n\n", 1)[0]
    return asked.strip() or text.strip()


def _readings(text: str, marker: re.Match[str], resolve: Callable[[str], int]) -> Iterator[list[str]]:
    after = text[marker.end() :]
    opening = marker.end() - 1 if marker[0].endswith("[") else text.find("[", marker.end(), marker.end() + 40)
    if opening >= 0:
        yield _literal(text, opening)
    yield _lines(after, resolve)
    line = after.lstrip("\n").split("\n", 1)[0].strip(" []")
    for separator in _SEPARATORS:
        yield [_clean(part) for part in separator.split(line.rstrip(".")) if part.strip()]


def _literal(text: str, opening: int) -> list[str]:
    """A Python or JSON list of strings that starts at `opening`; its end is the first "]" at which it parses."""
    for end in [match.end() for match in islice(re.finditer(r"\]", text[opening:]), _MOST)]:
        try:
            value = ast.literal_eval(text[opening : opening + end])
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
            return [entry.strip() for entry in value]
        return []
    return []


def _lines(after: str, resolve: Callable[[str], int]) -> list[str]:
    """The titles of a list of lines, up to an empty one, or to one without a bullet where the first has one, or to a
    sentence that is no title: "Pick one."
    """
    titles: list[str] = []
    bulleted = False
    for line in after.lstrip("\n").split("\n"):
        bullet = _BULLET.match(line)
        if not line.strip() or (titles and bulleted and not bullet):
            break
        bulleted = bullet is not None
        title = _clean(_BULLET.sub("", line))
        if titles and not bulleted and _SENTENCE.search(title) and resolve(title) < 0:
            break
        titles.append(title)
    return titles


def _clean(title: str) -> str:
    title = title.strip()
    return title[1:-1] if len(title) > 1 and title[0] in "\"'" and title[0] == title[-1] else title
