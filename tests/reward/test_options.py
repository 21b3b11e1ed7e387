"""The settings beyond the paper, each against an oracle, and that none is on by default."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
import reward_reference as reference
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from reward_reference import TITLES
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.metrics import ndcg_score
from transformers import PreTrainedTokenizerFast

from rerec_engine.config import RewardWeights
from rerec_engine.errors import UserError
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.reward import RewardEngine, TokenScores

N = len(TITLES)
NAMES = ["Crime", "Space Opera", "1990", "Tim Roth", "slow", "Drama", "The Beatles", "Noir", "Comedy"]
items = st.integers(0, N - 1)
truths = st.sets(items, min_size=1, max_size=3)


@pytest.fixture(scope="module")
def make(catalogue: Catalogue, attributes: sp.csr_matrix, embeddings: np.ndarray):
    def engine(**settings: object) -> RewardEngine:
        weights = RewardWeights(**settings)  # type: ignore[arg-type]
        return RewardEngine(catalogue, attributes, embeddings, weights, threads=1, attribute_names=NAMES)

    return engine


def box(*chosen: int) -> str:
    return "\\boxed{" + "\n".join(TITLES[i] for i in chosen) + "}"


def test_all_are_off_by_default() -> None:
    weights = RewardWeights()
    assert (weights.qas_idf, weights.pas_centred, weights.ndcg_graded, weights.repeat_penalty) == (False,) * 3 + (0.0,)


@given(item=items, truth=truths, mode=st.sampled_from(["shared", "max", "mean"]))
def test_idf_against_scikit_learn(make, attributes: sp.csr_matrix, item: int, truth: set[int], mode: str) -> None:
    idf = TfidfTransformer(norm=None, smooth_idf=True).fit(attributes).idf_
    has = attributes.toarray() > 0
    wanted = [has[gt] for gt in sorted(truth)]
    wanted = [np.logical_and.reduce(wanted)] if mode == "shared" else wanted
    shares = [idf[has[item] & want].sum() / idf[want].sum() if want.any() else 0.0 for want in wanted]
    scores = make(qas_idf=True, qas_mode=mode).score([box(item)], [sorted(truth)])
    assert scores.qas[0] == pytest.approx(max(shares) if mode == "max" else np.mean(shares), abs=1e-6)


@given(item=items, truth=truths, pool=st.sets(items, max_size=5), mode=st.sampled_from(["shared", "max", "mean"]))
def test_centred_pas(make, embeddings: np.ndarray, item: int, truth: set[int], pool: set[int], mode: str) -> None:
    table = embeddings.astype(np.float64)
    over = sorted(pool) if pool else range(N)
    centred = [table[item] @ table[gt] - np.mean([table[c] @ table[gt] for c in over]) for gt in truth]
    scores = make(pas_centred=True, qas_mode=mode).score([box(item)], [sorted(truth)], [sorted(pool)])
    assert scores.pas[0] == pytest.approx(max(centred) if mode == "max" else np.mean(centred), abs=1e-6)


@given(ranking=st.lists(items, unique=True, min_size=1, max_size=8), truth=truths, k=st.integers(1, 10))
def test_graded_gains_against_scikit_learn(make, ranking: list[int], truth: set[int], k: int) -> None:
    """The pool that is ranked ideally: the ground truths and the other items of the answer's first K."""
    engine = make(ndcg_graded=True)
    scores = engine.score([box(*ranking)], [sorted(truth)], k=k)
    alone = engine.score([box(i) for i in ranking], [sorted(truth)] * len(ranking)).qas
    gains = [1.0 if item in truth else float(gain) for item, gain in zip(ranking, alone, strict=True)]
    order = [*ranking[:k], *sorted(truth - set(ranking[:k]))]
    relevance = np.array([[*gains[:k], *[1.0] * (len(order) - len(ranking[:k]))]])
    # Those that the answer does not name come last; where that is within K, scikit-learn would count them.
    dcg = sum(gain / np.log2(i + 2) for i, gain in enumerate(gains[:k]))
    if len(order) == 1:
        expected = relevance[0, 0]
    else:
        whole = ndcg_score(relevance, -np.arange(len(order))[None].astype(float), k=k)
        named_dcg = sum(gain / np.log2(i + 2) for i, gain in enumerate(relevance[0][:k]))
        expected = whole * dcg / named_dcg if named_dcg else 0.0
    assert scores.ndcg[0] == pytest.approx(expected, abs=1e-6)
    assert 0 <= scores.ndcg[0] <= 1 + 1e-6


def test_graded_gain_of_a_single_wrong_item_is_its_qas(make) -> None:
    scores = make(ndcg_graded=True).score([box(1), box(0), "no"], [0] * 3)
    assert scores.ndcg.tolist() == [scores.qas[0], 1.0, -0.5]


