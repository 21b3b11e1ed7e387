"""What a run ran on and with."""

from __future__ import annotations

import json

from rerec_engine.machine import core_count
from rerec_engine.runs.environment import describe


def test_the_cores_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3, 5, 7}, raising=False)
    found = describe()
    assert found["cores"] == core_count() == 3
    assert found["versions"]["torch"]
    json.dumps(found)
