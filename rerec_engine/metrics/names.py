"""Which items and attribute values a line of reasoning names, in plain Python: what `csrc/reward/names.cpp` is tested
against. `rerec_engine.metrics.truth` reads statements from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from rerec_engine.data.description import plural_of
from rerec_engine.graph.titles import (
    APOSTROPHES,
    ENGLISH_ARTICLES,
    IGNORED,
    fold,
    forms,
    full_name,
    is_upper,
    move_article,
    split_title,
)
from rerec_engine.graph.titles import BREAKS as _BREAKS

MOST_TITLE_WORDS = 64
MOST_VALUE_WORDS = 16
SYMBOL = "\x01"
"""Stands for what is neither a word nor punctuation that is known here."""
_PUNCTUATION = dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-") | dict.fromkeys("“”„«»", '"')
_PUNCTUATION |= {"…": ".", "•": "*", "·": "*", "‣": "*"}
_SPACES = frozenset("\xa0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000")
_WORD = re.compile(r"&|[0-9A-Za-z\x80-\U0010ffff](?:['`]*[0-9A-Za-z\x80-\U0010ffff])*")
_YEAR = re.compile(r"[.!?]?[\"'`*_]* *(?:\(([0-9]{4})\)|\[([0-9]{4})\])")
_BRACKET = re.compile(r"[(\[][^()\[\]]*[)\]][ \t]*\Z")
_QUOTES = frozenset("\"'`*_")
_MARKS = frozenset("\"'")
_INSIDE = frozenset((*ENGLISH_ARTICLES, "and", "of"))
"""Small words inside names."""
_LISTED = re.compile(r"[ \t]*(?:[0-9]{1,3}[ \t]*[).:]|[-*])[ \t]*")


class Token(NamedTuple):
    """A normalised word; start, end: characters of the plain line. upper: begins with no small ASCII letter."""

    text: str
    stem: str
    start: int
    end: int
    upper: bool


class ItemMention(NamedTuple):
    """tokens[first:stop] name one of the items (none: of a year that no item of that name has). end: its last character
    and one, with its year. owned: has a possessive 's."""

    first: int
    stop: int
    end: int
    items: tuple[int, ...]
    owned: bool


class Title(NamedTuple):
    """A name of an item. article: that must stand before a title of one word, "" for none."""

    item: int
    article: str


class Value(NamedTuple):
    """Attributes of one name. exact: how it must be written, where it is of two characters. any_case: may begin with a
    small letter. number: has digits alone. title: is an item's name too."""

    attributes: tuple[int, ...]
    exact: str
    any_case: bool
    number: bool
    title: bool


def plain(line: str) -> str:
    """The line in ASCII as far as it folds: letters without accents, known punctuation, `SYMBOL` for any other; letters
    that do not fold stay. Its words are those of `titles.words`.

    >>> plain("“Amélie” – ¾ ★")
    '"Amelie" - 3 4  \\x01'
    """
    out: list[str] = []
    for char in line:
        if char in APOSTROPHES:
            out.append("'")
        elif char in IGNORED:
            continue
        elif char.isascii():
            out.append(char)
        elif char in _SPACES:
            out.append(" ")
        else:
            folded = "".join(_plain(c) for c in fold(char))
            out.append(folded[:1].upper() + folded[1:] if is_upper(char) and folded[:1].isascii() else folded)
    return "".join(out)


def _plain(char: str) -> str:
    if char in APOSTROPHES:
        return "'"
    if char.isascii():
        return char
    breaks = any(first <= ord(char) <= last for first, last in _BREAKS)
    return _PUNCTUATION.get(char, SYMBOL) if breaks else char


def tokens(text: str) -> list[Token]:
    """The words of a plain line."""
    return list(_tokens(text))


def _tokens(text: str) -> Iterable[Token]:
    for match in _WORD.finditer(text):
        written = match[0]
        word = "and" if written == "&" else re.sub("['`]", "", written)
        word = "".join(c.lower() if c.isascii() else c for c in word)
        stem = word[:-1] if len(written) > 2 and written[-2] in "'`" and word[-1] == "s" else word
        yield Token(word, stem, match.start(), match.end(), not ("a" <= written[0] <= "z"))


def listed(text: str) -> int:
    """Where a line begins behind its number or bullet."""
    match = _LISTED.match(text)
    return match.end() if match else 0


