"""Years and times as files write them: dates of many forms, seconds or milliseconds since 1970."""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_YEAR = re.compile(r"(?<!\d)(1[0-9]{3}|20[0-9]{2})(?!\d)")
_DIGIT = re.compile(r"\d")
_WHOLE = re.compile(r"-?\d{1,4}(?:\.0+)?")
_ISO = r"^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?(?: ?UTC| ?Z| ?[+-]\d\d:?\d\d)?$"
_DAYS = (
    "%d.%m.%Y", "%d.%m.%y", "%Y/%m/%d", "%m %d, %Y", "%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%d %B %Y", "%d-%b-%Y",
    "%d-%b-%y", "%b %Y", "%B %Y", "%a, %d %b %Y",
)  # fmt: skip
_CLOCKS = ("", " %H:%M", " %H:%M:%S", ", %H:%M", ", %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %H:%M:%S %z")
_WITH_ZONE = ("%a %b %d %H:%M:%S %z %Y", "%a %b %d %H:%M:%S %Y")
_DAY_FIRST, _MONTH_FIRST = ("%d/%m/%Y", "%d-%m-%Y", "%d/%m/%y"), ("%m/%d/%Y", "%m-%d-%Y", "%m/%d/%y")
_SCALES = ((1e17, 1e9, "nanoseconds"), (1e14, 1e6, "microseconds"), (1e11, 1e3, "milliseconds"))


class Times(NamedTuple):
    """Seconds since 1970, with their parts, and where they are known; form: how they were written."""

    seconds: np.ndarray  # [R] float64, 0 where unknown
    known: np.ndarray  # [R] bool
    form: str


def years_of(column: pa.Array) -> list[int | None]:
    """The year that each cell tells: a number in 1..9999, or what stands in a date or text as one."""
    codes = column.dictionary_encode()
    years = [None if text is None else parse_year(text) for text in codes.dictionary.to_pylist()]
    return [None if code is None else years[code] for code in codes.indices.to_pylist()]


def parse_year(text: str) -> int | None:
    """The year of a date, or None.

    >>> parse_year("1995"), parse_year("1995.0"), parse_year("2009-03-01"), parse_year("March 1951"), parse_year("V")
    (1995, 1995, 2009, 1951, None)
    """
    text = text.strip()
    if _WHOLE.fullmatch(text):
        year = int(text.partition(".")[0])
        return year if 0 < year < 10000 else None
    if found := _YEAR.search(text):
        return int(found[1])
    if re.fullmatch(r"-?\d{9,13}(?:\.0+)?", text):
        seconds = float(text) / (1000 if len(text.partition(".")[0]) > 11 else 1)
        return datetime.fromtimestamp(seconds, timezone.utc).year
    return None


def is_dates(texts: Sequence[str]) -> bool:
    """Whether cells are dates, nearly all of them."""
    with_digits = sum(bool(_DIGIT.search(text)) for text in texts)  # every form of a date has one: trying them is slow
    if not texts or with_digits < 0.9 * len(texts):
        return False
    return bool(times_of(pa.array(texts, pa.string()), numbers=False).known.mean() >= 0.9)


def times_of(column: pa.Array, numbers: bool = True) -> Times:
    """Every cell as seconds. numbers: whether plain numbers are times."""
    size = len(column)
    column = pc.utf8_trim_whitespace(column)
    plain = pc.fill_null(pc.match_substring_regex(column, r"^-?\d+(\.\d*)?([eE][+-]?\d{1,2})?$"), False)
    given = size - column.null_count
    if numbers and given and pc.sum(plain).as_py() >= 0.5 * given:
        return _numeric(column, plain)
    iso = pc.fill_null(pc.match_substring_regex(column, _ISO), False)
    if given and pc.sum(iso).as_py() >= 0.5 * given:
        return _iso(column, iso)
    return _by_form(column)


def _numeric(column: pa.Array, plain: pa.Array) -> Times:
    values = pc.if_else(plain, column, None).cast(pa.float64()).fill_null(0).to_numpy(zero_copy_only=False)
    known = plain.to_numpy(zero_copy_only=False).astype(bool)
    middle = float(np.median(np.abs(values[known])))
    if 19000101 <= middle <= 21001231 and float(values[known].min()) >= 19000101:
        texts = pa.array([f"{int(value)}" for value in np.unique(values[known])])
        days = dict(zip(np.unique(values[known]).tolist(), [_day(text) for text in texts.to_pylist()], strict=True))
        if None not in days.values():
            seconds = np.array([days.get(value) or 0 for value in values.tolist()], np.float64)
            return Times(seconds, known, "days as YYYYMMDD")
    for limit, divisor, name in _SCALES:
        if middle > limit:
            return Times(values / divisor, known, f"{name} since 1970")
    form = "seconds since 1970" if middle > 1e8 else "numbers, taken as an order"
    return Times(values, known, form)


