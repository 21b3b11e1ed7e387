"""Numbers as people write them: prices with a currency, ranges, decimal commas, units after them or in the header."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

CURRENCIES = {
    "€": "euros", "eur": "euros", "euro": "euros", "euros": "euros",
    "$": "dollars", "us$": "dollars", "usd": "dollars", "dollar": "dollars", "dollars": "dollars",
    "£": "pounds", "gbp": "pounds", "¥": "yen", "jpy": "yen", "yen": "yen", "₹": "rupees", "inr": "rupees",
    "chf": "francs", "fr.": "francs", "zł": "zlotys", "pln": "zlotys", "kr": "kronor", "sek": "kronor",
    "cad": "Canadian dollars", "aud": "Australian dollars", "ca$": "Canadian dollars", "a$": "Australian dollars",
    "₽": "roubles", "rub": "roubles", "r$": "reais", "brl": "reais", "₩": "won", "krw": "won",
}  # fmt: skip
UNITS = CURRENCIES | {
    "%": "%", "percent": "%", "kg": "kg", "g": "g", "lb": "pounds", "lbs": "pounds", "oz": "ounces", "cm": "cm",
    "mm": "mm", "m": "m", "km": "km", "in": "inches", "inch": "inches", "inches": "inches", '"': "inches",
    "ft": "feet", "min": "minutes", "min.": "minutes", "mins": "minutes", "minute": "minutes", "minutes": "minutes",
    "h": "hours", "hr": "hours", "hrs": "hours", "hour": "hours", "hours": "hours", "s": "seconds", "sec": "seconds",
    "seconds": "seconds", "ms": "milliseconds", "days": "days", "months": "months", "years": "years", "yrs": "years",
    "year": "years", "ml": "ml", "l": "litres", "liter": "litres", "gb": "GB", "tb": "TB", "mb": "MB", "w": "watts",
    "v": "volts", "mah": "mAh", "hz": "Hz", "p": "pages", "pp": "pages", "pages": "pages", "page": "pages",
    "player": "players", "players": "players", "pieces": "pieces", "pcs": "pieces", "people": "people",
    "persons": "people", "points": "points", "stars": "stars", "kcal": "kcal", "mm²": "mm²", "seats": "seats",
}  # fmt: skip
"""How a unit is said, by how it is written in small letters."""
_FREE = ("free", "free to play", "free to use", "gratis", "kostenlos")
_NUMBER = r"(?:\d{1,3}(?:[.,'’ \u00a0\u202f]\d{3})+(?:[.,]\d+)?|\d+(?:[.,]\d+)?|[.,]\d+)"
_BEFORE = r"(?:(?:from|ab|about|approx\.?|ca\.?|only|now|nur|~|≈)\s*)?"
_FORM = re.compile(
    rf"{_BEFORE}(?P<before>[^\d\s.,+\-–—()]{{1,3}}|[A-Za-z]{{3}})?\s*(?P<low>[-−]?{_NUMBER})"
    rf"(?:\s*(?P<unit1>[^\d\s.,+\-–—()]{{1,8}}\.?)?\s*(?:-|–|—|−|to|bis|\.\.\.?|…|until)\s*"
    rf"(?P<again>[^\d\s.,+\-–—()]{{1,3}})?\s*(?P<high>{_NUMBER}))?"
    rf"\s*(?P<open>\+|and up|or more|and more|plus)?\s*-?\s*(?P<after>[^\d\s,+()]{{1,12}}\.?)?\s*(?P<open2>\+)?",
    re.IGNORECASE,
)
_DECIMAL_COMMA = re.compile(r"\d,\d{1,2}(?!\d)|\d\.\d{3},\d|(?<!\d)0,\d")
_DECIMAL_POINT = re.compile(r"\d\.\d{1,2}(?!\d)|\d,\d{3}\.\d|(?<!\d)0\.\d|\d\.\d{4,}")


class Number(NamedTuple):
    """A number or a range; open: the range has no upper end. unit: "" where none is written."""

    low: float
    high: float
    open: bool
    unit: str


class Heading(NamedTuple):
    """A column's name without its unit, and the unit, "" where it names none."""

    name: str
    unit: str


