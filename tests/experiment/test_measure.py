"""What is measured of a final model: accuracy on a test split, and the file that tells it."""

from __future__ import annotations

import json

import pytest

from rerec_engine.config import ModelConfig
from rerec_engine.data.dataset import load_dataset
from rerec_engine.errors import UserError
from rerec_engine.experiment import measure
from rerec_engine.experiment.measure import RANKED, accuracy, main
from rerec_engine.model.small_model import make_small_policy, phrase_tokenizer
from rerec_engine.types import Rollout


@pytest.fixture(scope="module")
def policy(mini_demo):
    tokenizer = phrase_tokenizer(json.loads((mini_demo / "vocabulary.json").read_text()))
    return make_small_policy(tokenizer, ModelConfig(hidden_size=32, layers=2), max_tokens=512, seed=0, device="cpu")


@pytest.fixture
def run(policy, tmp_path):
    policy.save(tmp_path / "run" / "final")
    return tmp_path / "run"


def test_accuracy_is_the_share_of_right_answers_to_test_queries(policy, mini_demo, monkeypatch):
    """A sampler that answers three of four test queries rightly."""
    dataset = load_dataset(mini_demo)
    queries = dataset.queries("test")
    prompts = {tuple(policy.encode_prompt(query.messages)): i for i, query in enumerate(queries)}
    asked = []

    class Knowing:
        def __init__(self, policy):
            self.policy = policy

        def generate(self, given, n, sampling):
            asked.append((n, sampling.temperature, sampling.max_new_tokens))
            return [self.answer(prompts[tuple(prompt)]) for prompt in given]

        def answer(self, number):
            query = queries[number]
            wrong = next(item for item in query.candidates if item not in query.ground_truth)
            item = wrong if number % 4 == 3 else query.ground_truth[0]
            ids = self.policy.tokenizer.encode(f"\n\\boxed{{ {dataset.titles[item]}}}", add_special_tokens=False)
            return Rollout(ids, [0.0] * len(ids), "stop", 0)

    monkeypatch.setattr(measure, "Sampler", Knowing)
    line = accuracy(policy, mini_demo, 9)
    assert (line["queries"], line["split"], line["accuracy"]) == (20, "test", 0.75)
    assert line["format_rate"] == 1.0
    assert set(line["by_category"]) == {query.category for query in queries}
    assert asked == [(1, 0.0, 9)]


def test_the_command_writes_what_it_was_asked_for(run, mini_demo, policy):
    main([str(run), "--tests", f"one={mini_demo}", f"two={mini_demo}", "--max-new-tokens", "4"])
    found = json.loads((run / "measured.json").read_text())
    assert found["known"] == {}
    assert list(found["tests"]) == ["one", "two"]
    assert found["tests"]["one"] == found["tests"]["two"] == json.loads(json.dumps(accuracy(policy, mini_demo, 4)))
    main([str(run)])
    assert json.loads((run / "measured.json").read_text()) == {"tests": {}, "known": {}}


def test_tests_in_several_orders(run, mini_demo, policy):
    main([str(run), "--tests", f"one={mini_demo}", "--permutations", "2", "--max-new-tokens", "4"])
    found = json.loads((run / "measured.json").read_text())
    assert found["tests"]["one"] == json.loads(json.dumps(accuracy(policy, mini_demo, 4)))
    places = [f"one, right one in the {place}" for place in ("first third", "middle third", "last third")]
    assert list(found["known"]) == ["one in 2 orders", "one, depends on the order", *places]
    assert all(0 <= value <= 1 for value in found["known"].values())


def test_tests_may_be_ranked_too_and_cut(run, mini_demo, policy):
    words = [str(run), "--tests", f"one={mini_demo}", "--rank-by", "scores", "--limit", "3", "--max-new-tokens", "4"]
    main(words)
    found = json.loads((run / "measured.json").read_text())
    assert found["tests"]["one"]["queries"] == 3
    assert list(found["known"]) == [f"one {measure}" for measure in RANKED]
    assert found["known"]["one HR@10"] == 1  # there are six candidates
    assert 0 <= found["known"]["one NDCG@3"] <= found["known"]["one HR@3"] <= 1


@pytest.mark.slow
def test_what_is_known_of_a_world(run):
    main([str(run), "--world", json.dumps({"seed": 1, "films": 40, "books": 40, "users": 40, "candidates": 6})])
    found = json.loads((run / "measured.json").read_text())
    assert found["tests"] == {}
    assert 0 <= found["known"]["facts"] <= 1
    assert found["known"]["teacher's perplexity"] > 1


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--world", "{"], "--world"), (["--max-new-tokens", "0"], "--max-new-tokens"), (["--tests"], "--tests")],
)
def test_mistakes_name_the_option(run, words, message):
    with pytest.raises(UserError, match=message):
        main([str(run), *words])
    assert not (run / "measured.json").exists()


def test_a_run_without_a_final_model_is_refused(tmp_path):
    with pytest.raises(UserError, match=f"{tmp_path}/final"):
        main([str(tmp_path)])
