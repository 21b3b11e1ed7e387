"""Who took what, and when: order by time, pairs once, histories unrolled, broken rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerec_engine.data.counts import Counts
from rerec_engine.data.files.log import Log, read_log, unrolled
from rerec_engine.data.files.roles import Roles
from rerec_engine.data.files.table import Rows, Table, from_values
from rerec_engine.errors import UserError

IDS = pa.array(["A", "B", "C"])


def table(rows: list[tuple[Any, ...]], names: tuple[str, ...] = ("user", "item", "time")) -> Table:
    """Its first row stands on line 2."""
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names[: len(rows[0])])}
    return Table(Path("log.csv"), from_values(columns), "commas", lambda row: row + 2)


def read(rows: list[tuple[Any, ...]], counts: Counts | None = None, **roles: Any) -> Log:
    """Counted: broken rows are skipped."""
    own = table(rows)
    counted = Rows(counts or Counts(), "log", skip_bad=counts is not None)
    counted.counts.read("log", own.count)
    found = read_log(own, Roles({name: name for name in own.columns}, **roles), IDS, counted)
    counted.counts.check()
    return found


def histories(log: Log) -> dict[str, list[int]]:
    return {user: own.tolist() for user, own in zip(log.user_ids, log.histories(), strict=True)}


# The second is earlier than the first, and both later than the third.
TIMES = [
    (["1588687728", "1588687727", "964982703"], "seconds since 1970"),
    (["1588687728923", "1588687728922", "964982703000"], "milliseconds since 1970"),  # in one second
    (["1588687728000001", "1588687728000000", "964982703000000"], "microseconds since 1970"),
    (["1588687728.5", "1588687728.25", "9.64982703e+08"], "seconds since 1970"),
    (["8.81250949e8", "8.8125e8", "8.7e8"], "seconds since 1970"),
    (["20200505", "20200504", "20000730"], "days as YYYYMMDD"),
    (["2020-05-05 12:00:00.75", "2020-05-05 12:00:00.5", "2020-05-05"], "ISO dates"),
    (["2020-05-05T12:00:00+01:00", "2020-05-05T10:30:00Z", "2020-05-04"], "ISO dates"),
    (["5/5/2020", "5/4/2020", "12/31/2019"], "dates such as '5/5/2020'"),
    (["30", "20", "1"], "numbers, taken as an order"),
    (["-5", "-6", "-7"], "numbers, taken as an order"),
]


@pytest.mark.parametrize(("times", "form"), TIMES, ids=range(len(TIMES)))
def test_a_history_is_in_time(times: list[str], form: str) -> None:
    log = read([("ann", item, time) for item, time in zip("ABC", times, strict=True)])
    assert histories(log) == {"ann": [2, 1, 0]}
    assert log.told[2] == ("time", f"time (guessed from the name): {form}")


def test_edges_are_grouped_by_user() -> None:
    log = read([("b", "C", "3"), ("a", "A", "1"), ("b", "A", "2")])
    assert (log.user_ids, log.user.tolist(), log.item.tolist()) == (["b", "a"], [0, 0, 1], [0, 2, 0])
    assert histories(log) == {"b": [0, 2], "a": [0]}


def test_without_times_the_files_order_counts() -> None:
    assert histories(read([("a", "C"), ("b", "A"), ("a", "A")])) == {"a": [2, 0], "b": [0]}
    assert histories(read([("a", "C", "5"), ("a", "B", "5"), ("a", "A", "5")])) == {"a": [2, 1, 0]}


def test_a_pair_counts_once_at_its_first_time() -> None:
    counts = Counts()
    log = read([("a", "A", "9"), ("a", "B", "5"), (" a ", "A ", "1"), ("a", "B", "7")], counts)
    assert histories(log) == {"a": [0, 1]}
    assert counts.dropped("log") == {"repeated (user, item)": 2}


def test_a_row_without_a_time_comes_first() -> None:
    assert histories(read([("a", "A", "2020-05-05"), ("a", "B", None), ("a", "C", "2020-05-04")])) == {"a": [1, 2, 0]}


def test_ids_of_a_table_with_gaps() -> None:
    """pandas writes whole numbers as 3.0 where some are missing."""
    own = table([("7.0", "3.0", "1"), ("nan", "4.0", "2"), ("8.0", "4.0", "3")])
    counts = Counts()
    rows = Rows(counts, "log", skip_bad=True)
    log = read_log(own, Roles({name: name for name in own.columns}), pa.array(["3", "4"]), rows)
    assert histories(log) == {"7": [0], "8": [1]}
    assert counts.examples["log: broken row"] == ["log.csv:3: the user is empty"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("u", "Z", "2"), "item Z is not in the catalogue"),
        (("u", "a", "2"), "item a is not in the catalogue"),
        (("", "A", "2"), "the user is empty"),
        (("NaN", "A", "2"), "the user is empty"),
        (("u", None, "2"), "the item is empty"),
        ((None, None, "2"), "the item is empty"),
        (("u", "A", "soon"), "'soon' is no time"),
    ],
)
def test_a_broken_row_is_named_or_counted(row: tuple[Any, ...], message: str) -> None:
    rows = [("u", "A", "1"), row, ("u", "B", "3")]
    with pytest.raises(UserError, match=rf"^log\.csv:3: {message}$"):
        read(rows)
    counts = Counts()
    assert histories(read(rows, counts)) == {"u": [0, 1]}
    assert counts.dropped("log") == {"broken row": 1}


def test_a_day_that_does_not_exist() -> None:
    with pytest.raises(UserError, match=r"log\.csv:3: '2024-02-30' is no time"):
        read([("u", "A", "2024-02-28"), ("u", "B", "2024-02-30"), ("u", "C", "2024-03-01")])


def test_a_column_that_holds_no_times_is_left_out_unless_it_was_named() -> None:
    rows = [("u", "B", None), ("u", "A", "soon"), ("u", "C", "later")]
    log = read(rows)
    assert histories(log) == {"u": [1, 0, 2]}
    assert log.told[2] == ("time", "left out: holds no times such as 2024-05-31: 'soon'")
    with pytest.raises(UserError, match=r"log\.csv: column 'time' holds no times: 'soon'"):
        read(rows, given=frozenset({"time"}))


NAMES = ("user", "item", "history")


def unroll(rows: list[tuple[Any, ...]], counts: Counts | None = None) -> Log:
    own = table(rows, NAMES)
    counted = Rows(counts or Counts(), "log", skip_bad=counts is not None)
    counted.counts.read("log", own.count)
    log = read_log(own, Roles({name: name for name in NAMES}), IDS, counted)
    counted.counts.check()
    return log


@pytest.mark.parametrize("history", ["['A', 'B']", '["A", "B"]', ["A", "B"], "A B"])
def test_histories_in_cells_are_rows(history: Any) -> None:
    """As MiniOneRec has them, and Amazon 2023's benchmark (blanks): what was taken before, then the item."""
    counts = Counts()
    assert histories(unroll([("u", "C", history), ("v", "B", None)], counts)) == {"u": [0, 1, 2], "v": [1]}
    assert counts.read_by_kind == {"log": 4}


