"""Credit by rank: rewards of entries, and which tokens wrote them, against the slow float64 reference."""

from __future__ import annotations

import random
from itertools import pairwise

import entry_reference as slow
import numpy as np
import pytest
import reward_reference as reference
import scipy.sparse as sp
import torch
from entry_reference import Facts, Made, Named
from response_generator import catalogue_titles, response, split_in_tokens
from reward_reference import TITLES
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast

from rerec_engine.config import RewardWeights
from rerec_engine.errors import UserError
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.model.small_model import corpus_tokenizer
from rerec_engine.reward import RewardEngine
from rerec_engine.reward.vocabulary import token_bytes

GENERATED, CHUNKS = 10_000, 8
SETTINGS = [
    (RewardWeights(k=3), 0.1),
    (RewardWeights(k=10, qas=0.3, pas=0.5, qas_mode="mean"), 0.25),
    (RewardWeights(k=5, qas=0.2, pas=0.2, qas_mode="max", pas_centred=True), 0.0),
    (RewardWeights(k=4, qas=0.1, pas=0.0, ndcg_graded=True), 1.0),
    (RewardWeights(k=1, qas=0.4, pas=0.4), 0.1),
    (RewardWeights(ndcg=2.0, k=2, qas=0.0, pas=0.3, ndcg_graded=True), 0.1),
    (RewardWeights(ndcg=0.0, k=1000, qas=1.0, pas=1.0), 0.5),
    (RewardWeights(k=3, qas=0.0, pas=0.0), 0.0),
]


class World:
    """Titles that hold no mark of a list, with random attributes and embeddings; and a tokenizer over them."""

    def __init__(self, titles: list[str]) -> None:
        rng = np.random.default_rng(0)
        self.titles = titles
        self.attributes = sp.random(len(titles), 40, 0.2, format="csr", random_state=0)
        rows = rng.normal(size=(len(titles), 24)).astype(np.float32)
        self.embeddings = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        bounds = pairwise(self.attributes.indptr)
        owned = [set(self.attributes.indices[begin:end].tolist()) for begin, end in bounds]
        self.facts = Facts(owned, self.embeddings.astype(np.float64))

    def engine(self, weights: RewardWeights, threads: int = 1) -> RewardEngine:
        return RewardEngine(Catalogue(self.titles), self.attributes, self.embeddings, weights, threads)


def plain_titles() -> list[str]:
    """Titles that are found again whatever stands around them."""
    names = ["Heat", "The Thing", "Amélie", "日本", "Café Society", "Up", "Seven Samurai", "Rocky II", "Straße", "Emma"]
    return [f"{name} ({year})" for year in (1982, 1995, 2004) for name in names]


@pytest.fixture(scope="module")
def tokenizer_of() -> tuple[PreTrainedTokenizerFast, dict[bytes, int], list[bytes]]:
    tokenizer = corpus_tokenizer(plain_titles() * 3)
    words = ["; ", ";\n", "}\n", "\\boxed{", "; Heat", ")\n", '"; "', "**\n**", " (1995)\nRocky", "2. ", "); "]
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in words])
    table = token_bytes(tokenizer)
    assert table is not None
    return tokenizer, {piece: i for i, piece in enumerate(table) if piece}, table


