from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from tqdm import tqdm

from rerec_engine.data.dataset import Dataset, load_dataset
from rerec_engine.errors import UserError
from rerec_engine.evaluate import main
from rerec_engine.files import write_json
from rerec_engine.metrics.evaluation import chance_level, evaluate_queries
from rerec_engine.model.policy import Policy, model_directory
from rerec_engine.reward import RewardEngine
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.types import Message, Query, Rollout, Sampling
from rerec_engine.worlds.demo import write_demo
from rerec_engine.worlds.options import DemoOptions

ASK: tuple[Message, ...] = (Message(role="user", content="?"),)


class FakeTokenizer:
    """Token id i is the character chr(i)."""

    def decode(self, ids: list[int], **_: object) -> str:
        return "".join(map(chr, ids))


class FakeEngine:
    """A response is a list of item ids separated by commas; an empty one is no answer."""

    size = 50

    def score(
        self,
        responses: list[str],
        ground_truth: Sequence[Sequence[int]],
        candidates: object = None,
        k: int | None = None,
    ) -> Any:
        items = [[int(part) for part in text.split(",") if part] for text in responses]
        hit = np.array([bool(set(i[:k]) & set(t)) for i, t in zip(items, ground_truth, strict=True)], dtype=np.float32)
        answered = np.array([bool(i) for i in items])
        ndcg = np.where(answered, hit, -0.5).astype(np.float32)
        return SimpleNamespace(
            items=[np.array(i, dtype=np.int32) for i in items],
            answered=answered,
            ndcg=ndcg,
            hit=hit,
            precision=hit,
            recall=hit,
            mrr=hit,
        )


def query(i: int, **settings: Any) -> Query:
    return Query(id=f"q{i}", messages=ASK, **({"ground_truth": (1,), "candidates": (1, 2, 3, 4)} | settings))


def run(responses: list[str], queries: list[Query], finish: str = "stop", **settings: Any) -> Any:
    calls: list[tuple[int, Sampling]] = []
    left = iter(responses)

    def generate(prompts: Sequence[Sequence[int]], n: int, sampling: Sampling) -> list[Rollout]:
        calls.append((len(prompts), sampling))
        assert n == 1
        texts = [next(left) for _ in prompts]
        return [Rollout([ord(c) for c in text], [0.0] * len(text), finish, 0) for text in texts]

    report = evaluate_queries(
        generate,
        FakeTokenizer(),
        FakeEngine(),  # type: ignore[arg-type]
        queries,
        encode_prompt=lambda messages: [1, 2, 3],
        max_new_tokens=9,
        **settings,
    )
    return report, calls


def test_rates_count_what_they_say() -> None:
    #            right  wrong  outside  unknown  unknown second  no answer
    responses = ["1", "2,1", "30", "-1", "1,-1", ""]
    report, calls = run(responses, [query(i) for i in range(6)], batch_size=4)
    assert report.accuracy.mean == pytest.approx(2 / 6)
    assert report.ndcg.mean == pytest.approx(2 / 6)  # the penalty of -0.5 is the reward's, not the metric's
    assert report.format_rate.mean == pytest.approx(5 / 6)
    assert report.unknown_item_rate == pytest.approx(1 / 5)
    assert report.outside_rate == pytest.approx(3 / 5)
    assert report.mean_length == pytest.approx(sum(map(len, responses)) / 6)
    assert report.truncated_rate == 0
    assert [size for size, _ in calls] == [4, 2]
    assert {sampling.temperature for _, sampling in calls} == {0.0}
    assert [row["hit"] for row in report.rows] == [True, False, False, False, True, False]


def test_accuracy_looks_at_the_first_item_and_ranking_at_k() -> None:
    report, _ = run(["2,1"], [query(0)], k=2)
    assert report.accuracy.mean == 0
    assert report.ranking["hit@2"] == 1


def test_categories_are_reported_apart() -> None:
    queries = [query(0, category="explicit"), query(1, category="implicit"), query(2, category="explicit"), query(3)]
    report, _ = run(["1", "2", "3", "1"], queries, split="val", step=7)
    assert {name: part.accuracy.mean for name, part in report.by_category.items()} == {
        "explicit": 0.5,
        "implicit": 0.0,
        "uncategorised": 1.0,
    }
    assert report.by_category["explicit"].queries == 2
    line = report.line()
    assert (line["step"], line["split"], line["accuracy"]) == (7, "val", 0.5)
    assert line["by_category"]["explicit"] == 0.5
    assert report.line(step=9, split="test")["step"] == 9