class Names:
    """Finds items and values. titles, years [N]; values [A] of attributes that may be in small letters where any_case.

    What a title must be to count: it begins with a capital or a digit, and so does the last word of one of two or
    three. With its year, or in quotation marks, it always counts. One that is also a value's name needs either. One of
    a single word needs either too, or that it begins a listed line, or is a word of four letters or more with a capital
    between words without, and does not end a longer name ("Hope and Glory"). Nor may a quotation mark close behind it
    that was not opened before it. A year behind it, or right before it, must be the item's. An undated title of several
    items is all of them.
    """

    def __init__(
        self,
        titles: Sequence[str],
        years: Sequence[int | None],
        values: Sequence[str],
        any_case: Sequence[bool],
    ) -> None:
        self.years = [year or split_title(title).year for title, year in zip(titles, years, strict=True)]
        self.titles: dict[tuple[str, ...], list[Title]] = {}
        for item, title in enumerate(titles):
            for name in _title_names(title):
                self._add_title(name, item)
        self.values: dict[tuple[str, ...], Value] = {}
        for attribute, (value, small) in enumerate(zip(values, any_case, strict=True)):
            self._add_value(attribute, value, bool(small))
        self.longest_title = max(map(len, self.titles), default=0)
        self.longest_value = max(map(len, self.values), default=0)

    def _add_title(self, name: str, item: int) -> None:
        words = [word.text for word in islice(_tokens(plain(name)), MOST_TITLE_WORDS + 1)]
        if not 1 <= len(words) <= MOST_TITLE_WORDS:
            return
        article = words.pop(0) if len(words) > 1 and words[0] in ENGLISH_ARTICLES else ""
        title = Title(item, article if len(words) == 1 else "")
        known = self.titles.setdefault(tuple(words), [])
        if title not in known:
            known.append(title)

    def _add_value(self, attribute: int, value: str, small: bool) -> None:
        text = plain(value)
        small = small or not any("A" <= c <= "Z" for c in text)
        names = [text, _BRACKET.sub("", text)]
        if small:
            names += [plural_of(name) for name in names]
        for name in names:
            words = [word.text for word in islice(_tokens(name), MOST_VALUE_WORDS + 1)]
            letters = "".join(words)
            size = len(letters.encode("utf-8", "surrogatepass"))
            if not 1 <= len(words) <= MOST_VALUE_WORDS or size < 2:
                continue
            exact = name.strip() if size == 2 else ""
            if exact and (len(exact) != 2 or not any("A" <= c <= "Z" for c in exact) or exact != exact.upper()):
                continue
            number = all("0" <= c <= "9" for c in letters)
            known = self.values.get(tuple(words))
            ids = (*known.attributes, attribute) if known else (attribute,)
            self.values[tuple(words)] = Value(
                tuple(dict.fromkeys(ids)),
                exact,
                small or bool(known and known.any_case),
                number,
                tuple(words) in self.titles,
            )

    def items_in(self, text: str, line: Sequence[Token]) -> list[ItemMention]:
        """The items named in a plain line, from its left, of titles that begin at one place the longest."""
        found: list[ItemMention] = []
        begin = listed(text)
        i = sum(word.start < begin for word in line)
        floor = i
        while i < len(line):
            mention = self._item_at(text, line, i, begin, floor)
            if mention:
                found.append(mention)
                floor = mention.stop
            i = mention.stop if mention else i + 1
        return found

    def _item_at(self, text: str, line: Sequence[Token], i: int, begin: int, floor: int) -> ItemMention | None:
        if not line[i].upper:
            return None
        for size in range(min(self.longest_title, len(line) - i), 0, -1):
            words = tuple(word.text for word in line[i : i + size])
            last = line[i + size - 1]
            for key, owned in ((words, False), ((*words[:-1], last.stem), True)):
                if key not in self.titles or (owned and last.stem == last.text):
                    continue
                mention = self._counts(text, line, i, size, begin, floor, self.titles[key], key in self.values, owned)
                if mention:
                    return mention
        return None

    def _counts(
        self,
        text: str,
        line: Sequence[Token],
        i: int,
        size: int,
        begin: int,
        floor: int,
        titles: Sequence[Title],
        is_value: bool,
        owned: bool,
    ) -> ItemMention | None:
        last = line[i + size - 1]
        before = line[i - 1] if i > floor else None
        article = before.text if before and _joined(text, before, line[i]) else ""
        if size == 1:
            titles = [title for title in titles if title.article in ("", article)]
        if not titles:
            return None
        year = _YEAR.match(text, last.end) if not owned else None
        first = i - 1 if article in ENGLISH_ARTICLES else i
        start = line[first].start
        opening, closing = text[max(start - 1, 0) : start], _closing(text, last.end)
        quoted = opening in _QUOTES and closing in _QUOTES
        if not year and not quoted:
            if is_value or (size in (2, 3) and not last.upper) or (closing in _MARKS and opening not in _QUOTES):
                return None
            if size == 1 and _ends_a_name(text, line, i, floor):
                return None
            bare = size == 1 and not any(title.article for title in titles)
            if bare and not (start == begin > 0 or _stands_out(text, line, i)):
                return None
        items = sorted({title.item for title in titles})
        stop, end = i + size, last.end + (quoted and text[last.end] in "!?")
        told = int(year[1] or year[2]) if year else _year_before(text, line, first, floor)
        if told:
            items = [x for x in items if self.years[x] == told] or [
                x for x in items if not self.years[x] or abs(self.years[x] - told) == 1
            ]
        if year:
            stop, end = stop + 1, year.end()
        return ItemMention(first, stop, end, tuple(items), owned)

    def value_at(self, text: str, line: Sequence[Token], i: int, limit: int) -> int:
        """Tokens of the longest value that begins at token i and ends before token `limit`; 0: none."""
        for size in range(min(self.longest_value, limit - i), 0, -1):
            value = self.values.get(tuple(word.text for word in line[i : i + size]))
            if value is None or not (value.any_case or line[i].upper):
                continue
            start, end = line[i].start, line[i + size - 1].end
            if value.exact and text[start:end] != value.exact:
                continue
            if not (_hyphen(text, start - 1, -1) or _hyphen(text, end, 1)):
                return size
        return 0