def _day(text: str) -> int | None:
    try:
        return calendar.timegm(datetime.strptime(text, "%Y%m%d").timetuple())
    except ValueError:
        return None


def _iso(column: pa.Array, iso: pa.Array) -> Times:
    """Dates as ISO 8601 writes them."""
    parts = pc.extract_regex(
        pc.if_else(iso, column, None),
        r"^(?P<day>\d{4}-\d\d-\d\d)(?:[T ](?P<clock>\d\d:\d\d)(?::(?P<second>\d\d)(?:[.,](?P<part>\d{1,9})\d*)?)?)?"
        r"[^+-]*(?P<zone>[+-]\d\d:?\d\d)?$",
    )
    day, clock, second, part, zone = (parts.field(place) for place in range(5))
    clock = pc.if_else(pc.equal(clock, ""), "00:00", clock)
    second = pc.if_else(pc.equal(second, ""), "00", second)
    stamps = pc.binary_join_element_wise(day, pc.binary_join_element_wise(clock, second, ":"), " ")
    stamps = pc.if_else(iso, stamps, None)
    try:
        found = stamps.cast(pa.timestamp("s")).cast(pa.int64())
    except pa.ArrowInvalid:  # a 30th of February
        codes = stamps.dictionary_encode()
        by_code = pa.array([_seconds(text, "%Y-%m-%d %H:%M:%S") for text in codes.dictionary.to_pylist()], pa.int64())
        found = by_code.take(codes.indices)
    seconds = found.fill_null(0).to_numpy(zero_copy_only=False).astype(np.float64)
    if pc.any(pc.not_equal(part, "")).as_py():
        fractions = pc.if_else(found.is_valid(), pc.binary_join_element_wise("0.", part, "0", ""), "0")
        seconds += fractions.cast(pa.float64()).to_numpy(zero_copy_only=False)
    if pc.any(pc.not_equal(zone, "")).as_py():
        shifts = {text: _shift(text) for text in pc.unique(zone).to_pylist() if text}
        seconds -= np.array([shifts.get(text, 0) for text in zone.to_pylist()], np.float64)
    return Times(seconds, found.is_valid().to_numpy(zero_copy_only=False).astype(bool), "ISO dates")


def _shift(zone: str) -> int:
    sign, digits = (-1 if zone[0] == "-" else 1), zone[1:].replace(":", "")
    return sign * (int(digits[:2]) * 3600 + int(digits[2:]) * 60)


def _by_form(column: pa.Array) -> Times:
    """Dates of the form that fits the most cells."""
    codes = column.dictionary_encode()
    texts = [text or "" for text in codes.dictionary.to_pylist()]
    sample = texts[:: max(1, len(texts) // 500)]
    first = _MONTH_FIRST if _months_first(texts) else _DAY_FIRST
    second = _DAY_FIRST if first is _MONTH_FIRST else _MONTH_FIRST
    forms = [*_WITH_ZONE, *(day + clock for day in ("%Y-%m-%d", *first, *second, *_DAYS) for clock in _CLOCKS)]
    form = max(forms, key=lambda form: sum(_seconds(text, form) is not None for text in sample), default="")
    parsed = [_seconds(text, form) for text in texts]
    indices = codes.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
    seconds = np.array([*(value or 0 for value in parsed), 0], np.float64)[indices]
    known = np.array([*(value is not None for value in parsed), False], bool)[indices]
    return Times(seconds, known, f"dates such as {next((t for t, v in zip(texts, parsed, strict=True) if v), '')!r}")


def _months_first(texts: Sequence[str]) -> bool:
    """Of 03/04/2019: whether some cell has a day above 12 in the second place and none in the first."""
    pairs = [found for text in texts[:100_000] if (found := re.match(r"(\d{1,2})[/-](\d{1,2})[/-]\d", text))]
    first, second = (max((int(pair[place]) for pair in pairs), default=0) for place in (1, 2))
    return second > 12 >= first or (second <= 12 and first <= 12)


def _seconds(text: str, form: str) -> int | None:
    try:
        time = datetime.strptime(text, form)
    except ValueError:
        return None
    return int((time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp())
