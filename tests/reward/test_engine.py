"""Scores of responses: metrics, alignment, format, bad input."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import reward_reference as reference
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from reward_reference import TITLES
from safetensors.numpy import save_file
from sklearn.metrics import ndcg_score

from rerec_engine.config import QasMode, RewardWeights
from rerec_engine.errors import UserError
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.reward import RewardEngine

N = len(TITLES)
UNAMBIGUOUS = [title for title in TITLES if ";" not in title]


def box(*titles: str) -> str:
    return "Thinking.\n\\boxed{" + "; ".join(titles) + "}"


def test_a_worked_example(engine: RewardEngine) -> None:
    scores = engine.score([box("Heat (1995)"), box("Seven"), "no answer", box("Nobody Knows")], [0] * 4)
    assert scores.ndcg.tolist() == [1.0, 0.0, -0.5, 0.0]
    assert scores.format.tolist() == [0.5, 0.5, -0.5, 0.5]
    assert scores.hit.tolist() == [1, 0, 0, 0]
    assert scores.answered.tolist() == [True, True, False, True]
    assert [items.tolist() for items in scores.items] == [[0], [2], [], [-1]]
    assert scores.qas[[0, 2, 3]].tolist() == [1, 0, 0]
    assert scores.pas[0] == pytest.approx(1)
    assert scores.pas[[2, 3]].tolist() == [0, 0]
    parts = scores.ndcg + 0.1 * scores.format + 0.01 * scores.qas + 0.01 * scores.pas
    np.testing.assert_allclose(scores.total, parts, rtol=1e-6)
    assert scores.total.dtype == scores.mrr.dtype == np.float32


@given(
    ranking=st.lists(st.integers(0, N - 1), unique=True, min_size=1, max_size=8),
    truth=st.sets(st.integers(0, N - 1), min_size=1, max_size=4),
    k=st.integers(1, 10),
)
def test_ranking_against_scikit_learn(engine: RewardEngine, ranking: list[int], truth: set[int], k: int) -> None:
    answer = "\\boxed{" + "\n".join(TITLES[i] for i in ranking) + "}"
    scores = engine.score([answer], [sorted(truth)], k=k)
    assert scores.items[0].tolist() == ranking
    relevant = np.array([[i in truth for i in range(N)]], dtype=float)
    order = np.zeros((1, N))
    order[0, ranking] = -np.arange(len(ranking)) - 1
    unseen = [i for i in range(N) if i not in ranking]
    # scikit-learn ranks every item: the unnamed ones come last, and are cut off by k or carry no gain.
    order[0, unseen] = -1e6
    named = relevant * np.isin(np.arange(N), ranking)
    ideal = sum(1 / math.log2(i + 2) for i in range(min(k, len(truth))))
    best = sum(1 / math.log2(i + 2) for i in range(min(k, int(named.sum()))))
    expected = ndcg_score(named, order, k=k) * best / ideal if named.any() else 0.0
    assert scores.ndcg[0] == pytest.approx(expected, abs=1e-6)
    assert scores.ndcg[0] == pytest.approx(reference.ndcg(ranking, sorted(truth), k), abs=1e-6)
    hits = [i for i, item in enumerate(ranking[:k]) if item in truth]
    assert scores.precision[0] == pytest.approx(len(hits) / k)
    assert scores.recall[0] == pytest.approx(len(hits) / len(truth))
    assert scores.hit[0] == bool(hits)
    assert scores.mrr[0] == pytest.approx(1 / (hits[0] + 1) if hits else 0)


def _graph(attributes: sp.csr_matrix) -> nx.Graph:
    graph = nx.Graph()
    graph.add_nodes_from(("item", i) for i in range(attributes.shape[0]))
    graph.add_edges_from((("item", i), ("attribute", a)) for i, a in zip(*attributes.nonzero(), strict=True))
    return graph


@given(
    item=st.integers(0, N - 1),
    truth=st.sets(st.integers(0, N - 1), min_size=1, max_size=4),
    mode=st.sampled_from(["shared", "max", "mean"]),
)
def test_alignment_against_networkx_and_numpy(
    catalogue: Catalogue,
    attributes: sp.csr_matrix,
    embeddings: np.ndarray,
    item: int,
    truth: set[int],
    mode: QasMode,
) -> None:
    engine = RewardEngine(catalogue, attributes, embeddings, RewardWeights(qas_mode=mode), threads=1)
    scores = engine.score([f"\\boxed{{{TITLES[item]}}}"], [sorted(truth)])
    graph = _graph(attributes)
    own = set(graph[("item", item)])
    wanted = [set(graph[("item", gt)]) for gt in sorted(truth)]
    cosines = [float(embeddings[item].astype(np.float64) @ embeddings[gt]) for gt in truth]
    shares = [len(own & want) / len(want) if want else 0.0 for want in wanted]
    shared = set.intersection(*wanted)
    expected = {
        "shared": len(own & shared) / len(shared) if shared else 0.0,
        "max": max(shares),
        "mean": sum(shares) / len(shares),
    }[mode]
    assert scores.qas[0] == pytest.approx(expected, abs=1e-6)
    assert scores.pas[0] == pytest.approx(max(cosines) if mode == "max" else np.mean(cosines), abs=1e-6)


def test_bad_responses(engine: RewardEngine) -> None:
    with pytest.raises(UserError, match="row 1: expected str or bytes, got int"):
        engine.score(["", 3], [0, 0])  # type: ignore[list-item]
    with pytest.raises(UserError, match="got one text"):
        engine.score("abc", [0, 0, 0])
    with pytest.raises(UserError, match="k must be in"):
        engine.score([""], [0], k=0)


def test_bad_tables(catalogue: Catalogue, attributes: sp.csr_matrix, embeddings: np.ndarray) -> None:
    with pytest.raises(UserError, match="item_attributes must have a row"):
        RewardEngine(catalogue, attributes[:-1], embeddings)
    with pytest.raises(UserError, match=r"item_embeddings must be \[12, d\]"):
        RewardEngine(catalogue, attributes, embeddings[:-1])
    for wrong in (np.nan, np.inf, 3.0):
        broken = embeddings.copy()
        broken[4, 2] = wrong
        with pytest.raises(UserError, match="item_embeddings row 4"):
            RewardEngine(catalogue, attributes, broken)
    nan = attributes.copy()
    nan.data[0] = np.nan
    with pytest.raises(UserError, match="item_attributes holds a NaN"):
        RewardEngine(catalogue, nan, embeddings)
    with pytest.raises(UserError, match='answer must be "first" or "last"'):
        RewardEngine(catalogue, attributes, embeddings, answer="middle")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="finite"):
        RewardWeights(qas=float("nan"))


def test_attributes_need_not_be_canonical(catalogue: Catalogue, embeddings: np.ndarray) -> None:
    data, columns, ptr = [1, 1, 0, 1], [3, 1, 2, 1], [0, 4] + [4] * (N - 1)
    matrix = sp.csr_matrix((data, columns, ptr), shape=(N, 5))
    messy = RewardEngine(catalogue, matrix, embeddings, threads=1)
    assert messy.score([box("Heat")], [0]).qas.tolist() == [1.0]
    assert matrix.nnz == 4  # the caller's matrix is left as it was


def test_first_or_last_box(catalogue: Catalogue, attributes: sp.csr_matrix, embeddings: np.ndarray) -> None:
    text = "\\boxed{Heat} no, \\boxed{Seven}"
    for answer, item in (("first", 0), ("last", 2)):
        engine = RewardEngine(catalogue, attributes, embeddings, answer=answer)  # type: ignore[arg-type]
        assert engine.score([text], [0]).items[0].tolist() == [item]


HEAT, SUSPECTS = (f"\\boxed{{{title}}}" for title in TITLES[:2])


@pytest.mark.parametrize(
    ("response", "opened", "items"),
    [
        (f"<think>{SUSPECTS}? no</think> {HEAT}", False, [0]),
        (f"<think>{HEAT}? no</think> {SUSPECTS} <think>{HEAT} cut", False, [1]),
        (f"{SUSPECTS}? no</think> {HEAT}", False, [0]),
        (f"{HEAT} then</think> why", False, []),
        (f"<think>{HEAT} never closed", False, []),
        (HEAT, True, []),
        (f"{SUSPECTS}</think>{HEAT}", True, [0]),
        (f"a < b: <thinking> {HEAT}", False, [0]),
        (f"<think></think>{HEAT}", True, [0]),
    ],
)
def test_a_box_in_a_block_of_reasoning_is_no_answer(
    engine: RewardEngine, response: str, opened: bool, items: list[int]
) -> None:
    scores = engine.score([response], [0], opened=opened)
    assert (scores.items[0].tolist(), bool(scores.answered[0])) == (items, bool(items))


def test_each_response_has_its_own_opened(engine: RewardEngine, tokenizer: Any) -> None:
    opened, texts = [True, False, True], [HEAT, HEAT, f"{SUSPECTS}</think>{HEAT}"]
    expected = [[], [0], [0]]
    ids = [tokenizer(text)["input_ids"] for text in texts]
    cu = np.cumsum([0, *map(len, ids)])
    for told in (opened, np.array(opened)):
        assert [items.tolist() for items in engine.score(texts, [0] * 3, opened=told).items] == expected
        tokens = engine.score_tokens(np.concatenate(ids), cu, [0] * 3, tokenizer, opened=told)
        assert [items.tolist() for items in tokens.scores.items] == expected
    with pytest.raises(UserError, match=r"one entry a response \(3\), got 2"):
        engine.score(texts, [0] * 3, opened=[True, False])


def test_strange_texts(engine: RewardEngine) -> None:
    texts = ["", "\x00\\boxed{Heat}\x00", "\\boxed{Heat\ud800}", b"\xff\\boxed{Heat}", "a" * 1_000_000 + box("Heat")]
    assert engine.score(texts, [0] * 5).hit.tolist() == [0, 1, 1, 1, 1]
    empty = engine.score([], [])
    assert empty.total.shape == (0,)
    assert list(empty.items) == []


@pytest.mark.slow
@given(st.lists(st.lists(st.sampled_from(UNAMBIGUOUS + ["x", ""]), max_size=4), max_size=40))
def test_threads_do_not_matter(
    catalogue: Catalogue, attributes: sp.csr_matrix, embeddings: np.ndarray, answers: list[list[str]]
) -> None:
    responses = [box(*titles) for titles in answers]
    results = [
        RewardEngine(catalogue, attributes, embeddings, threads=threads).score(responses, [0] * len(responses), k=3)
        for threads in (1, 2, 7)
    ]
    for other in results[1:]:
        np.testing.assert_array_equal(other.total, results[0].total)
        assert [items.tolist() for items in other.items] == [items.tolist() for items in results[0].items]


def test_load(tmp_path: Path, attributes: sp.csr_matrix, embeddings: np.ndarray, engine: RewardEngine) -> None:
    schema = pa.schema([("item_id", pa.int64()), ("title", pa.string()), ("year", pa.int32())])
    items = {"item_id": list(range(N)), "title": TITLES, "year": [None] * N}
    pq.write_table(pa.table(items, schema=schema), tmp_path / "items.parquet")
    sp.save_npz(tmp_path / "item_attributes.npz", attributes)
    save_file({"item_embeddings": embeddings}, tmp_path / "item_embeddings.safetensors")
    loaded = RewardEngine.load(tmp_path, threads=1)
    texts = [box(title) for title in TITLES]
    np.testing.assert_array_equal(loaded.score(texts, [0] * N).total, engine.score(texts, [0] * N).total)
    assert loaded.size == N
    (tmp_path / "item_embeddings.safetensors").unlink()
    with pytest.raises(UserError, match="item_embeddings.safetensors: no such file"):
        RewardEngine.load(tmp_path)
    with pytest.raises(UserError, match="no such dataset directory"):
        RewardEngine.load(tmp_path / "nothing")
    wrong = {**items, "item_id": [0, 1, 2, 7, *range(4, N)]}
    pq.write_table(pa.table(wrong, schema=schema), tmp_path / "items.parquet")
    with pytest.raises(UserError, match=r"items.parquet:4: expected item_id 3"):
        RewardEngine.load(tmp_path)