def specials(table: list[bytes]) -> list[int]:
    return [i for i, piece in enumerate(table) if not piece]


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_generated_list_answers(chunk: int, tokenizer_of) -> None:
    """10,000 in all: what each byte is, is known from how the answer was made."""
    tokenizer, ids_of, table = tokenizer_of
    world, rng = World(plain_titles()), random.Random(chunk)
    weights, w_invalid = SETTINGS[chunk % len(SETTINGS)]
    few = [rng.sample(range(len(world.titles)), 6) for _ in range(GENERATED // CHUNKS)]
    made = [slow.list_answer(world.titles, items, rng) for items in few]
    truth = [sorted(rng.sample(items, rng.choice([1, 1, 2, 3]))) for items in few]
    pools = [sorted({*items, *rng.sample(range(len(world.titles)), 5)}) if rng.random() < 0.5 else [] for items in few]
    rows = [split_in_tokens(answer.text, ids_of, specials(table), rng) for answer in made]
    ids, cu = np.array([token for row in rows for token in row]), np.cumsum([0, *map(len, rows)])
    engine = world.engine(weights, threads=1 + chunk % 2)
    result = engine.score_tokens(ids, cu, truth, tokenizer, pools, entries=True, w_invalid=w_invalid)
    found = result.entries
    assert found is not None and found.rewards.dtype == np.float32 and found.of_token.dtype == np.int32
    for i, answer in enumerate(made):
        assert result.scores.items[i].tolist() == [e.item for e in answer.written if not e.repeats], answer.text
        own = found.rewards[found.cu_entries[i] : found.cu_entries[i + 1]]
        wanted = slow.rewards(answer.written, truth[i], pools[i], world.facts, weights, w_invalid)
        np.testing.assert_allclose(own, wanted, rtol=0, atol=1e-6, err_msg=repr(answer.text))
        pieces = [table[token] for token in rows[i]]
        assert found.of_token[cu[i] : cu[i + 1]].tolist() == slow.owners(pieces, answer.spans), answer.text
    plain = engine.score_tokens(ids, cu, truth, tokenizer, pools)
    assert plain.entries is None
    np.testing.assert_array_equal(plain.token_rewards, result.token_rewards)
    np.testing.assert_array_equal(plain.scores.total, result.scores.total)


@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("k", [1, 3, 10])
def test_entries_add_up_to_ndcg(graded: bool, k: int, tokenizer_of) -> None:
    tokenizer, ids_of, table = tokenizer_of
    world, rng = World(plain_titles()), random.Random(k)
    made = [slow.list_answer(world.titles, rng.sample(range(len(world.titles)), 6), rng) for _ in range(1000)]
    truth = [rng.sample(range(len(world.titles)), rng.choice([1, 2, 9])) for _ in made]
    rows = [split_in_tokens(answer.text, ids_of, specials(table), rng) for answer in made]
    ids, cu = np.array([token for row in rows for token in row]), np.cumsum([0, *map(len, rows)])
    engine = world.engine(RewardWeights(format=0, qas=0, pas=0, k=k, ndcg_graded=graded))
    result = engine.score_tokens(ids, cu, truth, tokenizer, entries=True, w_invalid=0.0)
    assert result.entries is not None
    sums = np.add.reduceat(result.entries.rewards.astype(np.float64), result.entries.cu_entries[:-1])
    np.testing.assert_allclose(sums, result.scores.ndcg, rtol=0, atol=1e-6)
    assert (sums > 0).mean() > 0.05


def with_repeats(text: str, catalogue: reference.ReferenceCatalogue, pool: list[int]) -> list[Named]:
    return [Named(item, repeats) for item, _, repeats in reference.read_answer(text, catalogue, pool).written]


def test_rewards_of_responses_made_to_break_the_parser(tokenizer_of) -> None:
    """Entries in every form, broken boxes and UTF-8, LaTeX: the places of the titles are whatever the parser took."""
    tokenizer, ids_of, table = tokenizer_of
    titles, rng, weights = catalogue_titles(), random.Random(5), RewardWeights(k=3, qas=0.3, pas=0.5)
    world, catalogue = World(titles), reference.ReferenceCatalogue(titles)
    texts, named = zip(*(response(titles, rng) for _ in range(1000)), strict=True)
    pools = [sorted(items) if rng.random() < 0.5 else [] for items in named]
    truth = [sorted(rng.sample(items, rng.choice([1, 2]))) for items in named]
    rows = [split_in_tokens(text, ids_of, specials(table), rng) for text in texts]
    ids, cu = np.array([token for row in rows for token in row]), np.cumsum([0, *map(len, rows)])
    engine = world.engine(weights, threads=2)
    found = engine.score_tokens(ids, cu, truth, tokenizer, pools, entries=True).entries
    assert found is not None
    for i, raw in enumerate(texts):
        own = found.rewards[found.cu_entries[i] : found.cu_entries[i + 1]]
        written = with_repeats(raw.decode("utf-8", "surrogateescape"), catalogue, pools[i])
        wanted = slow.rewards(written, truth[i], pools[i], world.facts, weights, 0.1)
        np.testing.assert_allclose(own, wanted, rtol=0, atol=1e-6, err_msg=repr(raw))
        places = found.of_token[cu[i] : cu[i + 1]]
        assert places.max(initial=-1) < len(own)
        assert (np.diff(places[places >= 0]) >= 0).all()


def marked(engine: RewardEngine, tokenizer: PreTrainedTokenizerFast, text: str) -> list[str]:
    """The text of each entry's tokens."""
    ids = np.array(tokenizer(text, add_special_tokens=False)["input_ids"])
    found = engine.score_tokens(ids, [0, len(ids)], [0], tokenizer, entries=True).entries
    table = token_bytes(tokenizer)
    assert found is not None and table is not None
    return [
        b"".join(table[token] for token, place in zip(ids, found.of_token, strict=True) if place == entry).decode()
        for entry in range(len(found.rewards))
    ]


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("Heat\n\\boxed{Heat; Emma} Heat", ["Heat", "Emma"]),
        ("\\boxed{1. **Heat**\n2. Heat\n3. \\text{Emma}\\; }", ["Heat", "Heat", "Emma"]),
        ("\\boxed{\\text{Hamlet} (1990) \\\\ Am\\'{e}lie}", ["Hamlet} (1990)", "Am\\'{e}lie"]),
        ("\\boxed{Et Dieu; créa la femme; Nobody}", ["Et Dieu; créa la femme", "Nobody"]),
        ("\\boxed{Heat;;\n - ;Emma}", ["Heat", "Emma"]),
        ("\\boxed{Seven}\n<think>\\boxed{Emma}</think>", ["Seven"]),
        ("\\boxed{\\text{}}", []),
        ("no answer", []),
    ],
)
def test_what_an_entry_is(engine: RewardEngine, tokenizer: PreTrainedTokenizerFast, text: str, entries: list) -> None:
    assert marked(engine, tokenizer, text) == entries