def test_chance_is_that_of_a_uniform_guess() -> None:
    assert chance_level(query(0), 50) == 0.25
    assert chance_level(query(0, ground_truth=(1, 3)), 50) == 0.5
    assert chance_level(query(0, candidates=()), 50) == 0.02
    report, _ = run(["1", "1"], [query(0), query(1, candidates=())])
    assert report.chance == pytest.approx((0.25 + 0.02) / 2)


def test_report_survives_json_and_prints() -> None:
    report, _ = run(["1", ""], [query(0, category="explicit"), query(1)], finish="length")
    restored = json.loads(json.dumps(report.to_json(rows=True)))
    assert restored["accuracy"] == {"mean": 0.5, "low": 0.0, "high": 1.0}
    assert restored["truncated_rate"] == 1.0
    assert [row["id"] for row in restored["rows"]] == ["q0", "q1"]
    assert "rows" not in report.to_json()
    console = Console(width=120, record=True)
    console.print(report.table())
    text = console.export_text()
    assert "explicit" in text
    assert "0.500 [0.000, 1.000]" in text


def test_seed_fixes_the_intervals() -> None:
    queries = [query(i) for i in range(30)]
    responses = ["1" if i % 3 else "2" for i in range(30)]
    first, second = (run(responses, queries, seed=5)[0] for _ in range(2))
    assert first == second


def test_no_query_is_refused() -> None:
    with pytest.raises(ValueError, match="no query"):
        run([], [])


def test_model_directory_finds_the_final_model_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "final").mkdir()
    with pytest.raises(UserError, match="no model here"):
        model_directory(str(tmp_path))
    (tmp_path / "final" / "config.json").write_text("{}")
    assert model_directory(str(tmp_path)) == tmp_path / "final"
    with pytest.raises(UserError, match="nowhere: no such model directory"):
        model_directory(str(tmp_path / "nowhere"))


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def refused(*argv: str) -> str:
    """The one line with which the arguments are refused."""
    with pytest.raises(UserError) as caught:
        main(argv)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("--model", "m"),
        ("--predictions", "p"),
        ("--predictions", "p", "--queries", "q", "--model", "m"),
        ("--model", "m", "--data", "d", "--k", "0"),
        ("--predictions", "p", "--queries", "q", "--matcher", "x"),
    ],
)
def test_bad_arguments_are_one_line(argv: tuple[str, ...]) -> None:
    refused(*argv)


def test_predictions_are_scored_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = [{"query": "a", "movie subset": ["Heat (1995)", "The Insider (1999)"]}, {}]
    (tmp_path / "q.json").write_text(json.dumps([{"query & ground true": entries}]))
    (tmp_path / "p.jsonl").write_text('{"id": "0-0", "response": "The Insider (1999) [SEP] Heat"}\n{"id": ""}\n')
    files = ("--predictions", str(tmp_path / "p.jsonl"), "--queries", str(tmp_path / "q.json"))
    with pytest.raises(UserError, match=r"p\.jsonl:2: has no text under 'response'"):
        main(files)
    main([*files, "--skip-bad", "--output", str(tmp_path / "out.json")])
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["skipped"]["broken"] == 1
    row = written["rows"][0]
    # "The Insider" is close enough to "The Insider (1999)"? 22/29 < 0.8: the published rules miss it, and "Heat" too.
    assert row == {"id": "0-0", "precision": 0.0, "recall": 0.0, "ndcg": 0.0, "ftr": False}
    assert written["means"] == {"precision": 0, "recall": 0, "ndcg": 0, "ftr": 0}
    assert "1 broken" in capsys.readouterr().out


def test_missing_output_folder_is_told_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="its directory does not exist"):
        main(["--model", "m", "--data", "d", "--output", str(tmp_path / "no" / "out.json")])


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("demo") / "data"
    few = {field.name: 5 for field in fields(DemoOptions) if field.name.endswith(("_queries", "_traces"))}
    write_demo(path, DemoOptions(films=40, books=40, users=20, embedding_epochs=1, **few))
    return load_dataset(path)


def test_untrained_model_from_end_to_end(
    demo: Dataset, tiny_policy: Callable[..., Policy], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_policy("llama", max_position_embeddings=2048).save(tmp_path / "final")
    options = ("--data", str(demo.path), "--device", "cpu", "--max-new-tokens", "6", "--k", "3", "--limit", "4")
    main(["--model", str(tmp_path), *options, "--output", str(tmp_path / "out.json")])
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["split"] == "test"
    assert [row["id"] for row in written["rows"]] == [query.id for query in demo.queries("test")[:4]]
    assert written["format_rate"]["mean"] == written["accuracy"]["mean"] == written["ndcg"]["mean"] == 0
    assert written["chance"] == 0.05
    assert written["truncated_rate"] == 1
    assert set(written["by_category"]) == {query.category for query in demo.queries("test")[:4]}
    assert "NDCG@3" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"no split 'tset' \(has: train, val, test\)"):
        main(["--model", str(tmp_path), *options, "--split", "tset"])


