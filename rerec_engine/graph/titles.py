"""Title normalisation in plain Python: what `words.cpp` and `titles.cpp` of `csrc/text` are tested against.

A title is text with an optional bracketed year, a name that may end in its article ("Usual Suspects, The") and
alternative names in brackets ("Seven (Se7en) (1995)"). Two titles name the same thing when their loose keys are equal
and their years agree, or their articles where a year is missing; `rerec_engine.graph.catalogue` has the rules.

    >>> normalise("Amélie & the  Gnome's Alien³")
    'amelie and the gnomes alien 3'
    >>> split_title("Usual Suspects, The (1995)")
    SplitTitle(name='Usual Suspects, The', year=1995, tail='')
    >>> loose_key("Godfather: Part II, The"), loose_key("The Godfather 2")
    ('godfather 2', 'godfather 2')
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import NamedTuple

FOLDED = (
    (0x80, 0x24F),  # Latin
    (0x2B0, 0x2FF),
    (0x370, 0x52F),  # Greek, Cyrillic
    (0x1E00, 0x1FFF),
    (0x2070, 0x209C),  # superscripts
    (0x2100, 0x218B),  # letterlike, fractions, Roman numerals
    (0x2460, 0x24FF),  # circled
    (0xFB00, 0xFB06),
    (0xFF01, 0xFF5E),  # full width
)
"""Blocks whose characters lose accents, case and compatibility forms; other scripts stay as they are."""

BREAKS = (
    (0x80, 0xBF), (0xD7, 0xD7), (0xF7, 0xF7), (0x55A, 0x55F), (0x589, 0x58A), (0x5BE, 0x5BE), (0x60C, 0x60D),
    (0x61B, 0x61F), (0x66A, 0x66D), (0x6D4, 0x6D4), (0x964, 0x965), (0x1680, 0x1680), (0x180E, 0x180E),
    (0x2000, 0x20FF), (0x2190, 0x2BFF), (0x2E00, 0x2E7F), (0x3000, 0x3004), (0x3008, 0x303F), (0x30FB, 0x30FB),
    (0xD800, 0xF8FF), (0xFE10, 0xFE1F), (0xFE30, 0xFE6F), (0xFF5F, 0xFF65), (0xFFE0, 0xFFFF), (0x1F000, 0x1FAFF),
    (0xF0000, 0x10FFFF),
)  # fmt: skip
"""Non-ASCII punctuation, symbols, emoji, private use, U+FFFD: they end a word. Every other non-ASCII character is
part of one."""

APOSTROPHES = frozenset("'`´ʻʼ‘’‛′")
"""Left out, so that "Gnome's" is one word."""
IGNORED = frozenset("\u00ad\u00a9\u00ae\u2120\u2122\u200b\u200c\u200d\u2060\ufeff") | {
    chr(c) for first, last in ((0x300, 0x36F), (0xFE00, 0xFE0F), (0xE0000, 0xE0FFF)) for c in range(first, last + 1)
}
"""Left out: combining marks, soft hyphen, zero-width characters, variation selectors, trade marks."""

SPECIAL = {"æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "ħ": "h", "ı": "i", "ŋ": "n"}

SPACE = " \t\n\v\f\r"
ENGLISH_ARTICLES = ("the", "a", "an")
ARTICLES = frozenset("the a an le la les l' l’ el los las il lo gli i der die das un une en det den o os as".split())
UNITS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
"""Words that make one number with a unit behind them."""
NUMERALS = {
    **{word: str(10 * i) for i, word in enumerate(TENS, 2)},
    **{
        word: str(i)
        for i, word in enumerate(
            (*UNITS, *"ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()), 1
        )
    },
    **{
        word: str(i)
        for i, word in enumerate(
            "ii iii iv v vi vii viii ix x xi xii xiii xiv xv xvi xvii xviii xix xx".split(), 2
        )
    },
    "first": "1st", "second": "2nd", "third": "3rd",
    **{
        word: f"{i}th"
        for i, word in enumerate(
            "fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth".split(), 4
        )
    },
}  # fmt: skip
COUNTED = frozenset(("part", "volume", "vol", "chapter", "episode", "book"))
"""Words after which "i" is the numeral 1."""
KINDS = frozenset(
    "tv television film movie series miniseries mini show special documentary anime version remake novel book edition"
    " present".split()
)
"""Words that may stand beside a year in a bracket: "(2017 TV Movie)", "(TV series, 2010-present)"."""
NOTED_YEARS = range(1880, 2040)
"""Years that may stand in a bracket beside words."""
TOLD_YEARS = range(1500, 2040)
"""The same where a title that has no year of its own is compared."""
YEAR_SIGNS = ("年", "년")
"""Behind the digits of a year."""
UNCLEAR = -1
"""A year that may be another work's, or one of several."""
OF_ANOTHER = frozenset("remake sequel prequel reboot based inspired not unlike".split())
"""Words before a comma that make the year behind it another work's: "(a remake of Psycho, 1960)"."""
RELATIONS = frozenset(
    "of on to not no than unlike like after before since until till about inspired set vs versus except but".split()
)
"""Words behind which a year is another work's: "(a remake of the 1960 film)"."""

