"""The reward of a response and of its tokens in slow, plain Python: the specification that the C++ engine is held to.

It shares no code with csrc; titles are normalised by `rerec_engine.graph.titles`, itself tested against csrc.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from rerec_engine.graph import titles as t
from rerec_engine.graph.catalogue import RULES

TITLES = [
    "Heat (1995)",
    "Usual Suspects, The (1995)",
    "Seven (Se7en) (1995)",
    "Hamlet (1990)",
    "Hamlet (1996)",
    "It (1990)",
    "Thing, The (1982)",
    "Et Dieu; créa la femme (1956)",
    "Godfather: Part II, The (1974)",
    "Amélie (2001)",
    "2010 (1984)",
    "Emma",
]
"""Titles of the tests' small catalogue."""

NONE = RULES.index("none")
NUMERAL, MISSING, ADJACENT = (RULES.index(rule) for rule in ("numeral", "missing_year", "adjacent_year"))
Rank = tuple[int, bool, int]
"""How well an item agrees, least is best: the year (up to NUMERAL: equal), whether the English articles differ, the
rule."""


def _rank(rule: int, other_article: bool = False) -> Rank:
    return max(rule, NUMERAL), other_article, rule


EXACT = _rank(0)
UNCONFIRMED = _rank(MISSING, True)
"""Another article and no year: for candidates alone."""


def _keys(function, names: Sequence[str]) -> set[str]:
    return {key for name in names if (key := function(name))}


def _plain_key(form: str) -> str:
    words = t.normalise(t.move_article(form)).split(" ")
    return " ".join(words[1:] if len(words) > 1 and words[0] in t.ENGLISH_ARTICLES else words)


def _own_forms(name: str) -> list[str]:
    """The name, and the name without its brackets."""
    stripped = [part for part in t.forms(name)[1:2] if part not in [m[1] for m in t._BRACKET.finditer(name)]]
    return [name, *stripped]


def _with_articles(names: Sequence[str]) -> set[tuple[str, str]]:
    return {(t.english_article(name), key) for name in names if (key := t.loose_key(name))}


