from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rerec_engine.metrics import bootstrap
from rerec_engine.metrics.bootstrap import bootstrap_interval, bootstrap_intervals, bootstrap_ratios


def test_agrees_with_scipy() -> None:
    values = np.random.default_rng(1).normal(2, 3, size=211)
    low, high = bootstrap_interval(values, resamples=20_000)
    expected = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=7).confidence_interval
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.03)


def test_same_seed_same_interval_however_the_draws_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(101)
    whole = bootstrap_interval(values, seed=3)
    monkeypatch.setattr(bootstrap, "_CHUNK", 1_000)
    assert bootstrap_interval(values, seed=3) == whole
    assert bootstrap_interval(values, seed=4) != whole


def test_several_figures_have_the_intervals_that_each_has_alone() -> None:
    values = np.random.default_rng(2).random((57, 4))
    values[:, 3] = 0.1
    low, high = bootstrap_intervals(values, seed=5)
    for column, bounds in zip(values.T, zip(low, high, strict=True), strict=True):
        assert bounds == pytest.approx(bootstrap_interval(column, seed=5), abs=1e-12)
    assert low[3] == high[3] == 0.1
    with pytest.raises(ValueError, match="values must be two-dimensional"):
        bootstrap_intervals(values[0])


def test_ratios_over_queries_with_several_answers() -> None:
    rng = np.random.default_rng(3)
    hits = rng.random((120, 4)) < rng.random((120, 1))  # [queries, answers], which depend on the query
    once = hits.sum(1, keepdims=True), np.full((120, 1), 4)
    low, high = bootstrap_ratios(*once, seed=2)
    assert (low[0], high[0]) == pytest.approx(bootstrap_interval(hits.mean(1), seed=2), abs=1e-12)
    independent = bootstrap_interval(hits.ravel(), seed=2)
    assert high[0] - low[0] > 1.2 * (independent[1] - independent[0])
    some = np.zeros((120, 2))
    some[:5, 0] = 1
    low, high = bootstrap_ratios(some, some)
    assert (low[0], high[0]) == (1, 1)
    assert np.isnan([low[1], high[1]]).all()
    with pytest.raises(ValueError, match="expected two arrays"):
        bootstrap_ratios(some, some[:3])


def test_interval_of_equal_values_has_no_width() -> None:
    assert bootstrap_interval(np.full(5, 0.25)) == (0.25, 0.25)
    assert bootstrap_interval([1.0]) == (1.0, 1.0)


def test_covers_the_mean_at_about_the_stated_rate() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for i in range(200):
        low, high = bootstrap_interval(rng.random(80) < 0.3, resamples=400, seed=i)
        covered += low <= 0.3 <= high
    assert 175 <= covered <= 200


@pytest.mark.parametrize("values", [[], [[1.0]], [float("nan")]])
def test_bad_values_are_refused(values: list[object]) -> None:
    with pytest.raises(ValueError, match="values must be"):
        bootstrap_interval(values)


@pytest.mark.parametrize("settings", [{"resamples": 0}, {"confidence": 1.0}])
def test_bad_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected resamples"):
        bootstrap_interval([1.0], **settings)  # type: ignore[arg-type]