MOST_ALTERNATIVES = 32
"""In the brackets of one title; further ones are left out."""

OPEN, CLOSED = "([（［【〔", ")]）］】〕"
"""Brackets."""
_BRACKET = re.compile(f"[{re.escape(OPEN)}]([^{re.escape(OPEN + CLOSED)}]*)[{re.escape(CLOSED)}]")
_YEAR = re.compile(r"\s*([12][0-9]{3})\s*(?:年|년)?\s*(?:film|movie|version|remake|novel|book|edition)?\s*", re.ASCII)
_COMMA = re.compile("[,，、]")
_AKA = re.compile(r"\s*a\.?k\.?a\.?:?\s+", re.IGNORECASE | re.ASCII)


class Word(NamedTuple):
    """A word of a text: normalised, the same without a possessive 's, whether it begins with a capital, and whether
    it is a bracketed year."""

    text: str
    stem: str
    upper: bool
    year: bool


class SplitTitle(NamedTuple):
    """name before the bracketed year, year (0: none), and words after it."""

    name: str
    year: int
    tail: str


def _within(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= code <= last for first, last in ranges)


@cache
def fold(char: str) -> str:
    """A character without accent, case and compatibility form; a numeral such as ³ or ½ is a word of its own."""
    if not _within(ord(char), FOLDED) or char in APOSTROPHES or char in IGNORED:
        return char.lower() if char.isascii() else char
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", char).casefold())
    plain = "".join(SPECIAL.get(c, c) for c in plain if not 0x300 <= ord(c) <= 0x36F).replace("\u2044", " ")
    return f" {plain} " if unicodedata.category(char) in ("No", "Nl") else plain


def is_upper(char: str) -> bool:
    """Whether the character is a capital of a folded block or of ASCII."""
    return (char.isascii() or _within(ord(char), FOLDED)) and char != char.lower()


def _is_word(char: str) -> bool:
    return char.isalnum() if char.isascii() else not _within(ord(char), BREAKS)


def words(text: str) -> list[Word]:
    """The normalised words of a text, in order. "&" is the word "and"."""
    out: list[Word] = []
    word, apostrophe, upper, before = "", -1, False, ""

    def flush(after: str) -> None:
        nonlocal word, apostrophe
        if word:
            stem = word[:-1] if 0 < apostrophe == len(word) - 1 and word[-1] == "s" else word
            year = len(word) == 4 and word.isascii() and word.isdigit() and before in OPEN and after in CLOSED
            out.append(Word(word, stem, upper, bool(before) and bool(after) and year))
        word, apostrophe = "", -1

    previous = ""
    for char in text:
        if char in APOSTROPHES:
            apostrophe = len(word)
        elif char not in IGNORED:
            for c in fold(char):
                if c in APOSTROPHES:
                    apostrophe = len(word)
                elif _is_word(c):
                    if not word:
                        upper, before = is_upper(char), previous
                    word += c
                else:
                    flush(char)
                    if c == "&":
                        out.append(Word("and", "and", False, False))
        previous = char
    flush("")
    return out


def normalise(text: str) -> str:
    """Lower-case words without accents and punctuation, joined by one space."""
    return " ".join(word.text for word in words(text))


def _last_comma(text: str) -> int:
    return max((m.start() for m in _COMMA.finditer(text)), default=-1)


