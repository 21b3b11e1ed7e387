"""Rewards of a batch: those of the engine for the decoded text, each response against its own query."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from rerec_engine.config import AdvantageConfig, Config, LossConfig
from rerec_engine.data.dataset import load_dataset
from rerec_engine.reward import RewardEngine
from rerec_engine.training.batches import pack
from rerec_engine.training.scoring import score_batch
from rerec_engine.types import Rollout


@pytest.fixture(scope="module")
def policy(tiny_policy):
    return tiny_policy()


@pytest.fixture(scope="module")
def dataset(mini_demo):
    return load_dataset(mini_demo)


@pytest.fixture(scope="module")
def reward(mini_demo):
    return RewardEngine.load(mini_demo, threads=1)


def batch_of(policy, queries, texts, n):
    """Responses of these texts, each with its end token."""
    ids = [[*policy.tokenizer(text)["input_ids"], policy.end_ids[0]] for text in texts]
    rollouts = [Rollout(row, [-1.0] * len(row), "stop", 0) for row in ids]
    return pack(queries, [[1]] * len(queries), rollouts, n)


def answers(dataset, query):
    """A right answer, a wrong one after a line that names it, and none."""
    right = dataset.titles[query.ground_truth[0]]
    wrong = next(dataset.titles[i] for i in query.candidates if i not in query.ground_truth)
    return [f"\\boxed{{{right}}}", f"{wrong} it is.\nI take it.\n\\boxed{{{wrong}}}", "no idea"]


def config_of(**advantage):
    return dataclasses.replace(Config(), advantage=AdvantageConfig(**advantage))


def test_each_response_is_scored_against_its_own_query(policy, dataset, reward):
    first, second = dataset.queries("train")[:2]
    texts = [*answers(dataset, first), *reversed(answers(dataset, second))]
    scored = score_batch(batch_of(policy, [first, second], texts, 3), reward=reward, policy=policy, config=Config())
    owners = [first] * 3 + [second] * 3
    expected = reward.score(texts, [q.ground_truth for q in owners], [q.candidates for q in owners])
    reasons = {"statements", "true_statements"}
    assert scored.scores.keys() == {"reward", "ndcg", "format", "qas", "pas", "hit", *reasons}
    assert scored.scores["hit"].tolist() == [1, 0, 0, 0, 0, 1]
    assert scored.scores["format"].tolist() == [0.5, 0.5, -0.5, -0.5, 0.5, 0.5]
    assert scored.scores["reward"].tolist() == expected.total.tolist()
    for name in ("ndcg", "qas", "pas"):
        assert scored.scores[name].tolist() == getattr(expected, name).tolist()
    assert {values.dtype for values in scored.scores.values()} == {scored.token_rewards.dtype} == {torch.float32}


@pytest.mark.parametrize("penalty", [0.0, 0.5])
def test_tokens_of_a_line_that_names_a_wrong_item_lose_a_share(policy, dataset, reward, penalty):
    query = dataset.queries("train")[0]
    batch = batch_of(policy, [query], answers(dataset, query), 3)
    scored = score_batch(batch, reward=reward, policy=policy, config=config_of(w_penalty=penalty))
    assert scored.token_rewards.shape == batch.token_ids.shape
    right, wrong, none = (scored.token_rewards[batch.span(i)] for i in range(3))
    values = scored.scores["reward"]
    assert (right == values[0]).all() and (none == values[2]).all()
    text = policy.tokenizer.decode(batch.token_ids[batch.span(1)][: int((wrong != values[1]).sum())])
    if penalty:
        assert wrong[0].item() == pytest.approx(values[1].item() - penalty * abs(values[1].item()))
        assert text.strip() == answers(dataset, query)[1].split("\n")[0]  # that line and no more
    else:
        assert (wrong == values[1]).all()


def test_a_true_reason_against_a_wrong_candidate_earns_its_credit(policy, dataset, reward):
    """Only where the settings give one; the line names a candidate and an attribute of the ground truth it lacks."""
    has = dataset.attributes.item_attributes.toarray()
    query, wrong, attribute = next(
        (query, item, int(found[0]))
        for query in dataset.queries("train")
        for item in query.candidates
        if item not in query.ground_truth
        and len(found := np.flatnonzero((has[query.ground_truth[0]] != 0) & (has[item] == 0)))
    )
    reason = f"{dataset.titles[wrong]} lacks {dataset.attributes.values[attribute]}."
    text = f"{reason}\n\\boxed{{{dataset.titles[query.ground_truth[0]]}}}"
    batch = batch_of(policy, [query], [text], 1)
    plain, credited = (
        score_batch(batch, reward=reward, policy=policy, config=config_of(w_credit=credit)) for credit in (0.0, 0.25)
    )
    value = plain.scores["reward"].item()
    assert torch.equal(plain.token_rewards, torch.full_like(plain.token_rewards, value))
    assert credited.token_rewards[0].item() == pytest.approx(value + 0.25 * abs(value))
    assert credited.token_rewards[-2].item() == pytest.approx(value)


@pytest.mark.parametrize("config", [config_of(estimator="rank", w_invalid=0.5), Config(loss=LossConfig(ratio="entry"))])
def test_entries_are_read_where_they_are_asked_for(policy, dataset, reward, config):
    query = next(iter(dataset.queries("train")))
    first, other = (dataset.titles[i] for i in (query.ground_truth[0], query.candidates[0]))
    batch = batch_of(policy, [query], [f"so \\boxed{{{first}\n{first}}}", "none"], 2)
    found = score_batch(batch, reward=reward, policy=policy, config=config).entries
    assert found.cu_entries.tolist() == [0, 2, 2]
    assert found.rewards[1].item() == pytest.approx(-config.advantage.w_invalid)
    assert found.rewards[0] > 1 and other
    assert set(found.of_token.tolist()) == {-1, 0, 1} and len(found.of_token) == len(batch.token_ids)
    assert score_batch(batch, reward=reward, policy=policy, config=Config()).entries is None


def test_without_candidates_the_whole_catalogue_may_be_named(policy, dataset, reward):
    """And with some, what a part of a title means is looked for among them first."""
    query = dataset.queries("train")[0]
    other = next(i for i in range(dataset.item_count) if i not in query.candidates)
    opened = dataclasses.replace(query, candidates=(), ground_truth=(other,))
    batch = batch_of(policy, [opened], [f"\\boxed{{{dataset.titles[other]}}}"], 1)
    scored = score_batch(batch, reward=reward, policy=policy, config=Config())
    assert scored.scores["hit"].tolist() == [1]


def test_ids_of_a_head_that_is_wider_than_the_vocabulary_are_no_text(policy, dataset, reward):
    query = dataset.queries("train")[0]
    right = answers(dataset, query)[0]
    plain = batch_of(policy, [query], [right], 1)
    size = len(policy.tokenizer)
    ids = [size + 40, *plain.token_ids.tolist()[:-1], size]
    padded = pack([query], [[1]], [Rollout(ids, [-1.0] * len(ids), "length", 0)], 1)
    scored = score_batch(padded, reward=reward, policy=policy, config=Config())
    assert scored.scores["hit"].tolist() == [1]
    assert scored.token_ids.tolist() == ids  # the batch keeps what was drawn
    assert len(scored.token_rewards) == len(ids)


def test_a_batch_of_nothing_has_no_rewards(policy, reward):
    scored = score_batch(pack([], [], [], 3), reward=reward, policy=policy, config=Config())
    assert scored.token_rewards.shape == (0,)
    assert {len(values) for values in scored.scores.values()} == {0}


def test_what_was_drawn_passes_through(policy, dataset, reward):
    queries = dataset.queries("train")[:2]
    batch = batch_of(policy, queries, ["a", "longer text", "b", "c"], 2)
    scored = score_batch(batch, reward=reward, policy=policy, config=Config())
    for name, value in vars(batch).items():
        found = getattr(scored, name)
        assert torch.equal(found, value) if isinstance(value, torch.Tensor) else found == value
