"""Scores and token rewards against the slow float64 reference: on every real response of the workload, and on 10,000
generated ones made to break a title matcher.
"""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import reward_reference as reference
import scipy.sparse as sp
from response_generator import catalogue_titles, response, split_in_tokens
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast

from rerec_engine.config import QasMode, RewardWeights
from rerec_engine.graph.catalogue import RULES, Catalogue
from rerec_engine.model.small_model import corpus_tokenizer
from rerec_engine.reward import RewardEngine, TokenScores
from rerec_engine.reward.vocabulary import token_bytes

CHUNKS = 8
GENERATED = 10_000
PARTS = ("total", "ndcg", "qas", "pas", "format", "hit", "precision", "recall", "mrr")


@dataclass(frozen=True)
class World:
    """A catalogue with random attributes and embeddings; `slow` is the reference's own view of it."""

    titles: list[str]
    slow: reference.ReferenceCatalogue
    attributes: sp.csr_matrix  # [N, A]
    owned: list[set[int]]  # attributes of each item
    embeddings: np.ndarray  # [N, d] float32

    @classmethod
    def of(cls, titles: list[str], attributes: int) -> World:
        rng = np.random.default_rng(len(titles))
        matrix = sp.random(len(titles), attributes, 8 / attributes, format="csr", random_state=0)
        matrix = sp.diags((np.arange(len(titles)) != 1).astype(float)) @ matrix  # item 1 has no attributes
        matrix.eliminate_zeros()
        rows = rng.normal(size=(len(titles), 24)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        rows[2] = 0  # an unknown item
        owned = [set(matrix.indices[begin:end].tolist()) for begin, end in pairwise(matrix.indptr)]
        return cls(titles, reference.ReferenceCatalogue(titles), matrix, owned, rows)


@dataclass(frozen=True)
class Setting:
    """What a chunk is scored with."""

    k: int = 1
    mode: QasMode = "shared"
    first: bool = False
    w_penalty: float = 0.3
    threads: int = 1

    def weights(self) -> RewardWeights:
        return RewardWeights(ndcg=1.0, format=0.1, qas=0.2, pas=0.3, k=self.k, qas_mode=self.mode)

    def engine(self, world: World) -> RewardEngine:
        engine = Catalogue(world.titles), world.attributes, world.embeddings
        return RewardEngine(*engine, self.weights(), self.threads, "first" if self.first else "last")


def expected_scores(items: Sequence[int], truth: Sequence[int], world: World, setting: Setting) -> dict[str, float]:
    """The reward and its parts of one answer, float64."""
    weights = setting.weights()
    parts = dict.fromkeys(PARTS, 0.0) | {"ndcg": -0.5, "format": -0.5}
    if items:
        hits = [rank for rank, item in enumerate(items[: setting.k]) if item in truth]
        parts |= {
            "ndcg": reference.ndcg(items, truth, setting.k),
            "format": 0.5,
            "qas": _qas(items[0], truth, world, setting.mode),
            "pas": _pas(items[0], truth, world, setting.mode),
            "hit": float(bool(hits)),
            "precision": len(hits) / setting.k,
            "recall": len(hits) / len(truth),
            "mrr": 1 / (hits[0] + 1) if hits else 0.0,
        }
    parts["total"] = sum(getattr(weights, name) * parts[name] for name in ("ndcg", "format", "qas", "pas"))
    return parts


def _qas(item: int, truth: Sequence[int], world: World, mode: QasMode) -> float:
    if item < 0:
        return 0.0
    own, wanted = world.owned[item], [world.owned[gt] for gt in truth]
    if mode == "shared":
        wanted = [set.intersection(*wanted)]
    shares = [len(own & want) / len(want) if want else 0.0 for want in wanted]
    return max(shares) if mode == "max" else sum(shares) / len(shares)


def _pas(item: int, truth: Sequence[int], world: World, mode: QasMode) -> float:
    if item < 0:
        return 0.0
    rows = world.embeddings[list(truth)].astype(np.float64)
    cosines = rows @ world.embeddings[item].astype(np.float64)
    return float(cosines.max() if mode == "max" else cosines.mean())


def check(
    result: TokenScores,
    cu: np.ndarray,
    pieces: Sequence[Sequence[bytes]],
    truth: Sequence[Sequence[int]],
    candidates: Sequence[Sequence[int]],
    world: World,
    setting: Setting,
) -> int:
    """Assert that items, scores, segments and token rewards (packed) are the reference's; penalised responses."""
    penalised = 0
    marked = np.repeat(result.segment_penalised, result.segment_lengths)
    assert result.segment_lengths.sum() == cu[-1]
    for i, tokens in enumerate(pieces):
        raw = b"".join(tokens)
        text = raw.decode("utf-8", "surrogateescape")
        answer = reference.read_answer(text, world.slow, candidates[i], setting.first)
        items = [item for item, _ in answer.entries]
        assert result.scores.items[i].tolist() == items, raw
        assert result.scores.answered[i] == bool(items), raw
        scores = expected_scores(items, truth[i], world, setting)
        for name, value in scores.items():
            assert getattr(result.scores, name)[i] == pytest.approx(value, rel=1e-6, abs=1e-6), (name, raw)
        answer.begin = len(text[: answer.begin].encode("utf-8", "surrogateescape"))
        rewards = reference.token_rewards(tokens, scores["total"], answer, truth[i], world.slow, setting.w_penalty)
        here = slice(cu[i], cu[i + 1])
        got = result.token_rewards[here]
        np.testing.assert_allclose(got, rewards, rtol=1e-6, atol=1e-6, err_msg=repr(raw))
        plain = np.array(rewards) == scores["total"]
        if scores["total"] and setting.w_penalty:
            np.testing.assert_array_equal(marked[here], ~plain, err_msg=repr(raw))
        penalised += not plain.all()
    return penalised


@lru_cache(maxsize=1)
def movies(path: Path) -> World:
    lines = path.read_text(encoding="latin-1").splitlines()
    return World.of([line.split("::")[1] for line in lines], attributes=300)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_real_responses(shared_data: Path, chunk: int) -> None:
    """All 2,560, from padded int64 tensors, with ground truths and candidates as titles."""
    world = movies(shared_data / "ml-1m" / "movies.dat")
    folder = shared_data / "reward-workload"
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    work = json.loads(gzip.decompress((folder / "work.json.gz").read_bytes()))[chunk::CHUNKS]
    texts = [row["response"] for row in work]
    encoded = tokenizer(texts, padding=True, return_tensors="pt", add_special_tokens=False)
    ids, mask = encoded["input_ids"], encoded["attention_mask"]
    setting = [Setting(), Setting(k=10, mode="mean", threads=2), Setting(w_penalty=1.5), Setting(first=True)][chunk % 4]
    engine = setting.engine(world)
    truth, candidates = [row["gt"] for row in work], [row["cand"] for row in work]
    result = engine.score_tokens(ids, mask, truth, tokenizer, candidates, setting.w_penalty)
    table = token_bytes(tokenizer)
    assert table is not None
    matched = lru_cache(maxsize=None)(world.slow.match)
    kept = mask.bool().numpy()
    assert (result.token_rewards[~kept] == 0).all()
    packed = replace(result, token_rewards=result.token_rewards[kept])
    penalised = check(
        packed,
        np.cumsum([0, *kept.sum(axis=1)]),
        [[table[token] for token in row[has].tolist()] for row, has in zip(ids.numpy(), kept, strict=True)],
        [[matched(title)] for title in truth],
        [sorted(map(matched, titles)) for titles in candidates],
        world,
        setting,
    )
    assert penalised > len(work) / 4
    assert 0.2 * len(work) < result.scores.hit.sum() < 0.6 * len(work)


@lru_cache(maxsize=1)
def generated_world() -> tuple[World, PreTrainedTokenizerFast, dict[bytes, int], list[bytes]]:
    """The world, a tokenizer of 700 tokens, its ids by bytes and bytes by id."""
    world = World.of(catalogue_titles(), attributes=60)
    tokenizer = corpus_tokenizer(world.titles * 2, vocab_size=600)
    words = [" Heat (1995)", "\n\n", "日本", "é😀", ".\n", "\r\n", "\\boxed{", "}\n", "Night\n"]
    words += [
        line_break + word for line_break in ("\n", "\r", "\n\n") for word in ("I think", "The", "it is", "-", '"')
    ]
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in words])
    table = token_bytes(tokenizer)
    assert table is not None
    return world, tokenizer, {piece: i for i, piece in enumerate(table) if piece}, table