def _year_of(word: str, years: range = NOTED_YEARS) -> int:
    """The year that a word is, "1995" or "1995年", or 0."""
    digits, rest = word[:4], word[4:]
    plain = len(digits) == 4 and digits.isascii() and digits.isdigit() and (not rest or rest.startswith(YEAR_SIGNS))
    return int(digits) if plain and int(digits) in years else 0


def _narrow(text: str) -> str:
    """Full-width characters and wide blanks in ASCII."""
    return "".join(
        chr(ord(c) - 0xFEE0) if 0xFF01 <= ord(c) <= 0xFF5E else " " if c in "\u3000\u00a0" else c for c in text
    )


def noted_year(inner: str) -> int:
    """The year in a bracket of words, or 0: "TV Series, 2014", "2017 TV movie", "Stanley Kubrick, 1968", and the first
    of "TV 2011-2014".

    All words, or all after the last comma, are years and `KINDS`. There is one year, or two in a row.
    """
    found = [word.text for word in words(inner)]
    years = [i for i, word in enumerate(found) if _year_of(word)]
    first = min(years, default=0)
    if not years or len(years) > 2 or years[-1] - first >= len(years):
        return 0
    comma = len(words(inner[: max(_last_comma(inner), 0)]))
    before = comma if comma <= first else 0
    if OF_ANOTHER & set(found[:before]) or not all(_year_of(word) or word in KINDS for word in found[before:]):
        return 0
    return _year_of(found[first])


def told_year(inner: str) -> int:
    """The year that a bracket tells in whatever words, 0 without any, `UNCLEAR` where it may be another work's.

    >>> told_year("directed by Alfred Hitchcock in 1960"), told_year("a remake of the 1960 film"), told_year("1960s")
    (1960, -1, -1)
    """
    own: list[tuple[int, int]] = []
    told = related = last_related = False
    for i, word in enumerate(words(inner)):
        text = word.text
        if year := _year_of(text, TOLD_YEARS):
            told = True
            if not related:
                own.append((i, year))
            related, last_related = False, related
        elif re.fullmatch(r"[0-9]{1,3}0s", text, re.ASCII) and len(text) in (3, 5):
            told = True
        elif text in RELATIONS or (text in ("and", "or", "nor") and last_related):
            related = True
    if not own:
        return UNCLEAR if told else 0
    return own[0][1] if len(own) == 1 or (len(own) == 2 and own[1][0] == own[0][0] + 1) else UNCLEAR


def told_in_brackets(title: str) -> tuple[int, int, int]:
    """(year, begin, end) that the brackets of a title which words precede tell, the last one's place; `UNCLEAR` where
    one is, or where two disagree; (0, 0, 0): none."""
    told = (0, 0, 0)
    for match in _BRACKET.finditer(title):
        if words(title[: match.start()]) and (year := told_year(match[1])):
            told = (year if told[0] in (0, year) else UNCLEAR, match.start(), match.end())
    return told


def bare_year(title: str) -> tuple[str, int]:
    """Name and year of a title that ends in a year without brackets, ("", 0) for another one.

    >>> bare_year("Heat, from 1995"), bare_year("Class of 1984"), bare_year("1984")
    (('Heat,', 1995), ('Class of', 1984), ('', 0))
    """
    runs = list(re.finditer(r"[a-zA-Z0-9]+", title))

    def take(end: int, wanted: tuple[str, ...]) -> int:
        """Where the last word before `end` begins if it is wanted, else -1."""
        last = next((run for run in reversed(runs) if run.end() <= end), None)
        between = title[last.end() if last else 0 : end]
        before = title[last.start() - 1] if last and last.start() else " "
        if last is None or any(_is_letter(c) for c in between) or before in APOSTROPHES or _is_letter(before):
            return -1
        found = last[0].lower()
        return last.start() if found in wanted or (not wanted and len(found) == 4 and _year_of(found)) else -1

    end = len(title)
    while (begin := take(end, ("film", "movie", "version", "remake"))) >= 0:
        end = begin
    begin = take(end, ())
    if begin < 0:
        return "", 0
    year, end = int(title[begin : begin + 4]), begin
    while (begin := take(end, ("from", "released", "film", "movie"))) >= 0:
        end = begin
    name = title[:end].strip(SPACE)
    return (name, year) if words(name) else ("", 0)