class ReferenceCatalogue:
    """Matches by comparing the query with every item of the same loose key."""

    def __init__(self, titles: Sequence[str], years: Sequence[int] | None = None) -> None:
        self.titles = list(titles)
        splits = [t.split_title(title.strip(t.SPACE)) for title in titles]
        given = years if years is not None else [0] * len(titles)
        self.years = [year or split.year for year, split in zip(given, splits, strict=True)]
        self.names = [t.full_name(split) for split in splits]
        self.by_key: dict[str, list[int]] = defaultdict(list)
        for item, name in enumerate(self.names):
            for key in _keys(t.loose_key, t.forms(name)):
                self.by_key[key].append(item)
        self.by_title: dict[str, list[int]] = defaultdict(list)
        for item, title in enumerate(titles):
            self.by_title[title.strip(t.SPACE)].append(item)
        self.semicolons = max((title.count(";") for title in titles), default=0)

    def match(self, title: str, candidates: Sequence[int] = (), whole: bool = False) -> int:
        raw = title.strip(t.SPACE)
        split = t.split_title(raw)
        exact = dict.fromkeys(self.by_title.get(raw, []) if raw else [], EXACT)
        named = {i: rank for i, rank in self._named(t.full_name(split), split.year).items() if rank[2] != NONE}
        sure = {i: rank for i, rank in named.items() if rank < UNCONFIRMED}
        confirmed = {i: rank for i, rank in named.items() if rank != UNCONFIRMED}
        steps = [(exact, True), (sure, True), (exact, False), (sure, False)]
        if split.year and not whole:
            other = self._alternatives(t.full_name(split), split.year)
            steps += [(other, True), (other, False)]
        steps += [(named, True), (confirmed, False)]
        if len(t.year_brackets(raw)) == 1 and split.tail and not whole:
            # The head is a title of its own, whose year has to be equal.
            head = {i: rank for i, rank in self._named(split.name, split.year).items() if rank[2] < MISSING}
            head = dict.fromkeys(head, EXACT)
            steps += [(head, True), (head, False)]
        for hits, restricted in steps:
            if restricted and not len(candidates):
                continue
            allowed = {i: rank for i, rank in hits.items() if not restricted or i in set(candidates)}
            if allowed:
                best = [i for i, rank in allowed.items() if rank == min(allowed.values())]
                return best[0] if len(best) == 1 else -1
        return -1

    def _named(self, name: str, year: int) -> dict[int, Rank]:
        own = _own_forms(name)
        hits = {}
        for key in _keys(t.loose_key, own):
            for item in self.by_key[key]:
                other = self.names[item]
                rule = next(
                    RULES.index(rule)
                    for rule, same in (
                        ("article", t.move_article(name) == t.move_article(other)),
                        ("normalised", _plain_key(name) != "" and _plain_key(name) == _plain_key(other)),
                        ("alternative", bool(_keys(_plain_key, own) & _keys(_plain_key, t.forms(other)))),
                        ("numeral", True),
                    )
                    if same
                )
                other_article = not _with_articles(own) & _with_articles(t.forms(other))
                if self.years[item] != year:
                    unknown = not self.years[item] or not year
                    rule = MISSING if unknown else ADJACENT if abs(self.years[item] - year) == 1 else NONE
                elif other_article and not year:
                    rule = MISSING
                hits[item] = _rank(rule, other_article)
        return hits

    def _alternatives(self, name: str, year: int) -> dict[int, Rank]:
        keys = _keys(t.loose_key, t.forms(name)[len(_own_forms(name)) :])
        return {item: _rank(3) for key in keys for item in self.by_key[key] if self.years[item] == year}


def boxes(text: str) -> list[tuple[int, int, int]]:
    """(begin, content begin, content end) of every closed box, quadratic."""
    found = []
    for match in re.finditer(r"\\boxed\{", text):
        depth, i = 1, match.end()
        while i < len(text):
            if text[i] == "\\" and text[i + 1 : i + 2] in ("{", "}"):
                i += 2
                continue
            depth += {"{": 1, "}": -1}.get(text[i], 0)
            if depth == 0:
                found.append((match.start(), match.end(), i))
                break
            i += 1
    return found


_MARKS = "\"'`*_$ \t\n\v\f\r“”«»\u00a0"


def clean(entry: str) -> str:
    entry = entry.lstrip(_MARKS + "-#>‘’„•–—●◦·")
    number = re.match(r"(?:[0-9]{1,3}[.)](?:\s+(?=\S)|(?=[^\s0-9]))|\([0-9]{1,2}\)\s+(?=\S))", entry, re.ASCII)
    if number:
        entry = entry[number.end() :].lstrip(_MARKS + "-#>‘’„•–—●◦·")
    return entry.rstrip(_MARKS + ",.’")


def unwrap(content: str) -> str:
    for _ in range(8):
        content = content.strip(t.SPACE)
        match = re.match(r"\\[A-Za-z]+\{", content)
        if not match:
            break
        closed = boxes("\\boxed{" + content[match.end() :])
        if not closed or closed[0][2] != len(content) - match.end() + 6:
            break
        content = content[match.end() : -1]
    return content.strip(t.SPACE)


@dataclass
class ReferenceAnswer:
    begin: int = 0
    entries: list[tuple[int, str]] = field(default_factory=list)