def decimal_comma(cells: Sequence[str]) -> bool:
    """Whether a column's decimals stand after a comma ("24,95"): decided by the cells that leave no doubt."""
    comma = sum(bool(_DECIMAL_COMMA.search(cell)) for cell in cells)
    return comma > sum(bool(_DECIMAL_POINT.search(cell)) for cell in cells)


def parse_number(text: str, comma: bool = False) -> Number | None:
    """What a cell says, or None where it is no number. comma: decimals stand after one.

    >>> parse_number("€1,024.95")
    Number(low=1024.95, high=1024.95, open=False, unit='euros')
    >>> parse_number("2–4 players")
    Number(low=2.0, high=4.0, open=False, unit='players')
    """
    if text.strip().casefold() in _FREE:
        return Number(0.0, 0.0, False, "")
    match = _FORM.fullmatch(text.strip())
    if match is None:
        return None
    units = []
    for name in ("before", "again", "unit1", "after"):
        written = (match[name] or "").casefold()
        if not written or (name in ("before", "again") and written not in CURRENCIES and written in UNITS):
            continue
        if written not in UNITS and (name != "after" or not written.rstrip(".").isalpha()):
            return None
        units.append(UNITS.get(written, written))
    if len(set(units)) > 1:
        return None
    low = _value(match["low"], comma)
    high = low if match["high"] is None else _value(match["high"], comma)
    if low is None or high is None or low > high:
        return None
    return Number(low, high, bool(match["open"] or match["open2"]), units[0] if units else "")


def _value(text: str, comma: bool) -> float | None:
    plain = re.sub(r"['’\s]", "", text.replace("−", "-"))
    thousands, point = (".", ",") if comma else (",", ".")
    whole, _, decimals = plain.partition(point)
    if point in decimals or thousands in decimals:
        return None
    if thousands in whole and not re.fullmatch(rf"-?\d{{1,3}}(?:\{thousands}\d{{3}})+", whole):
        return None
    return float(f"{whole.replace(thousands, '') or '0'}.{decimals or '0'}")


def parse_heading(column: str) -> Heading:
    """A unit in brackets or as the last word: "price_eur" is price in euros, "page_count" is in pages.

    >>> parse_heading("Weight (kg)"), parse_heading("num_pages"), parse_heading("players")
    (Heading(name='Weight', unit='kg'), Heading(name='pages', unit='pages'), Heading(name='players', unit='players'))
    """
    name = " ".join(column.split())
    if bracket := re.fullmatch(r"(.+?)[\s_]*[(\[]\s*(?:in\s+)?([^()\[\]]+?)\s*[)\]]", name):
        if (unit := bracket[2].casefold()) in UNITS:
            return Heading(bracket[1], UNITS[unit])
        name = bracket[1] if unit.isdigit() else name
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).replace("_", " ").split()
    last = words[-1].casefold() if words else ""
    if len(words) > 1 and last in UNITS and last not in ("in", "m", "s", "l", "p", "g", "h", "w", "v", "year"):
        rest = [word for word in words[:-1] if word.casefold() not in ("in",)]
        if [word.casefold() for word in rest] in (["num"], ["number", "of"], ["no", "of"], ["n"], ["nr"]):
            return Heading(last, UNITS[last])
        ends = {"min", "max", "minimum", "maximum", "average", "total"}.issuperset(map(str.casefold, rest))
        return Heading(" ".join(words if ends else rest), UNITS[last])
    if len(words) > 1 and last == "count":
        return Heading(*[plural(" ".join(words[:-1]))] * 2)
    if len(words) == 1 and re.fullmatch(r"num[a-z]{4,}s", last):
        return Heading(*[last.removeprefix("num")] * 2)
    unit = UNITS.get(last, "") if len(words) == 1 and last.endswith("s") and len(last) > 3 else ""
    return Heading(name, unit)


def plural(words: str) -> str:
    """A count's noun: "page" -> "pages"."""
    return words if words.endswith("s") else f"{words}s"


def common_unit(numbers: Sequence[Number]) -> str:
    """The unit that most numbers with one have."""
    found = Counter(number.unit for number in numbers if number.unit)
    return found.most_common(1)[0][0] if found else ""
