"""The reward of a response and of its tokens in slow, plain Python: the specification that the C++ engine is held to.

It shares no code with csrc; titles are normalised by `rerec_engine.graph.titles`, itself tested against csrc.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import latex_reference as latex

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

NOBODY = -2
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
        self.semicolons = max((len(re.findall("[;；]", title)) for title in titles), default=0)

    def year_of(self, item: int) -> int:
        return self.years[item] or t.told_in_brackets(self.titles[item])[0]

    def match(self, title: str, candidates: Sequence[int] = (), whole: bool = False) -> int:
        return self.explain(title, candidates, whole)[0]

    def explain(self, title: str, candidates: Sequence[int] = (), whole: bool = False) -> tuple[int, bool]:
        """The item, and whether the title's name is known at all."""
        raw = title.strip(t.SPACE)
        split = t.split_title(raw)
        year, begin, end = (0, 0, 0) if split.year else t.told_in_brackets(raw)
        found, known = self._match(raw, split, candidates, whole, stripped=year == 0)
        if found != NOBODY or split.year:
            return max(found, -1), known
        if year > 0:
            tail = raw[end:].strip(t.SPACE)
            split = t.SplitTitle(raw[:begin].strip(t.SPACE), year, tail if t.words(tail) else "")
            found, known = self._match(raw, split, candidates, whole)
        elif year == 0 and not whole:
            name, year = t.bare_year(raw)
            dated = {i: rank for i, rank in self._named(name, year).items() if rank[2] < MISSING} if year else {}
            found = self._first([(dated, True), (dated, False)], candidates)
        return max(found, -1), known

    def _match(
        self, raw: str, split: t.SplitTitle, candidates: Sequence[int], whole: bool, stripped: bool = True
    ) -> tuple[int, bool]:
        """NOBODY where no step finds anything. stripped: the name may do without its brackets."""
        exact = dict.fromkeys(self.by_title.get(raw, []) if raw else [], EXACT)
        every = self._named(t.full_name(split), split.year, stripped)
        named = {i: rank for i, rank in every.items() if rank[2] != NONE}
        sure = {i: rank for i, rank in named.items() if rank < UNCONFIRMED}
        confirmed = {i: rank for i, rank in named.items() if rank != UNCONFIRMED}
        steps = [(exact, True), (sure, True), (exact, False), (sure, False)]
        if split.year and not whole:
            other = self._alternatives(t.full_name(split), split.year)
            steps += [(other, True), (other, False)]
        steps += [(named, True), (confirmed, False)]
        if len(t.year_brackets(raw)) <= 1 and split.tail and not whole:
            # The head is a title of its own, whose year has to be equal.
            head = {i: rank for i, rank in self._named(split.name, split.year).items() if rank[2] < MISSING}
            head = dict.fromkeys(head, EXACT)
            steps += [(head, True), (head, False)]
        return self._first(steps, candidates), bool(every)

    @staticmethod
    def _first(steps: Sequence[tuple[dict[int, Rank], bool]], candidates: Sequence[int]) -> int:
        for hits, restricted in steps:
            if restricted and not len(candidates):
                continue
            allowed = {i: rank for i, rank in hits.items() if not restricted or i in set(candidates)}
            if allowed:
                best = [i for i, rank in allowed.items() if rank == min(allowed.values())]
                return best[0] if len(best) == 1 else -1
        return NOBODY

    def _named(self, name: str, year: int, stripped: bool = True) -> dict[int, Rank]:
        own = _own_forms(name)[: None if stripped else 1]
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
                own_year = self.year_of(item) if year else self.years[item]
                if own_year != year:
                    unknown = not own_year or not year
                    near = own_year != t.UNCLEAR and abs(own_year - year) == 1
                    rule = MISSING if unknown else ADJACENT if near else NONE
                elif other_article and not year:
                    rule = MISSING
                hits[item] = _rank(rule, other_article)
        return hits

    def _alternatives(self, name: str, year: int) -> dict[int, Rank]:
        keys = _keys(t.loose_key, t.forms(name)[len(_own_forms(name)) :])
        return {item: _rank(3) for key in keys for item in self.by_key[key] if self.year_of(item) == year}


def boxes(text: str) -> list[tuple[int, int, int]]:
    """(begin, content begin, content end) of every closed box, quadratic."""
    found = []
    for match in re.finditer(r"\\boxed[ \t\n\v\f\r]*\{", text):
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


