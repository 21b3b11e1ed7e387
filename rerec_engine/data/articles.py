"""The English article, by how a word sounds."""

from __future__ import annotations

import re
import unicodedata

_YOU = re.compile(
    r"(?i)uni(?!n|m|dent)|u(?:s[aeiu]|t[aeio]|k|biq|rani|ru|gan)|eu|ewe[rs]?\b|one\b|once|oui|u(?:[.\d]|\b)|(?-i:U[A-Z]{1,2}\b)"
)
"""Written with a vowel, spoken without: "user", "European", "one-way", "USB"."""
_VOWEL = re.compile(r"(?i)[aeiou]|hour|hono|honest|heir|8|1[18](?:th|[-.,]?\b(?![,.]?\d))")
_SPELT = re.compile(r"[FHLMNRSX](?:[A-Z0-9]{0,2}\b|[B-DF-HJ-NP-TV-Z0-9]+\b)")
"""Spoken letter by letter: "FBI", "LGBT", "X-ray"; but not "LEGO"."""


def article(word: str) -> str:
    """What stands before the word, "a" or "an"; marks and accents aside.

    >>> [article(word) for word in ("economic", "war", "European", "hour", "LGBT", "8-bit", "unusual", "used", "Über")]
    ['an', 'a', 'a', 'an', 'an', 'an', 'an', 'a', 'an']
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))
    spoken = re.sub(r"^\W+", "", plain)
    return "an" if _SPELT.match(spoken) or (_VOWEL.match(spoken) and not _YOU.match(spoken)) else "a"


def with_article(opening: str, following: str) -> str:
    """An opening that ends in an article, with the one that the following word takes; other openings as they are.

    >>> with_article("Find a", " economic game"), with_article("Find an", " war game"), with_article("Any", "art")
    ('Find an', 'Find a', 'Any')
    """
    words = following.split()
    if not words or not re.search(r"(?i)(?:^| )an?$", opening):
        return opening
    start = opening[: -1 if opening[-1] in "aA" else -2]
    own = article(words[0])
    return start + (own.capitalize() if not start else own)