@pytest.mark.parametrize(
    ("answer", "share"),
    [
        ("\\boxed{Heat}", 0),
        ("\\boxed{Heat; Heat (1995); 1. Heat}", 2 / 3),
        ("\\boxed{Heat; Heat}", 1 / 2),
        ("\\boxed{Nobody Knows; nobody knows; Heat; -; -}", 1 / 3),
        ("nothing", 0),
    ],
)
def test_repeats(make, answer: str, share: float) -> None:
    plain, penalised = make().score([answer], [0]), make(repeat_penalty=0.5).score([answer], [0])
    assert plain.repeats[0] == penalised.repeats[0] == pytest.approx(share)
    assert penalised.total[0] == pytest.approx(plain.total[0] - 0.5 * share)


def lines_before(text: str, box_begin: int) -> list[str]:
    """Those that end before the answer's box."""
    return text[:box_begin].splitlines(keepends=True)[: -1 if text[box_begin - 1] != "\n" else None]


def segments(result: TokenScores, tokenizer: PreTrainedTokenizerFast, text: str) -> list[str]:
    """The text of each segment, [S]."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    bounds = np.cumsum([0, *result.segment_lengths])
    return [tokenizer.decode(ids[i:j]).strip() for i, j in pairwise(bounds)]


def responses(pieces: list[str]) -> st.SearchStrategy[tuple[str, list[int], list[int]]]:
    """A text of some pieces before a box, ground truths and candidates."""
    text = st.builds(
        lambda said, answer: " ".join(said) + "\n" + box(answer), st.lists(st.sampled_from(pieces), max_size=25), items
    )
    return st.tuples(text, truths.map(sorted), st.sets(items, max_size=6).map(sorted))


def credited(text: str, truth: list[int], pool: list[int], attributes: sp.csr_matrix) -> list[str]:
    """Lines that name a wrong candidate and what it lacks of the ground truths' attributes, slowly."""
    catalogue = reference.ReferenceCatalogue(TITLES)
    answer = reference.read_answer(text, catalogue, pool)
    has = attributes.toarray() > 0
    wanted = np.flatnonzero(np.logical_or.reduce([has[gt] for gt in truth]))
    lines = []
    for line in lines_before(text, answer.begin):
        wrong = [p for item, entry in answer.entries if item not in truth for p in _patterns(catalogue, item, entry)]
        if any(reference.mentions(line, pattern) for pattern in wrong):
            continue
        named = [a for a in wanted if reference.mentions(line, NAMES[a].lower())]
        lacking = [i for i in set(pool) - set(truth) if any(not has[i, a] for a in named)]
        if any(reference.mentions(line, form) for i in lacking for form in _patterns(catalogue, i, TITLES[i])):
            lines.append(line)
    return lines


def _patterns(catalogue: reference.ReferenceCatalogue, item: int, entry: str) -> list[str]:
    return reference.title_patterns(catalogue, item, entry)


def run(
    engine: RewardEngine,
    tokenizer: PreTrainedTokenizerFast,
    text: str,
    truth: list[int],
    pool: list[int],
    **weights: float,
) -> TokenScores:
    ids = np.array(tokenizer(text, add_special_tokens=False)["input_ids"], dtype=np.int64)
    return engine.score_tokens(ids, [0, len(ids)], [truth], tokenizer, [pool], **weights)


def test_a_credited_line(make, tokenizer: PreTrainedTokenizerFast, attributes: sp.csr_matrix) -> None:
    has = attributes.toarray() > 0
    lacking = next(a for a in np.flatnonzero(has[0]) if not has[1, a])
    shared = next((a for a in np.flatnonzero(has[0] & has[1])), None)
    text = f"The Usual Suspects has no {NAMES[lacking].lower()}.\nThe Usual Suspects is fine.\n"
    text += f"{NAMES[lacking]} alone.\n" + (f"Usual Suspects: {NAMES[shared]}\n" if shared is not None else "")
    result = run(make(), tokenizer, text + "\\boxed{Heat}", [0], [0, 1, 2], w_credit=0.5)
    assert result.segment_credited.tolist()[:1] == [True]
    assert not result.segment_credited[1:].any() and not result.segment_penalised.any()
    reward = result.scores.total[0]
    assert result.token_rewards[0] == pytest.approx(1.5 * reward)
    assert result.token_rewards[-1] == pytest.approx(reward)


PIECES = ["Heat", "The Usual Suspects", "Seven", "Se7en", "Hamlet", "It", "it", "Emma", "Godfather 2", *NAMES, "crime",
          "beatles", "the beatles", "noir's", "\n", "\n", "\n", " ", " ", " is no "]  # fmt: skip


@given(response=responses(PIECES))
def test_credit_against_the_reference(
    make, tokenizer: PreTrainedTokenizerFast, attributes: sp.csr_matrix, response: tuple[str, list[int], list[int]]
) -> None:
    text, truth, pool = response
    result = run(make(), tokenizer, text, truth, pool, w_credit=0.5)
    told = segments(result, tokenizer, text)
    found = [told[i] for i in np.flatnonzero(result.segment_credited)]
    assert found == [line.strip() for line in credited(text, truth, pool, attributes)]