_MARKS = "\"'`*_$ \t\n\v\f\r“”«»\u00a0\u3000"
_FRONT = re.compile(f"(?:[{re.escape(_MARKS + '->‘’„•–—●◦·《「『・▪■→‣')}]|#(?![0-9]))+")
_BACK = _MARKS + ",.’》」』、。，．"
_PLAIN_NUMBER = re.compile(r"[0-9]{1,3}[.)](?:\s+(?=\S)|(?=[^\s0-9]))|\([0-9]{1,2}\)\s+(?=\S)", re.ASCII)
_BLANK = "[ \t\n\v\f\r\u00a0\u3000]"
_DIGITS = "(?:[0-9０-９]{1,3})(?![0-9０-９])"
_LETTERS = "(?:[a-zA-Z]|[ivxIVX]{2,4})(?![0-9a-zA-Z])"
_OPEN, _CLOSED, _DOT, _COLON, _DASH = "[(\\[（［【〔]", "[)\\]）］】〕]", "[.)．）、\\]】]", "[:：]", "[-|‒–—―－]"
_CIRCLED = re.compile(f"[\u2460-\u249b\u24ea-\u24ff\u2776-\u2793](?:{_DOT}|{_COLON})?{_BLANK}*")
_WORDS = "number|rank|item|option|candidate|choice|recommendation"
_NUMBERED = re.compile(
    f"(?:(?P<sign>[#＃№]{_BLANK}*|(?i:no|nr)\\.?{_BLANK}*#?(?=[0-9０-９]))|(?P<word>(?i:{_WORDS})(?![a-zA-Z]){_BLANK}*#?(?=[0-9０-９])))?"
    f"(?:(?P<open>{_OPEN})(?P<inner>{_DIGITS}|{_LETTERS}){_CLOSED}|(?P<number>{_DIGITS})|(?P<letters>{_LETTERS}))"
    f"\ufe0f?(?P<cap>\u20e3)?"
    f"(?:(?P<dot>{_DOT})|(?P<colon>{_COLON})|(?P<dash>{_BLANK}*{_DASH}))?(?P<blank>{_BLANK}*)"
)


def _number_size(entry: str) -> tuple[int, bool]:
    """How long the numbering is, and whether it may be the title's own."""
    if match := _PLAIN_NUMBER.match(entry) or _CIRCLED.match(entry):
        return (match.end() if match.end() < len(entry) else 0), False
    match = _NUMBERED.match(entry)
    if not match or match.end() == len(entry):
        return 0, False
    found = match.groupdict()
    text = found["inner"] or found["number"] or found["letters"]
    prefixed, letters = found["sign"] is not None or found["word"] is not None, text[0].isascii() and text[0].isalpha()
    if letters and prefixed:
        return 0, False
    if found["open"] == "(" and len(text) == 3 and not letters:
        return 0, False
    spaced = letters and bool(found["open"])
    if letters and not found["open"]:
        if found["cap"] or entry[match.start("letters") + len(text)] not in ")）":
            return 0, False
        spaced = True
    alone = not found["open"] and not found["cap"]
    few = alone and (found["colon"] or found["dash"])
    spaced = spaced or found["dash"] is not None
    if few and not prefixed and not letters and int(text) > 20:
        return 0, False
    told = not alone or found["dot"] or found["colon"] or found["dash"]
    if not told and found["sign"] is None:
        return 0, False
    if not found["blank"] and (spaced or not told or re.match("[0-9０-９]", entry[match.end() :])):
        return 0, False
    return match.end(), not letters


def _front(entry: str) -> str:
    match = _FRONT.match(entry)
    return entry[match.end() :] if match else entry


def clean(entry: str) -> tuple[str, str]:
    """Without marks and numbering, and with a number that may be the title's own."""
    entry = _front(entry)
    size, may_be_title = _number_size(entry)
    plain = _front(entry[size:]) if size else entry
    return plain.rstrip(_BACK), (entry if may_be_title else plain).rstrip(_BACK)


@dataclass
class ReferenceAnswer:
    begin: int = 0
    entries: list[tuple[int, str]] = field(default_factory=list)
    written: list[tuple[int, str, bool]] = field(default_factory=list)
    """Repeats too, which are True."""


def read_answer(
    text: str, catalogue: ReferenceCatalogue, candidates: Sequence[int] = (), first: bool = False
) -> ReferenceAnswer:
    found = boxes(text)
    if not found:
        return ReferenceAnswer()
    begin, start, end = (min if first else max)(found)
    answer = ReferenceAnswer(begin)
    known: set[int | str] = set()

    def resolve(entry: str, whole: bool) -> tuple[int, str]:
        entry = entry.strip(t.SPACE)
        plain, numbered = clean(entry)
        exact = catalogue.by_title.get(entry, []) if entry else []
        among = [i for i in exact if i in set(candidates)] or exact
        if len(among) == 1:
            return among[0], plain or entry
        if numbered != plain:
            item, known = catalogue.explain(numbered, candidates, whole)
            if item >= 0 or known:
                return item, numbered
        item = catalogue.match(plain, candidates, whole)
        return item, plain or (entry if item >= 0 else "")

    def add(item: int, entry: str) -> None:
        key = item if item >= 0 else t.normalise(entry) or entry
        answer.written.append((item, entry, key in known))
        if key not in known:
            known.add(key)
            answer.entries.append((item, entry))

    content = text[start:end].strip(t.SPACE)
    if latex.may_hold(content):
        exact = catalogue.by_title.get(content, [])
        among = [i for i in exact if i in set(candidates)] or exact
        if len(among) == 1:
            answer.entries.append((among[0], content))
            answer.written.append((among[0], content, False))
            return answer
        content = latex.printed(content)
    for line in re.split(r"[\n\r]|\[SEP\]", content):
        line = line.strip(t.SPACE)
        if ";" in line and (whole := resolve(line, True))[0] >= 0:
            add(*whole)
            continue
        parts = line.split(";")
        while parts:
            for count in range(min(len(parts), catalogue.semicolons + 1), 0, -1):
                item, entry = resolve(";".join(parts[:count]), count > 1)
                if count == 1 or (item >= 0 and re.search("[;；]", catalogue.titles[item])):
                    if entry:
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
