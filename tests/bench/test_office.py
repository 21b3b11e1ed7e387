"""`bench/experiments/office.py`: the record of what `evaluate --ranking` has written, beside the published figures."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.experiments.office import MEASURES, PUBLISHED, TEST_ROWS, main


def write(path: Path, value: float, queries: int = TEST_ROWS) -> str:
    estimate = {"mean": value, "low": value - 0.01, "high": value + 0.01}
    group = {"queries": queries, "measures": dict.fromkeys(MEASURES, estimate)}
    at: dict[str, Any] = {kind: {"@10": 0.5} for kind in ("coverage", "novelty", "popularity")}
    system = {"groups": {"tail items": group, "all": group}, **at}
    report = {"queries": queries, "catalogue": 3459, "split": "test", "systems": {"SASRec": system}}
    path.write_text(json.dumps({"ranking": report}))
    return str(path)


def test_seeds_beside_what_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [write(tmp_path / "0.json", 0.1), write(tmp_path / "1.json", 0.2)]
    monkeypatch.setattr(sys, "argv", ["office", *files, "--output", str(tmp_path / "out.json")])
    main()
    written = json.loads((tmp_path / "out.json").read_text())
    own = written["systems"]["SASRec"]
    assert own["seeds"] == 2
    assert own["measures"]["HR@10"]["mean"] == pytest.approx(0.15)
    assert own["measures"]["HR@10"]["over queries"] == pytest.approx([0.09, 0.11])
    low, high = own["measures"]["HR@10"]["over seeds"]
    assert low < 0.1 < 0.2 < high
    assert [*own["NDCG@10 by popularity"]] == ["tail items"]
    assert written["published"]["SASRec"]["NDCG@10"] == 0.0858
    assert "command" not in written["environment"]
    told = capsys.readouterr().out
    assert "| SASRec | 0.1500 [0.0900, 0.1100]" in told
    assert told.count("(published)") == len(PUBLISHED) == 10


def test_a_part_of_the_split_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["office", write(tmp_path / "0.json", 0.1, 100)])
    with pytest.raises(ValueError, match="expected all 4866 test rows"):
        main()