@pytest.mark.slow
def test_generated_answers_are_matched_by_every_rule() -> None:
    titles, rng = catalogue_titles(), random.Random(0)
    catalogue, slow = Catalogue(titles), reference.ReferenceCatalogue(titles)
    texts = [response(titles, rng)[0].decode("utf-8", "surrogateescape") for _ in range(4000)]
    entries = [entry for text in texts for _, entry in reference.read_answer(text, slow).entries]
    rules = Counter(catalogue.explain(entry).rule for entry in entries)
    assert min(rules[rule] for rule in RULES) >= 5, rules


SETTINGS = (
    Setting(),
    Setting(k=3, mode="max"),
    Setting(k=10, mode="mean", threads=2),
    Setting(first=True, w_penalty=2.0),
    Setting(k=2, first=True, mode="mean", threads=3),
)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_generated_responses(chunk: int) -> None:
    """10,000 in all: tokens that cut through characters, one to three ground truths, with candidates and without."""
    world, tokenizer, ids_of, table = generated_world()
    rng = random.Random(chunk)
    count = GENERATED // CHUNKS
    special = [i for i, piece in enumerate(table) if not piece]
    texts, named = zip(*(response(world.titles, rng) for _ in range(count)), strict=True)
    rows = [split_in_tokens(text, ids_of, special, rng) for text in texts]
    items = range(len(world.titles))
    truth = [sorted(rng.sample(items, rng.choice([1, 1, 1, 2, 3]))) for _ in texts]
    candidates = [rng.sample(items, rng.choice([0, 3, 20, 100])) for _ in texts]
    candidates = [sorted({*some, *few[: len(some) // 3]}) for some, few in zip(candidates, named, strict=True)]
    setting = SETTINGS[chunk % len(SETTINGS)]
    engine = setting.engine(world)
    # Half of the ground truths are what was answered first.
    for i, answered in enumerate(engine.score(texts, truth, candidates).items):
        if i % 2 and len(answered) and answered[0] >= 0:
            truth[i] = sorted({int(answered[0]), *truth[i][1:]})
    ids = np.array([token for row in rows for token in row])
    cu = np.cumsum([0, *map(len, rows)])
    result = engine.score_tokens(ids, cu, truth, tokenizer, candidates, setting.w_penalty)
    pieces = [[table[token] for token in row] for row in rows]
    penalised = check(result, cu, pieces, truth, candidates, world, setting)
    from_text = engine.score(texts, truth, candidates)
    for name in PARTS:
        np.testing.assert_array_equal(getattr(from_text, name), getattr(result.scores, name))
    assert penalised > count / 20
    assert 0.1 * count < result.scores.hit.sum() < 0.6 * count
    assert 0.5 * count < result.scores.answered.sum() < count
