"""What `evaluate --ranking` puts together; its sources have tests of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rerec_engine.data.dataset import load_dataset
from rerec_engine.errors import UserError
from rerec_engine.evaluate import main


def test_what_needs_no_model_alone(mini_demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--data", str(mini_demo), "--baselines", "--ranking", "--limit", "6"]
    main([*words, "--output", str(tmp_path / "out.json")])
    queries = load_dataset(mini_demo).queries("test")[:6]
    ranking = json.loads((tmp_path / "out.json").read_text())["ranking"]
    assert (ranking["queries"], ranking["over"], ranking["split"]) == (6, "candidates", "test")
    assert [row["id"] for row in ranking["rows"]] == [query.id for query in queries]
    for row, query in zip(ranking["rows"], queries, strict=True):
        assert sorted(row["lists"]["popularity"]) == sorted(query.candidates)
    assert next(iter(ranking["systems"])) == "popularity"
    told = " ".join(capsys.readouterr().out.split())
    assert "test: 6 queries, candidates ranked, 95 % bootstrap intervals" in told
    assert "novelty in bits" in told


def test_only_queries_that_the_file_ranks_are_asked_of_the_others(mini_demo: Path, tmp_path: Path) -> None:
    query = load_dataset(mini_demo).queries("test")[3]
    (tmp_path / "lists.jsonl").write_text(json.dumps({"id": query.id, "items": list(query.candidates)}))
    words = ["--predictions", str(tmp_path / "lists.jsonl"), "--data", str(mini_demo), "--ranking", "--baselines"]
    with pytest.raises(UserError, match="no answer to query .* and 18 more"):
        main(words)
    main([*words, "--skip-bad", "--output", str(tmp_path / "out.json")])
    ranking = json.loads((tmp_path / "out.json").read_text())["ranking"]
    assert [row["id"] for row in ranking["rows"]] == [query.id]
    assert ranking["systems"]["popularity"]["groups"]["all"]["queries"] == 1
    assert "left out: 19 unanswered" in ranking["notes"]


def test_orders_and_rankings_do_not_mix() -> None:
    with pytest.raises(UserError, match="--permutations goes without --ranking"):
        main(["--model", "m", "--data", "d", "--ranking", "--permutations", "3"])
