"""Responses made to break a title matcher: titles in many forms, lines, boxes and entries of every kind.

The small vocabulary makes titles share words, begin or end with each other and lie in each other's brackets.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Sequence

from reward_reference import TITLES

_WORDS = [
    "Red",
    "River",
    "Night",
    "Man",
    "Heat",
    "It",
    "Seven",
    "Two",
    "II",
    "Café",
    "Ångström",
    "日本",
    "O'Neil",
    "Go",
]
_HAND = [
    "Her (2013)", "Hero (2002)", "Argo (2012)", "Fargo (1996)", "Intouchables, The (2011)", "Untouchables, The (1987)",
    "Scary Movie (2000)", "Scary Movie 2 (2001)", "Up (2009)", "M (1931)", "X (2022)", "1984 (1984)", "1984 (1956)",
    "300 (2006)", "9 (2009)", "2001: A Space Odyssey (1968)", "2001 (2001)", "Movie 43 (2013)", "Thing, The (2011)",
    "Postman, The (Postino, Il) (1994)", "City of Lost Children, The (Cité des enfants perdus, La) (1995)",
    "Shall We Dance? (Shall We Dansu?) (1996)", "Léon: The Professional (a.k.a. The Professional) (Léon) (1994)",
    "Dr. Strangelove or: How I Learned to Stop Worrying and Love the Bomb (1963)", "Lock, Stock & Two Barrels (1998)",
    "Lilo and Stitch (2002)", "Lilo & Stitch (1999)", "Amélie & the Gnome (2003)", "Gnome's Alien³ (1992)",
    "Alien 3 (1993)", "Naked Gun 2 1/2: The Smell (1991)", "Naked Gun 33⅓ (1994)", "8½ (1963)", "Spider-Man (2002)",
    "Spider-Man 2 (2004)", "Spider Man Two Lives (2004)", "X-Men (2000)", "Star Wars: Episode IV - A New Hope (1977)",
    "Star Wars: Episode I - The Phantom Menace (1999)", "Star Wars (1977)", "Rocky (1976)", "Rocky II (1979)",
    "Rocky Part 3 (1982)", "Henry V (1989)", "Henry IV (1989)", "Malcolm X (1992)", "I, Robot (2004)", "I Robot (1990)",
    "The The (1990)", "A (1998)", "An American Tail (1986)", "American Tail, An: Part 2 (1991)", "Brazil (1985)",
    "Brazil (1985) Director's Cut", "Solaris (1972)", "Solaris (2002)", "Emma (1996)", "Emma (2020)", "Psycho (1960)",
    "Psycho (1998)", "Godzilla (Gojira) (1954)", "Godzilla 2000 (Gojira ni-sen mireniamu) (1999)", "ゴジラ (1954)",
    "千と千尋の神隠し (2001)", "Ａ．Ｉ． (2001)", "A.I. Artificial Intelligence (2001)", "ＦＵＬＬ Ｗｉｄｔｈ (2010)",
    "Emoji 😀 Movie (2017)", "😀 (2018)", "E.T. (1982)", "S.W.A.T. (2003)", "M*A*S*H (1970)", "...And Justice (1979)",
    "\"Great\" Escape, The (1963)", "1. Chance (1990)", "(500) Days (2009)", "9.5 Weeks (1986)",
    "Weeks - or Days (1987)",
    "Red; White; Blue (1994)", "Red (1994)", "White; Blue (1994)", "Love [SEP] War (1970)", "Braces {and} more (1971)",
    "Back\\slash (1972)", "No Year At All", "Night", "the lower case (1973)", "IMDb's Best (1974)", "Æon Flux (2005)",
    "Œuvre, L' (1990)", "L'Avventura (1960)", "Das Boot (Boat, The) (1981)", "Straße, Die (1949)", "İstanbul (1955)",
    "Ωmega Man (1971)", "Солярис (1972)", "Crème Brûlée (1990)", "Naïve – A Story (1990)", "Ghost ​Zero (1990)",
    "one two three four five six seven eight nine ten (1991)", "Se7en (1999)", "Who's There? (1990)",
    "Whos There (1991)",
]  # fmt: skip


def catalogue_titles() -> list[str]:
    """About 270 titles, the reference's small ones among them; some have equal names, some equal keys."""
    rng = random.Random(3)
    made = []
    for _ in range(150):
        name = " ".join(rng.choices(_WORDS, k=rng.choice([1, 1, 2, 2, 3])))
        name = rng.choice([name, name, f"{name}, The", f"A {name}", f"{name}: {rng.choice(_WORDS)}", name.upper()])
        if rng.random() < 0.2:
            name += f" ({rng.choice(['', 'a.k.a. '])}{' '.join(rng.choices(_WORDS, k=2))})"
        made.append(f"{name} ({rng.randint(1990, 1994)})" if rng.random() < 0.9 else name)
    twice = ["Emma (1996)", "Red (1994)", '"Great" Escape, The (1963)', "1. Chance (1990)"]
    return [*dict.fromkeys([*TITLES, *_HAND, *made]), *twice]