def test_the_bar_follows_finished_responses(demo: Dataset, tiny_policy: Callable[..., Policy]) -> None:
    sampler, engine = Sampler(tiny_policy("llama", max_position_embeddings=2048)), RewardEngine.load(demo.path)
    drawn: list[tuple[int, str]] = []

    class Bar(tqdm):  # type: ignore[type-arg]
        def update(self, n: float | None = 1) -> bool | None:
            super().update(n)
            drawn.append((int(self.n), str(self.postfix)))
            return None

    def evaluated(watched: Sampler | None, progress: bool) -> Any:
        return evaluate_queries(
            sampler.generate,
            sampler.policy.tokenizer,
            engine,
            demo.queries("test")[:5],
            encode_prompt=sampler.policy.encode_prompt,
            max_new_tokens=6,
            batch_size=3,
            progress=progress,
            watched=watched,
        )

    plain = evaluated(None, progress=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rerec_engine.metrics.evaluation.progress_bar", lambda total, *_, **__: Bar(total=total))
        followed = evaluated(sampler, progress=True)
    assert followed == plain
    assert sampler.watch is None
    assert [postfix for _, postfix in drawn if postfix][:3] == ["token 1", "token 2", "token 3"]
    assert [n for n, _ in drawn] == sorted(n for n, _ in drawn)
    assert drawn[-1][0] == 5


def test_real_engine_scores_a_scripted_model(demo: Dataset) -> None:
    queries = demo.queries("test")
    titles = [demo.titles[query.ground_truth[0]] for query in queries]
    wrong = next(i for i in queries[1].candidates if i not in queries[1].ground_truth)
    outside = next(i for i in range(demo.item_count) if i not in queries[2].candidates)
    responses = [
        f"so: \\boxed{{{titles[0]}}}",
        f"\\boxed{{{demo.titles[wrong]}; {titles[1]}}}",
        f"\\boxed{{{demo.titles[outside]}}}",
        "\\boxed{No Such Thing (1800)}",
        titles[4],
    ]
    left = iter(responses)

    def generate(prompts: Sequence[Sequence[int]], n: int, sampling: Sampling) -> list[Rollout]:
        return [Rollout([ord(c) for c in next(left)], [], "stop", 0) for _ in prompts]

    engine = RewardEngine.load(demo.path)
    report = evaluate_queries(
        generate, FakeTokenizer(), engine, queries, encode_prompt=lambda messages: [0], max_new_tokens=9, k=2
    )
    assert [row["hit"] for row in report.rows] == [True, False, False, False, False]
    assert [row["answered"] for row in report.rows] == [True, True, True, True, False]
    assert report.ndcg.mean == pytest.approx((1 + 1 / np.log2(3)) / 5)
    assert (report.unknown_item_rate, report.outside_rate) == (0.25, 0.5)
    assert report.ranking == pytest.approx({"hit@2": 0.4, "precision@2": 0.2, "recall@2": 0.4, "mrr@2": 0.3})


def test_catalogue_matcher_stands_beside_the_published_rules(
    demo: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    title = demo.titles[3]
    entries = [{"query": "a", "movie subset": [title, "Elsewhere (1999)"]}]
    (tmp_path / "q.json").write_text(json.dumps([{"query & ground true": entries}]))
    (tmp_path / "p.jsonl").write_text(json.dumps({"id": "0-0", "response": f"x [SEP] {title[:-7].upper()}"}))
    files = ("--predictions", str(tmp_path / "p.jsonl"), "--queries", str(tmp_path / "q.json"))
    with pytest.raises(UserError, match="matcher catalogue needs data"):
        main([*files, "--matcher", "catalogue"])
    main([*files, "--matcher", "catalogue", "--data", str(demo.path), "--output", str(tmp_path / "out.json")])
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["means_recbench"]["recall"] == 0
    assert written["means"]["recall"] == 0.5
    assert written["rows"][0]["precision"] == 0.5
    assert written["ground_truth_outside_catalogue"] == 1
    out = capsys.readouterr().out
    assert "recbench" in out
    assert "catalogue" in out