def _is_letter(char: str) -> bool:
    """Whether a character is beyond ASCII and no break."""
    return not char.isascii() and not _within(ord(char), BREAKS)


def year_brackets(title: str) -> list[tuple[int, int, int]]:
    """(begin, end, year) of the brackets that hold a year alone, such as (1995) or [1995 film]; where there is none, of
    those with a year among words."""
    brackets = list(_BRACKET.finditer(title))
    alone = [(m.start(), m.end(), int(year[1])) for m in brackets if (year := _YEAR.fullmatch(_narrow(m[1])))]
    return alone or [(m.start(), m.end(), noted) for m in brackets if (noted := noted_year(m[1]))]


def split_title(title: str) -> SplitTitle:
    """Split at the last of the `year_brackets`, where words precede it."""
    found = year_brackets(title)
    if not found or not words(title[: found[-1][0]]):
        return SplitTitle(title.strip(SPACE), 0, "")
    start, end, value = found[-1]
    tail = title[end:].strip(SPACE)
    return SplitTitle(title[:start].strip(SPACE), value, tail if words(tail) else "")


def full_name(title: SplitTitle) -> str:
    """The name with the words after the year, which tell apart "Brazil (1985) Director's Cut"."""
    return f"{title.name} {title.tail}" if title.tail else title.name


def move_article(name: str) -> str:
    """ "Usual Suspects, The" -> "The Usual Suspects"."""
    comma = _last_comma(name)
    article = name[comma + 1 :].strip(SPACE)
    head = name[: max(comma, 0)].strip(SPACE)
    if not head or "".join(c.lower() if c.isascii() else c for c in article) not in ARTICLES:
        return name.strip(SPACE)
    return article + ("" if article[-1] in "'’" else " ") + head


def forms(name: str) -> list[str]:
    """Names by which a title without year is known: as written, without its brackets, each bracket that words precede
    and that holds more than digits, and, where a bracket begins with "a.k.a.", as written without those letters."""
    main, last = "", 0
    others: list[str] = []
    plain, copied = "", 0
    for match in _BRACKET.finditer(name):
        if not words(name[: match.start()]):
            continue
        main += name[last : match.start()] + " "
        last = match.end()
        aka = _AKA.match(match[1])
        inner = match[1][aka.end() :] if aka else match[1]
        if aka:
            plain += name[copied : match.start(1)]
            copied = match.start(1) + aka.end()
        if any(not (word.text.isascii() and word.text.isdigit()) for word in words(inner)):
            others = [*others, inner][:MOST_ALTERNATIVES]
    main += name[last:]
    return [name, *([main] if last else []), *others, *([plain + name[copied:]] if copied else [])]


def english_article(form: str) -> str:
    """The English article that the form begins with and that its loose key lacks; "" for none.

    >>> english_article("Heat, The"), english_article("Heat"), english_article("A")
    ('the', '', '')
    """
    keys = normalise(move_article(form)).split(" ")
    return keys[0] if len(keys) > 1 and keys[0] in ENGLISH_ARTICLES else ""


def loose_key(form: str) -> str:
    """The key under which forms are compared: article moved and an English one dropped, normalised; where two or more
    words are left, numerals as digits and "part" before a number dropped."""
    keys = normalise(move_article(form)).split(" ")[1 if english_article(form) else 0 :]
    if len(keys) < 2:
        return " ".join(keys)
    keys = _join_tens(keys) if len(keys) > 2 else keys
    numbers = [
        "1" if key == "i" and index and keys[index - 1] in COUNTED else NUMERALS.get(key, key)
        for index, key in enumerate(keys)
    ]
    kept = [
        number
        for number, following in zip(numbers, [*numbers[1:], ""], strict=True)
        if not (number == "part" and following.isascii() and following.isdigit())
    ]
    return " ".join(kept)


def _join_tens(keys: list[str]) -> list[str]:
    """ "twenty", "eight" -> "28"."""
    joined: list[str] = []
    ten = ""
    for key in keys:
        if ten and key in UNITS:
            joined[-1] = str(int(NUMERALS[ten]) + int(NUMERALS[key]))
            ten = ""
        else:
            joined.append(key)
            ten = key if key in TENS else ""
    return joined