def read_answer(
    text: str, catalogue: ReferenceCatalogue, candidates: Sequence[int] = (), first: bool = False
) -> ReferenceAnswer:
    found = boxes(text)
    if not found:
        return ReferenceAnswer()
    begin, start, end = (min if first else max)(found)
    answer = ReferenceAnswer(begin)
    known: set[int | str] = set()

    def resolve(entry: str, whole: bool) -> int:
        entry = entry.strip(t.SPACE)
        exact = catalogue.by_title.get(entry, []) if entry else []
        among = [i for i in exact if i in set(candidates)] or exact
        return among[0] if len(among) == 1 else catalogue.match(clean(entry), candidates, whole)

    def add(item: int, entry: str) -> None:
        key = item if item >= 0 else t.normalise(entry) or entry
        if key not in known:
            known.add(key)
            answer.entries.append((item, entry))

    for line in re.split(r"[\n\r]|\[SEP\]", unwrap(text[start:end])):
        line = line.strip(t.SPACE)
        if ";" in line and (item := resolve(line, True)) >= 0:
            add(item, clean(line))
            continue
        parts = line.split(";")
        while parts:
            for count in range(min(len(parts), catalogue.semicolons + 1), 0, -1):
                joined = ";".join(parts[:count])
                item = resolve(joined, count > 1)
                if count == 1 or (item >= 0 and ";" in catalogue.titles[item]):
                    entry = clean(joined.strip(t.SPACE)) or joined.strip(t.SPACE)
                    if item >= 0 or clean(joined.strip(t.SPACE)):
                        add(item, entry)
                    parts = parts[count:]
                    break
    return answer


def mentions(line: str, title: str) -> bool:
    """Whether the line mentions a form of a title."""
    wanted = t.words(title)
    if not 1 <= len(wanted) <= 64:
        return False
    article = wanted[0].text if len(wanted) > 1 and wanted[0].text in t.ENGLISH_ARTICLES else ""
    wanted = wanted[1:] if article else wanted
    found = t.words(line)
    for i in range(len(found) - len(wanted) + 1):
        window = found[i : i + len(wanted)]
        head = [w.text for w in window[:-1]] == [w.text for w in wanted[:-1]]
        if not head or wanted[-1].text not in (window[-1].text, window[-1].stem):
            continue
        if len(wanted) > 1:
            return True
        preceded = not article or (i > 0 and found[i - 1].text == article)
        if preceded and not window[0].year and (window[0].upper or not wanted[0].upper):
            return True
    return False


def title_patterns(catalogue: ReferenceCatalogue, item: int, entry: str) -> list[str]:
    names = _own_forms(t.full_name(t.split_title(entry)))
    names += t.forms(catalogue.names[item]) if item >= 0 else []
    return [form for name in names for form in (name, t.move_article(name))]


def token_rewards(
    pieces: Sequence[bytes],
    reward: float,
    answer: ReferenceAnswer,
    truth: Sequence[int],
    catalogue: ReferenceCatalogue,
    w_penalty: float,
) -> list[float]:
    """float64 rewards of the tokens whose bytes are `pieces`. answer.begin counts bytes here."""
    text = b"".join(pieces)
    starts = [0] + [i + 1 for i, byte in enumerate(text) if byte in b"\n\r"]
    patterns = [
        p for item, entry in answer.entries if item not in truth for p in title_patterns(catalogue, item, entry)
    ]
    bad = set()
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(text) + 1], strict=True)):
        line = text[start:end].decode("utf-8", "replace")
        if end <= answer.begin and any(mentions(line, pattern) for pattern in patterns):
            bad.add(number)
    rewards, at = [], 0
    for piece in pieces:
        first = next((i for i, byte in enumerate(piece) if byte not in b"\n\r"), 0)
        number = sum(start <= at + first for start in starts) - 1
        penalised = bool(piece) and number in bad
        rewards.append(reward - w_penalty * abs(reward) if penalised else reward)
        at += len(piece)
    return rewards


def ndcg(items: Sequence[int], truth: Sequence[int], k: int) -> float:
    gain = sum(1 / math.log2(i + 2) for i, item in enumerate(items[:k]) if item in truth)
    return gain / sum(1 / math.log2(i + 2) for i in range(min(k, len(truth))))
