"""The statistics of the table, against SciPy and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rerec_engine.experiment.table import compare, holm, interval, markdown


def results(**arms: list[float]):
    return {
        name: {
            seed: {"accuracy": x, "by_category": {"a": x, "b": 1 - x}, "cpu_minutes": 2.0, "tokens": 3e3}
            for seed, x in enumerate(values)
        }
        for name, values in arms.items()
    }


def test_intervals_and_paired_tests_equal_scipys():
    a, b = [0.5, 0.6, 0.55, 0.7, 0.52], [0.6, 0.62, 0.7, 0.71, 0.6]
    row, base = compare(results(a=a, b=b), "b")
    assert row.accuracy == pytest.approx(np.mean(a))
    expected = stats.t.interval(0.95, 4, loc=np.mean(a), scale=stats.sem(a))
    assert (row.low, row.high) == pytest.approx(expected)
    found = stats.ttest_rel(a, b)
    assert row.p == row.p_holm == pytest.approx(found.pvalue)
    paired = found.confidence_interval()
    assert (row.difference_low, row.difference_high) == pytest.approx((paired.low, paired.high))
    assert row.by_category == pytest.approx({"a": np.mean(a), "b": 1 - np.mean(a)})
    assert math.isnan(base.difference)
    assert math.isnan(base.p)


def test_pairs_are_the_seeds_that_both_have():
    found = results(a=[0.1, 0.2, 0.3], b=[0.2, 0.4])
    row, _ = compare(found, "b")
    assert row.seeds == 3
    assert row.difference == pytest.approx(-0.15)


@pytest.mark.parametrize(("values", "p"), [([0.5, 0.5], 1.0), ([0.6, 0.6], 0.0)])
def test_differences_without_variance(values, p):
    row, _ = compare(results(a=values, b=[0.5, 0.5]), "b")
    assert row.p == p


def test_one_seed_has_no_interval_and_an_arm_without_a_run_no_row():
    rows = compare(results(a=[0.5], b=[0.6], c=[]), "b")
    assert [row.arm for row in rows] == ["a", "b"]
    assert math.isnan(rows[0].low)
    assert math.isnan(rows[0].p)
    text = markdown(rows, "b")
    assert "| a (n = 1) | 0.500 | 0.500 | 0.500 | -0.100 |  | 2.0 | 3 k |" in text
    assert "nan" not in text


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, float("nan")]) == pytest.approx([0.03, 0.06, 0.06, float("nan")], nan_ok=True)
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_only_raises(p):
    found = holm(p)
    assert all(x <= y <= 1 for x, y in zip(p, found, strict=True))
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.array(found)[order]) >= 0).all()


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_the_mean_is_in_the_middle(values):
    low, high = interval(np.array(values))
    assert low <= np.mean(values) + 1e-12
    assert (low + high) / 2 == pytest.approx(np.mean(values), abs=1e-9)
