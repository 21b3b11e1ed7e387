from __future__ import annotations

import doctest
from datetime import datetime, timezone

import pyarrow as pa
import pytest

from rerec_engine.data.files import times
from rerec_engine.data.files.times import is_dates, parse_year, times_of, years_of

NOON = int(datetime(2019, 3, 4, 12, tzinfo=timezone.utc).timestamp())
DAY = NOON - 12 * 3600


def test_examples() -> None:
    assert doctest.testmod(times).failed == 0


@pytest.mark.parametrize(
    ("cell", "seconds"),
    [
        (f"{NOON}", NOON),
        (f"{NOON}.5", NOON + 0.5),
        (f"{NOON}e0", NOON),
        ("1.551700800e+09", NOON),
        (f"{NOON}250", NOON + 0.25),
        (f"{NOON}000", NOON),
        (f"{NOON}000000", NOON),
        ("20190304", DAY),
        ("2019-03-04", DAY),
        ("2019-03-04 12:00", NOON),
        ("2019-03-04T12:00:00", NOON),
        ("2019-03-04T12:00:00.125Z", NOON + 0.125),
        ("2019-03-04 13:00:00,5 +01:00", NOON + 0.5),
        ("2019-03-04 13:00:00 +0100", NOON),
        ("2019-03-04T07:00:00-05:00", NOON),
        ("2019-03-04 12:00:00 UTC", NOON),
        ("04.03.2019", DAY),
        ("3/4/2019", DAY),
        ("2019/03/04", DAY),
        ("03 4, 2019", DAY),
        ("Mar 4, 2019", DAY),
        ("4 March 2019", DAY),
        ("3/4/2019 12:00", NOON),
        ("Mon Mar 04 04:00:00 -0800 2019", NOON),
    ],
)
def test_forms_of_a_time(cell: str, seconds: float) -> None:
    found = times_of(pa.array([cell, None, cell]))
    assert found.seconds.tolist() == [seconds, 0, seconds]
    assert found.known.tolist() == [True, False, True]


def test_days_first_where_a_day_shows_it() -> None:
    assert times_of(pa.array(["04/03/2019", "13/03/2019"])).seconds[0] == DAY


def test_a_time_that_is_none() -> None:
    assert times_of(pa.array(["2019-03-04", "2019-02-30", "soon", "2019-03-04"])).known.tolist() == [
        True, False, False, True
    ]  # fmt: skip
    assert not times_of(pa.array(["soon", "later"])).known.any()
    assert times_of(pa.array([None, None], pa.string())).known.tolist() == [False, False]
    assert is_dates(["2019-03-04", "2018-01-01"])
    assert not is_dates(["1995", "1996"])
    assert not is_dates([])


@pytest.mark.parametrize(
    ("cell", "year"),
    [
        ("1995", 1995), ("1995.0", 1995), ("868", 868), ("0", None), ("-3000", None), ("unkonwn", None), ("V", None),
        ("2009-03-01", 2009), ("01/02/2010", 2010), ("Nov 1951", 1951), ("813543225", 1995), ("813543225000", 1995),
        ("99999", None), ("c. 1868", 1868),
    ],
)  # fmt: skip
def test_years(cell: str, year: int | None) -> None:
    assert parse_year(cell) == year
    assert years_of(pa.array([cell, None, cell])) == [year, None, year]