def test_the_worked_example_of_the_docs(engine: RewardEngine, tokenizer: PreTrainedTokenizerFast) -> None:
    weights = RewardWeights(k=3, qas=0, pas=0)
    engine = RewardEngine(
        engine.catalogue, sp.csr_matrix((len(TITLES), 1)), np.zeros((len(TITLES), 1), np.float32), weights
    )
    ids = np.array(tokenizer("\\boxed{Seven; Heat; Heat; Nobody}", add_special_tokens=False)["input_ids"])
    found = engine.score_tokens(ids, [0, len(ids)], [0], tokenizer, entries=True).entries
    assert found is not None
    np.testing.assert_allclose(found.rewards, [0, 1 / np.log2(3), -0.1, -0.1], atol=1e-7)


def test_forms_of_the_ids(engine: RewardEngine, tokenizer: PreTrainedTokenizerFast) -> None:
    """Packed, padded on either side, with gaps and as torch tensors: the same entries, -1 on padding."""
    rows = [tokenizer(text)["input_ids"] for text in ("\\boxed{Heat; Emma}", "no", "so \\boxed{Seven}")]
    width, truth = max(map(len, rows)) + 2, [0, 0, 0]
    flat, cu = np.array([token for row in rows for token in row]), np.cumsum([0, *map(len, rows)])
    packed = engine.score_tokens(flat, cu, truth, tokenizer, entries=True).entries
    assert packed is not None and packed.cu_entries.tolist() == [0, 2, 2, 3]
    right, left, gaps = (np.zeros((3, width), dtype=np.int64) for _ in range(3))
    masks = np.zeros((3, 3, width), dtype=np.int64)
    for i, row in enumerate(rows):
        middle = len(row) // 2
        places = (range(len(row)), range(width - len(row), width), [*range(middle), *range(middle + 2, len(row) + 2)])
        for ids, mask, at in zip((right, left, gaps), masks, places, strict=True):
            ids[i, list(at)], mask[i, list(at)] = row, 1
    for ids, mask in zip((right, left, gaps), masks, strict=True):
        found = engine.score_tokens(torch.tensor(ids), torch.tensor(mask), truth, tokenizer, entries=True).entries
        assert found is not None and found.of_token.shape == ids.shape
        np.testing.assert_array_equal(found.of_token[mask > 0], packed.of_token)
        assert (found.of_token[mask == 0] == -1).all()
        np.testing.assert_array_equal(found.rewards, packed.rewards)


def test_a_tokenizer_without_bytes(engine: RewardEngine) -> None:
    from made_tokenizers import llama

    text = "\\boxed{Heat;Seven}"
    ids = np.array(llama()(text, add_special_tokens=False)["input_ids"])
    found = engine.score_tokens(ids, [0, len(ids)], [0], llama(), entries=True).entries
    assert found is not None and len(found.rewards) == 2
    assert [int((found.of_token == place).sum()) for place in (0, 1)] == [4, 5]  # by character


def test_settings_must_be_finite(engine: RewardEngine, tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(UserError, match="w_invalid must be a finite number"):
        engine.score_tokens(np.array([1]), [0, 1], [0], tokenizer, entries=True, w_invalid=float("nan"))


def test_an_empty_batch(engine: RewardEngine, tokenizer: PreTrainedTokenizerFast) -> None:
    found = engine.score_tokens(np.zeros(0, np.int64), [0], [], tokenizer, entries=True).entries
    assert found is not None and found.cu_entries.tolist() == [0] and found.rewards.shape == (0,)


def test_the_generator_makes_what_it_says() -> None:
    made: Made = slow.list_answer(TITLES, [0], random.Random(1))
    assert len(made.spans) == len(made.written)
