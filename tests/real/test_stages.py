"""A stage in a process of its own: how it ends, what it took."""

from __future__ import annotations

import pytest

from rerec_engine.errors import RunError
from rerec_engine.real import stages


def test_a_stage_that_fails_is_told_and_what_it_took_is_kept(tmp_path, capfd):
    stage = stages.Stage("films", tmp_path / "films", ("prepare", "files", "--items", "none.csv"), tmp_path)
    with pytest.raises(RunError, match="films ended with exit code 2; the same command goes on from there"):
        stages._run(stage)
    assert "prepare files --items none.csv" in capfd.readouterr().err
    took = stages.usage_of(tmp_path)["films"]
    assert took["seconds"] > 0
    assert took["peak_gb"] > 0.005