def test_a_history_that_goes_on() -> None:
    assert histories(unroll([("u", "B", "['A']"), ("u", "C", "['A', 'B']")])) == {"u": [0, 1, 2]}


def test_a_broken_history_is_named_or_counted() -> None:
    rows = [("u", "C", "['A']"), ("v", "B", "A, B")]
    with pytest.raises(UserError, match=r"log\.csv:3: 'A, B' is no list of items"):
        unroll(rows)
    counts = Counts()
    assert histories(unroll(rows, counts)) == {"u": [0, 2]}
    with pytest.raises(UserError, match=r"log\.csv:3: item Z is not in the catalogue"):
        unroll([("u", "C", "['A']"), ("v", "B", "['Z']")])


def test_rows_of_a_history_stand_where_it_stands() -> None:
    own = unrolled(
        table([("u", "C", "['A', 'B']"), ("v", "B", "[]")], NAMES), {n: n for n in NAMES}, Rows(Counts(), "x")
    )
    assert own.column("item").to_pylist() == ["A", "B", "C", "B"]
    assert own.column("user").to_pylist() == ["u", "u", "u", "v"]
    assert [own.place(row)[1] for row in range(4)] == [2, 2, 2, 3]


edges = st.tuples(st.sampled_from("uvw"), st.sampled_from("ABC"), st.integers(10**9, 10**9 + 5))


@settings(max_examples=60)
@given(st.lists(edges, min_size=1, max_size=12))
def test_a_log_is_what_a_dictionary_makes_of_it(rows: list[tuple[str, str, int]]) -> None:
    expected: dict[str, list[int]] = {user: [] for user, _, _ in rows}
    for user, item, _ in sorted(rows, key=lambda row: row[2]):
        if (place := "ABC".index(item)) not in expected[user]:
            expected[user].append(place)
    log = read([(user, item, str(time)) for user, item, time in rows])
    assert histories(log) == expected
    assert (np.diff(log.user) >= 0).all()