def _title_names(title: str) -> Iterable[str]:
    for name in forms(full_name(split_title(title))):
        yield name
        if "," in name:
            yield move_article(name)


def _joined(text: str, left: Token, right: Token) -> bool:
    """Whether nothing but blanks stands between two words."""
    return not text[left.end : right.start].strip(" ")


def _closing(text: str, end: int) -> str:
    """The character behind a name, and behind a comma or the like if a quotation mark is there ("A," in English)."""
    at = end + (text[end : end + 1] in (",", ".", "!", "?") and text[end + 1 : end + 2] in ('"', "'"))
    return text[at : at + 1]


def _year_before(text: str, line: Sequence[Token], first: int, floor: int) -> int:
    """The year of "the 1994 A", 0: none."""
    before = line[first - 1] if first > floor else None
    if before is None or not re.fullmatch("(?:19|20)[0-9][0-9]", before.text):
        return 0
    return 0 if text[before.end : line[first].start].strip(" \"'") else int(before.text)


def _stands_out(text: str, line: Sequence[Token], i: int) -> bool:
    """Whether a word of four letters or more, with a capital, is inside a sentence and its neighbours have none."""
    word = line[i]
    if len(word.text.encode("utf-8", "surrogatepass")) < 4 or not "A" <= text[word.start] <= "Z" or i == 0:
        return False
    before = line[i - 1]
    if before.upper or set(text[before.end : word.start]) - set(" ,"):
        return False
    after = line[i + 1] if i + 1 < len(line) else None
    return not (after and after.upper and _joined(text, word, after))


def _ends_a_name(text: str, line: Sequence[Token], i: int, floor: int) -> bool:
    """Whether a capital stands before the small words ("and", "of", articles) before a word: "Hope and Glory". Not
    where an item ends there.
    """
    at = i
    while at > floor and line[at - 1].text in _INSIDE and _joined(text, line[at - 1], line[at]):
        at -= 1
        if line[at].upper:
            return False
    return floor < at < i and line[at - 1].upper and _joined(text, line[at - 1], line[at])


def _hyphen(text: str, at: int, step: int) -> bool:
    """Whether a hyphen at `at` joins a word beyond it."""
    if not (0 <= at < len(text) and text[at] == "-"):
        return False
    beyond = at + step
    return 0 <= beyond < len(text) and bool(_WORD.match(text[beyond]))
