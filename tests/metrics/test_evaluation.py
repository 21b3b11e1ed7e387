"""A model's answers to queries, scored: rates, categories, chance."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.metrics.evaluation import chance_level, evaluate_queries
from rerec_engine.reward import RewardEngine
from rerec_engine.types import Message, Query, Rollout, Sampling

ASK: tuple[Message, ...] = (Message(role="user", content="?"),)


class FakeTokenizer:
    """Token id i is the character chr(i)."""

    def decode(self, ids: list[int], **_: object) -> str:
        return "".join(map(chr, ids))


class FakeEngine:
    """A response is a list of item ids separated by commas; an empty one is no answer."""

    size = 50
    reads_reasons = False

    def score(
        self,
        responses: list[str],
        ground_truth: Sequence[Sequence[int]],
        candidates: object = None,
        k: int | None = None,
        reasons: bool = False,
        opened: bool = False,
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
            reasons=None,
        )


def query(i: int, **settings: Any) -> Query:
    return Query(id=f"q{i}", messages=ASK, **({"ground_truth": (1,), "candidates": (1, 2, 3, 4)} | settings))


def run(responses: list[str], queries: list[Query], finish: str = "stop", engine: Any = None, **settings: Any) -> Any:
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
        engine or FakeEngine(),
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
    assert [row["unknown"] for row in report.rows] == [False, False, False, True, False, False]


def test_a_row_tells_all_of_an_answer() -> None:
    report, _ = run(["30,1"], [query(7, category="interest")], finish="length", k=2)
    answer = {"id": "q7", "category": "interest", "response": "30,1", "items": [30, 1], "ndcg": 1.0, "tokens": 4}
    flags = {"answered": True, "hit": False, "unknown": False, "outside": True, "truncated": True}
    assert report.rows == [answer | flags | {"statements": 0, "true_statements": 0}]
    assert report.truncated_rate == 1


def test_an_open_query_has_nothing_outside() -> None:
    report, _ = run(["30", "30", ""], [query(0), query(1, candidates=()), query(2)])
    assert [row["outside"] for row in report.rows] == [True, False, False]
    assert report.outside_rate == 1  # of the one closed query that is answered
    assert run(["30"], [query(0, candidates=())])[0].outside_rate == 0


def test_rates_without_any_answer_are_zero() -> None:
    report, _ = run(["", ""], [query(0), query(1)])
    assert (report.format_rate.mean, report.unknown_item_rate, report.outside_rate) == (0, 0, 0)


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
    assert [part.queries for part in report.by_category.values()] == [2, 1, 1]
    assert (report.queries, report.split, report.step) == (4, "val", 7)


def test_chance_is_that_of_a_uniform_guess() -> None:
    assert chance_level(query(0), 50) == 0.25
    assert chance_level(query(0, ground_truth=(1, 3)), 50) == 0.5
    assert chance_level(query(0, candidates=()), 50) == 0.02
    assert chance_level(query(0, candidates=(1, 2, 2, 1)), 50) == 0.5
    assert chance_level(query(0, candidates=()), 0) == 0
    queries = [query(0, category="implicit"), query(1, candidates=())]
    report, _ = run(["1", "1"], queries)
    assert report.chance == pytest.approx((0.25 + 1 / 50) / 2)  # the engine's size
    assert report.by_category["implicit"].chance == 0.25
    assert run(["1", "1"], queries, catalogue_size=10)[0].chance == pytest.approx((0.25 + 0.1) / 2)


def test_prompts_are_those_of_the_messages() -> None:
    other = Message(role="user", content="!")
    seen: list[Sequence[Message]] = []

    def generate(prompts: Sequence[Sequence[int]], n: int, sampling: Sampling) -> list[Rollout]:
        assert list(prompts) == [[1], [2]]
        assert sampling == Sampling(max_new_tokens=5, temperature=0.0)
        return [Rollout([ord("1")], [0.0], "stop", 0) for _ in prompts]

    def encode_prompt(messages: Sequence[Message]) -> list[int]:
        seen.append(messages)
        return [len(seen)]

    tools: Any = (FakeTokenizer(), FakeEngine())
    queries = [query(0), Query(id="q1", messages=(*ASK, other), ground_truth=(1,))]
    evaluate_queries(generate, *tools, queries, encode_prompt=encode_prompt, max_new_tokens=5)
    assert seen == [ASK, (*ASK, other)]


def test_progress_is_told_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    queries = [query(i) for i in range(3)]
    run(["1"] * 3, queries)
    assert capsys.readouterr().err == ""
    run(["1"] * 3, queries, progress=True, split="val", batch_size=2)
    assert capsys.readouterr().err.splitlines()[-1].startswith("evaluate val 3/3 query")


def test_seed_fixes_the_intervals() -> None:
    queries = [query(i) for i in range(30)]
    responses = ["1" if i % 3 else "2" for i in range(30)]
    first, second = (run(responses, queries, seed=5)[0] for _ in range(2))
    assert first == second


def test_no_query_is_refused() -> None:
    with pytest.raises(ValueError, match="no query"):
        run([], [])


def test_real_engine_scores_a_scripted_model() -> None:
    titles = ["Heat (1995)", "Seven (1995)", "Alien (1979)", "Casino (1995)"]
    engine = RewardEngine(Catalogue(titles), sp.csr_matrix(np.eye(4)), np.eye(4, dtype=np.float32), threads=1)
    queries = [query(i, ground_truth=(truth,), candidates=(0, 1, 2)) for i, truth in enumerate((0, 1, 2, 0, 1))]
    #          right                  second                               outside                unknown
    texts = ["so: \\boxed{Heat}", "\\boxed{Alien (1979); Seven (1995)}", "\\boxed{Casino}", "\\boxed{No Such (1800)}"]
    texts.append("Seven (1995)")  # no answer: not in a box
    report, _ = run(texts, queries, engine=engine, k=2)
    assert [row["hit"] for row in report.rows] == [True, False, False, False, False]
    assert [row["answered"] for row in report.rows] == [True, True, True, True, False]
    assert [row["items"] for row in report.rows] == [[0], [2, 1], [3], [-1], []]
    assert report.ndcg.mean == pytest.approx((1 + 1 / np.log2(3)) / 5)
    assert (report.unknown_item_rate, report.outside_rate) == (0.25, 0.5)
    assert report.ranking == pytest.approx({"hit@2": 0.4, "precision@2": 0.2, "recall@2": 0.4, "mrr@2": 0.3})


def test_marks_count_a_query_once_more_each() -> None:
    marks: list[tuple[str, ...]] = [("years", "unseen wording"), ("years",), ()]
    queries = [query(i, marks=own) for i, own in enumerate(marks)]
    report, _ = run(["1", "2", "1"], queries)
    found = {name: (part.queries, part.accuracy.mean) for name, part in report.by_mark.items()}
    assert found == {"years": (2, 0.5), "unseen wording": (1, 1.0)}
    assert run(["1"], [query(0)])[0].by_mark == {}
