"""Statements counted and false ones penalised, through the engine. What is a statement: tests/metrics/test_truth.py."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from rerec_engine.errors import UserError
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.reward import RewardEngine
from rerec_engine.reward.reasons import Reasons, true_share
from rerec_engine.reward.vocabulary import byte_alphabet

TITLES = ["Silent River (1990)", "Golden Harbour (2001)"]
VALUES, RELATIONS = ["drama", "comedy", "Norway"], ["genre", "genre", "set"]
HAS = sp.csr_matrix(np.array([[1, 0, 1], [0, 1, 0]], np.float32))
LINES = [
    "1) Silent River (1990) drama yes",
    "2) Golden Harbour (2001) drama no",
    "3) Silent River (1990) comedy, Norway",
    "A look at Golden Harbour",
    "\\boxed{Golden Harbour}",
    "Silent River (1990) comedy",
]
TEXT = "\n".join(LINES)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """Of single bytes: id = byte."""
    backend = Tokenizer(models.BPE(vocab=byte_alphabet(), merges=[]))
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend)


def engine(names: list[str] | None = VALUES, relations: list[str] | None = RELATIONS, threads: int = 1) -> RewardEngine:
    embeddings = np.array([[1, 0], [0, 1]], np.float32)
    return RewardEngine(
        Catalogue(TITLES), HAS, embeddings, threads=threads, attribute_names=names, attribute_relations=relations
    )


def rewards(tokenizer: PreTrainedTokenizerFast, text: str = TEXT, truth: int = 0, **settings: float) -> list[float]:
    """The reward of each line, over the response's own."""
    ids = np.frombuffer(text.encode(), np.uint8).astype(np.int64)
    tokens = engine().score_tokens(ids, [0, len(ids)], [truth], tokenizer, candidates=[[0, 1]], **settings)
    ends = np.cumsum([len(line) + 1 for line in text.split("\n")]) - 2
    return [round(float(reward / tokens.scores.total[0]), 4) for reward in tokens.token_rewards[ends]]


def test_statements_before_the_answer_are_counted():
    reasons = engine().score([TEXT, "nothing said", "Silent River (1990) drama"], [0, 0, 0], reasons=True).reasons
    assert (reasons.statements.tolist(), reasons.true_statements.tolist()) == ([4, 0, 1], [2, 0, 1])
    assert reasons.true_reasons[[0, 2]].tolist() == [0.5, 1.0]
    assert np.isnan(reasons.true_reasons[1])
    assert reasons.statements.dtype == np.int32
    assert reasons.true_reasons.dtype == np.float32


def test_nothing_is_read_unless_asked_for(tokenizer):
    assert engine().score([TEXT], [0]).reasons is None
    ids = np.frombuffer(TEXT.encode(), np.uint8).astype(np.int64)
    plain = engine().score_tokens(ids, [0, len(ids)], [0], tokenizer)
    read = engine().score_tokens(ids, [0, len(ids)], [0], tokenizer, reasons=True)
    assert plain.scores.reasons is None
    assert not plain.segment_false.any()
    assert read.segment_false.tolist() == [False, True, True, False, False, False]
    np.testing.assert_array_equal(plain.token_rewards, read.token_rewards)
    np.testing.assert_array_equal(plain.segment_penalised, read.segment_penalised)


def test_false_reasons_cost_and_add_to_the_penalty(tokenizer):
    """The answer is wrong: line 2 and the look at it mention it, lines 2 and 3 hold a false statement."""
    assert rewards(tokenizer, w_penalty=0.3) == [1, 0.7, 1, 0.7, 1, 1]
    assert rewards(tokenizer, w_penalty=0.3, w_false=0.2) == [1, 0.5, 0.8, 0.7, 1, 1]
    assert rewards(tokenizer, w_penalty=0, w_false=0.2) == [1, 0.8, 0.8, 1, 1, 1]


def test_false_reasons_cost_where_the_answer_is_right_or_missing(tokenizer):
    assert rewards(tokenizer, truth=1, w_false=0.2) == [1, 0.8, 0.8, 1, 1, 1]
    assert rewards(tokenizer, "\n".join(LINES[:3]), w_false=0.5) == [1, 1.5, 1.5]  # of a negative reward


def test_what_is_false_is_not_credited(tokenizer):
    text = "Golden Harbour (2001) is no comedy, and no drama\n\\boxed{Silent River}"
    assert rewards(tokenizer, text, w_credit=0.1) == [1.1, 1]
    assert rewards(tokenizer, text, w_credit=0.1, w_false=0.2) == [0.8, 1]


def test_threads_agree(tokenizer):
    one, two = (engine(threads=n).score([TEXT] * 40, [0] * 40, reasons=True).reasons for n in (1, 2))
    np.testing.assert_array_equal(one.statements, two.statements)
    np.testing.assert_array_equal(one.true_statements, two.true_statements)


def test_names_are_needed():
    assert not engine(None, None).reads_reasons
    with pytest.raises(UserError, match="attribute_names"):
        engine(None, None).score([TEXT], [0], reasons=True)
    with pytest.raises(UserError, match="attribute_relations must hold a relation for each of the 3"):
        engine(relations=["genre"])
    with pytest.raises(UserError, match="w_false must be a finite number"):
        engine().score_tokens([1], [0, 1], [0], None, w_false=float("nan"))


def test_relations_may_be_unknown():
    assert engine(relations=None).score([TEXT], [0], reasons=True).reasons.statements.tolist() == [4]


@pytest.mark.parametrize(("counts", "share"), [((4, 3), 0.75), ((0, 0), None)])
def test_share(counts, share):
    assert true_share(*counts) == share
    assert np.isnan(Reasons(np.zeros(1, np.int32), np.zeros(1, np.int32)).true_reasons[0])
