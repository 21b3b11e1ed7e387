"""Seconds by stage add up; the total covers them."""

from __future__ import annotations

import pytest

from rerec_engine.training import clock as module
from rerec_engine.training.clock import Clock


def test_stages_add_up_in_the_order_in_which_they_began(monkeypatch):
    now = iter([0.0, 1.0, 3.0, 4.0, 4.5, 5.0, 9.0, 10.0])
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(now))
    clock = Clock()
    for stage in ("rollout", "reward", "rollout"):
        with clock(stage):
            pass
    assert list(clock.seconds().items()) == [("rollout", 6.0), ("reward", 0.5), ("total", 10.0)]


def test_a_stage_that_fails_is_not_counted():
    clock = Clock()
    with pytest.raises(KeyError), clock("update"):
        raise KeyError
    assert list(clock.seconds()) == ["total"]


def test_a_stage_is_told_as_it_begins():
    told = []
    clock = Clock(told.append)
    with clock("rollout"):
        assert told == ["rollout"]
