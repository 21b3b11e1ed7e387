"""A model opened with its queries, and ranked in every way that the command names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rerec_engine.data.dataset import load_dataset
from rerec_engine.evaluate import main
from rerec_engine.metrics.own import RANKINGS
from rerec_engine.model.policy import Policy


@pytest.mark.parametrize(
    "way", [[name] for name in RANKINGS] + [[way, "--reasoning", "--length-normalised"] for way in ("scores", "beams")]
)
def test_every_way_to_rank_gives_a_report(
    way: list[str], mini_demo: Path, tiny_policy: Callable[..., Policy], tmp_path: Path
) -> None:
    queries = load_dataset(mini_demo).queries("test")[:3]
    tiny_policy("llama", max_position_embeddings=2048).save(tmp_path / "final")
    words = ["--model", str(tmp_path), "--data", str(mini_demo), "--device", "cpu", "--max-new-tokens", "6"]
    words += ["--limit", "3", "--samples", "2", "--output", str(tmp_path / "out.json"), "--ranking", "--rank-by", *way]
    main(words)
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["rank_by"] == way[0]
    assert written["selfcheck_logprob_max"] < 1e-3
    lists = {row["id"]: row["lists"][str(tmp_path)] for row in written["ranking"]["rows"]}
    assert [*lists] == [query.id for query in queries]
    if way[0] == "scores":  # every candidate has a place
        assert [sorted(own) for own in lists.values()] == [sorted(query.candidates) for query in queries]
        figures = written["ranking"]["systems"][str(tmp_path)]["groups"]["all"]["measures"]
        assert figures["HR@10"]["mean"] == 1
        assert 0 < figures["NDCG@10"]["mean"] <= 1
    elif way[0] == "beams":  # the candidates that such a tokenizer spells, best first
        assert all(
            own and set(own) <= set(query.candidates) for own, query in zip(lists.values(), queries, strict=True)
        )
    else:
        assert [*lists.values()] == [[]] * 3  # an untrained model names nothing


def test_the_whole_catalogue_can_be_ranked(
    mini_demo: Path, tiny_policy: Callable[..., Policy], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_policy("llama", max_position_embeddings=2048).save(tmp_path / "final")
    words = ["--model", str(tmp_path), "--data", str(mini_demo), "--device", "cpu", "--limit", "2", "--ranking"]
    main([*words, "--over", "catalogue", "--baselines", "--output", str(tmp_path / "out.json")])
    written = json.loads((tmp_path / "out.json").read_text())["ranking"]
    assert [*written["systems"]][:2] == [str(tmp_path), "popularity"]
    assert {len(own) for row in written["rows"] for own in row["lists"].values()} == {20}
    assert written["over"] == "catalogue"
    assert f"{written['catalogue']} items ranked" in capsys.readouterr().out