def test_credit_needs_names(catalogue, attributes, embeddings, tokenizer) -> None:
    engine = RewardEngine(catalogue, attributes, embeddings)
    with pytest.raises(UserError, match="w_credit needs attribute_names"):
        engine.score_tokens([1], [0, 1], [0], tokenizer, w_credit=0.1)
    with pytest.raises(UserError, match="a name for each of the 9 attributes, got 1"):
        RewardEngine(catalogue, attributes, embeddings, attribute_names=["x"])


def test_any_text_is_a_name(catalogue, attributes, embeddings, tokenizer) -> None:
    names = ["\ud800", "", "\x00", *NAMES[3:]]
    engine = RewardEngine(catalogue, attributes, embeddings, attribute_names=names)
    assert not engine.score_tokens([1], [0, 1], [0], tokenizer, [[0, 1]], w_credit=0.1).segment_credited.any()


def judged(text: str, truth: list[int], pool: list[int]) -> list[tuple[str, int]]:
    """Lines that name one candidate alone and judge it for the first time, and whether rightly (1) or wrongly (-1),
    slowly."""
    catalogue = reference.ReferenceCatalogue(TITLES)
    answer = reference.read_answer(text, catalogue, pool)
    lines, done = [], set()
    for line in lines_before(text, answer.begin):
        named = [
            i for i in set(pool) if any(reference.mentions(line, form) for form in _patterns(catalogue, i, TITLES[i]))
        ]
        plain = line.rstrip(" .\r\n")
        verdicts = re.findall(r" (yes|no)$", plain) or re.findall(r" (yes|no)(?= *[,;:])", plain)
        if len(named) == 1 and verdicts and named[0] not in done:
            done.add(named[0])
            lines.append((line, 1 if (named[0] in truth) == ("no" not in verdicts) else -1))
    return lines


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ("- drama yes; in Rome no: Heat", -1),  # rejects the right one
        ("- drama yes; in Rome: Heat", 1),
        ("- drama yes; in Rome no, Oslo: Hamlet", 1),
        ("- drama yes: Hamlet", -1),
        ("3) Hamlet: noir no drama yes: no", 1),  # the last word of the line
        ("3) Heat: noir no, drama yes. yes.", 1),
        ("Heat is a drama, and no comedy.", 0),  # no mark behind it
        ("Heat and Hamlet: yes", 0),  # of which of them?
        ("No: Hamlet", 0),
        ("- drama yes: Casino", 0),  # no candidate
    ],
)
def test_a_verdict(make, tokenizer: PreTrainedTokenizerFast, line: str, verdict: int) -> None:
    heat, hamlet, other = (next(i for i in range(N) if TITLES[i].startswith(t)) for t in ("Heat", "Hamlet", "Seven"))
    for answer in (heat, other):
        text = f"{line}\n{box(answer)}"
        result = run(make(), tokenizer, text, [heat], [heat, hamlet, other], w_penalty=0.0, w_verdict=0.5)
        assert result.segment_verdict.tolist() == [verdict, *[0] * (len(result.segment_verdict) - 1)]
        total, ndcg = result.scores.total[0], result.scores.ndcg[0]
        own = total + 0.5 * ((verdict > 0) - ndcg) if verdict else total
        assert result.token_rewards[0] == pytest.approx(own)
        assert result.token_rewards[-1] == pytest.approx(total)


VERDICTS = ["Heat", "The Usual Suspects", "Seven", "Hamlet", "Emma", "yes", "no", " yes", " no", "no:", " no;", " yes,",
            ";", ",", ":", ".", "not", "\n", "\n", "\n", " "]  # fmt: skip


@given(response=responses(VERDICTS))
def test_verdicts_against_the_reference(
    make, tokenizer: PreTrainedTokenizerFast, response: tuple[str, list[int], list[int]]
) -> None:
    text, truth, pool = response
    result = run(make(), tokenizer, text, truth, pool, w_verdict=1.0)
    told, first = segments(result, tokenizer, text), np.cumsum([0, *result.segment_lengths])
    marked = np.flatnonzero(result.segment_verdict)
    found = [(told[i], int(result.segment_verdict[i])) for i in marked]
    assert found == [(line.strip(), v) for line, v in judged(text, truth, pool)]
    for i in marked:
        own = result.scores.total[0] + (result.segment_verdict[i] > 0) - result.scores.ndcg[0]
        own -= 0.3 * abs(own) * result.segment_penalised[i]
        assert result.token_rewards[first[i]] == pytest.approx(own, abs=1e-6)


def test_list_answers_keep_their_order(make) -> None:
    scores = make(k=3).score([box(2, 0, 1), box(0, 2, 1)], [0, 0])
    assert [row.tolist() for row in scores.items] == [[2, 0, 1], [0, 2, 1]]
    assert scores.ndcg.tolist() == pytest.approx([1 / np.log2(3), 1.0])