_YEAR = re.compile(r" \((\d{4})\)$")
_FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
_SWAPS = [("Part II", "2"), ("Part 3", "III"), ("II", "2"), ("Two", "II"), ("2", "two"), ("Seven", "7"), ("3", "³")]


def _without_accents(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def _insert(text: str, what: str, rng: random.Random) -> str:
    at = rng.randint(0, len(text))
    return text[:at] + what + text[at:]


def _other_numeral(name: str) -> str:
    return next((name.replace(old, new) for old, new in _SWAPS if old in name), name)


def _moved(name: str) -> str:
    head, comma, tail = name.rpartition(", ")
    return f"{tail} {head}" if comma and len(tail) <= 4 else name


def distort(title: str, rng: random.Random) -> str:
    """The title in another form: one to four random changes, of which some change what it names."""
    found = _YEAR.search(title)
    name, year = (title[: found.start()], int(found[1])) if found else (title, 0)
    brackets = re.findall(r"\(([^()]*)\)", name)
    for _ in range(rng.choice([0, 0, 1, 1, 2, 3])):
        name = rng.choice(
            [
                _moved,
                str.upper,
                str.lower,
                str.title,
                str.swapcase,
                _without_accents,
                lambda s: unicodedata.normalize("NFD", s),
                lambda s: s.translate(_FULL_WIDTH),
                lambda s: s.replace("'", "’"),
                lambda s: s.replace("'", ""),
                lambda s: s.replace("&", "and") if "&" in s else s.replace("and", "&"),
                lambda s: s.replace(" ", rng.choice(["-", "  ", "\t", "\u00a0", " - ", "\u3000", ", "])),
                lambda s: s.replace("-", rng.choice([" ", "", "–"])),
                *[_other_numeral] * 4,
                lambda s: _insert(s, rng.choice(["\u200b", "\u00ad", "\u0301", "'", "`", "!", "😀", ".", "™"]), rng),
                lambda s: rng.choice(brackets) if brackets else s,
                lambda s: re.sub(r" \([^()]*\)", "", s),
                lambda s: re.sub(r"(?i)^(the|a|an) |, (the|a|an)$", "", s),
                lambda s: rng.choice(["The ", "A ", "An ", "the "]) + s,
                lambda s: s[: rng.randint(1, len(s))] if s else s,
                lambda s: f"{s} {rng.choice(_WORDS)}",
            ]
        )(name)
    shift = rng.choice([0, 0, 0, 0, 1, -1, 7])
    bracket = rng.choice(["()", "()", "()", "[]", "  "])
    kept = year and rng.random() < 0.6
    return name + (f" {bracket[0]}{year + shift}{rng.choice(['', '', ' film'])}{bracket[1]}" if kept else "")


_FILLERS = [
    "I think",
    "it is",
    "the",
    "a",
    "The",
    "but",
    "maybe",
    "and",
    "red",
    "night",
    "so;",
    "日本",
    "é",
    "😀😀",
    "—",
]
_AFTER = ["", "", "", "'s", "’s", "'", "s", "'S", ",", ".", "!", "s'", "-like", "日", "😀", ")", '"', "*"]
_BREAKS = ["\n", "\n", "\n", "\n\n", "\r\n", "\r", "\n \n", "\n\t\n\n", "\u2028", "\x0b", "\x85", "\f"]
_SEPARATORS = ["; ", ";", "\n", "\n\n", "[SEP]", " [SEP] ", "\r\n", "\r", "; ;", ";\n", ", ", " and ", "[sep]", "[SEP"]
_MARKS = [
    ("", ""), ("", ""), ("", ""), ('"', '"'), ("**", "**"), ("“", "”"), ("'", "'"), ("- ", ""), ("• ", ""), ("1. ", ""),
    ("2) ", ""), ("(3) ", ""), ("10. *", "*,"), ("# ", "."), ("«", "»"), ("$", "$"), ("1.", ""), ("– ", " "),
]  # fmt: skip
_WRAPPERS = [
    "{}",
    "{}",
    "{}",
    "{}",
    " {} ",
    "\\text{{{}}}",
    "\\textbf{{\\text{{{}}}}}",
    "\\boxed{{{}}}",
    "{{{}}}",
    "\n{}\n",
]


def _line(titles: Sequence[str], rng: random.Random) -> str:
    parts = []
    for _ in range(rng.choice([0, 1, 2, 3, 5])):
        if rng.random() < 0.45:
            before, after = rng.choice(_MARKS)
            parts.append(before + distort(rng.choice(titles), rng) + after + rng.choice(_AFTER))
        elif rng.random() < 0.1:
            parts.append(f"({_YEAR.sub('', rng.choice(titles))})")
        else:
            parts.append(rng.choice(_FILLERS))
    return rng.choice([" ", " ", " ", "", "-"]).join(parts)


def _lines(titles: Sequence[str], rng: random.Random, most: int) -> str:
    return "".join(_line(titles, rng) + rng.choice(_BREAKS) for _ in range(rng.randint(0, most)))


def _box(titles: Sequence[str], rng: random.Random) -> str:
    entries = []
    for _ in range(rng.choice([0, *[1] * 9, 2, 3, 6])):
        before, after = rng.choice(_MARKS)
        title = rng.choice(titles)
        named = title if rng.random() < 0.4 else distort(title, rng)
        entries.append(before + rng.choice([named, named, named, named, "Nobody Knows", "..."]) + after)
    content = rng.choice(_WRAPPERS).format(rng.choice(_SEPARATORS).join(entries))
    if rng.random() < 0.05:
        content = _insert(content, rng.choice(["\\{", "\\}", "{", "}", "\\", "\\boxed{"]), rng)
    return rng.choice([*["\\boxed{"] * 12, "\\boxed {", "\\Boxed{"]) + content + "}"


def response(titles: Sequence[str], rng: random.Random) -> tuple[bytes, list[int]]:
    """One response and the items whose titles it was made from: reasoning, mostly a box, perhaps more behind it; now
    and then broken UTF-8 or a NUL."""
    items = rng.sample(range(len(titles)), rng.choice([2, 4, 10]))  # the same in reasoning and answer
    few = [titles[item] for item in items]
    text = _lines(few, rng, 6)
    for _ in range(rng.choice([0, *[1] * 8, 2, 3])):
        text += rng.choice(["", "", "Final: ", "So "]) + _box(few, rng)
        if rng.random() < 0.3:
            text += _lines(few, rng, 2)
    raw = text.encode("utf-8")
    if raw and rng.random() < 0.05:
        at = rng.randrange(len(raw))
        damage = rng.choice([b"", b"\xff", b"\xc3", b"\xe2\x80", b"\x00", b"\xed\xa0\x80"])
        raw = raw[:at] + damage + raw[at + rng.choice([0, 1]) :]
    return raw, items


def split_in_tokens(raw: bytes, ids: dict[bytes, int], special: Sequence[int], rng: random.Random) -> list[int]:
    """The bytes as a random sequence of a tokenizer's tokens, which cuts through characters; `ids` has every byte."""
    longest = max(map(len, ids))
    out, at = [], 0
    while at < len(raw):
        fits = [size for size in range(1, longest + 1) if raw[at : at + size] in ids and at + size <= len(raw)]
        size = rng.choice(fits) if rng.random() < 0.4 else fits[-1]
        out.append(ids[raw[at : at + size]])
        at += size
        if rng.random() < 0.01:
            out.append(rng.choice(special))
    return out
