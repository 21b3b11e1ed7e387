from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from rerec_engine.config import RewardWeights
from rerec_engine.errors import UserError
from rerec_engine.integrations.trl import response_text, reward_function
from rerec_engine.reward import RewardEngine

RIGHT, WRONG, NONE = "\\boxed{Alien (1979)}", "\\boxed{Solaris}", "no idea"


def expected(engine: RewardEngine, responses: list[str], truths: list[Any], candidates: list[Any]) -> list[float]:
    return engine.score(responses, truths, candidates).total.tolist()


def test_columns_hold_ground_truth_and_candidates(engine: RewardEngine, data_dir: Path) -> None:
    reward = reward_function(data_dir, threads=1)
    completions, truths = [RIGHT, WRONG, NONE], ["Alien (1979)", ["Alien (1979)", "Solaris (1972)"], 4]
    rewards = reward(completions, ground_truth=truths, prompts=["\\boxed{Alien (1979)}"] * 3)
    assert all(type(value) is float for value in rewards)
    assert rewards == expected(engine, completions, truths, [None] * 3)
    assert rewards[0] > rewards[1] > rewards[2]
    among = [["Hamlet (1990)", "Heat (1995)"], ["Hamlet (1996)"], []]
    named = reward_function(engine, ground_truth="answer", candidates="options")
    rewards = named(["\\boxed{Hamlet}"] * 3, answer=["Hamlet (1990)", "Hamlet (1996)", "Heat (1995)"], options=among)
    assert rewards[:2] == expected(engine, ["\\boxed{Hamlet (1990)}"] * 2, ["Hamlet (1990)"] * 2, [None] * 2)
    assert rewards[2] < 0.1  # an open query: "Hamlet" may be either film


def test_verl_columns_of_a_dataset_directory(engine: RewardEngine, rows: list[dict[str, Any]]) -> None:
    columns = {name: [row[name] for row in rows] for name in ("reward_model", "extra_info")}
    completions = ["\\boxed{Hamlet}"] * len(rows)
    candidates = [row["extra_info"]["candidate_ids"] for row in rows]
    rewards = reward_function(engine)(completions, **columns)
    assert rewards == expected(engine, completions, list(range(6)), candidates)
    assert len(set(rewards)) > 2


def test_only_what_the_assistant_said_is_scored() -> None:
    blocks = [{"type": "text", "text": "I think "}, {"type": "image"}, {"type": "text", "text": WRONG}]
    messages = [
        {"role": "assistant", "content": None, "tool_calls": [{"name": RIGHT}]},
        {"role": "tool", "content": RIGHT},
        {"role": "assistant", "content": blocks},
    ]
    assert response_text(messages) == f"\nI think {WRONG}"
    assert response_text(WRONG) == WRONG
    assert response_text([]) == ""


def test_conversational_and_plain_completions_are_scored_alike(engine: RewardEngine) -> None:
    reward, texts = reward_function(engine), [RIGHT, WRONG, NONE]
    messages = [[{"role": "assistant", "content": text}] for text in texts]
    assert reward(messages, ground_truth=["Alien"] * 3) == reward(texts, ground_truth=["Alien"] * 3)


THOUGHT = f"{WRONG}? no</think>{RIGHT}"
ASKED = [{"role": "user", "content": "A film? <think>"}]


@pytest.mark.parametrize(
    ("opened", "prompts", "completions", "answered"),
    [
        (None, ["A film?\n<think>\n", "A film?\n"], [RIGHT, RIGHT], [False, True]),
        (None, ["A film?\n<think>\n", "Say <think> first."], [THOUGHT, RIGHT], [True, True]),
        (None, [ASKED, ASKED], [RIGHT, RIGHT], [True, True]),
        (True, [ASKED, ASKED], [RIGHT, THOUGHT], [False, True]),
        (False, ["A film?\n<think>\n"] * 2, [RIGHT, RIGHT], [True, True]),
        (None, None, [RIGHT, RIGHT], [True, True]),
    ],
)
def test_a_prompt_that_opens_a_block_of_reasoning(
    engine: RewardEngine, opened: bool | None, prompts: Any, completions: list[str], answered: list[bool]
) -> None:
    columns = {"ground_truth": ["Alien"] * 2, **({} if prompts is None else {"prompts": prompts})}
    rewards = reward_function(engine, opened=opened)(completions, **columns)
    assert [reward > 0.5 for reward in rewards] == answered


def test_parts_are_logged(engine: RewardEngine) -> None:
    metrics: dict[str, float] = {}
    extra: dict[str, list[str]] = {}
    reward = reward_function(engine, name="films")
    reward([RIGHT, NONE], ground_truth=["Alien"] * 2, log_metric=metrics.__setitem__, log_extra=extra.__setitem__)
    assert metrics == {
        "rewards/films/ndcg": 0.25,
        "rewards/films/qas": 0.5,
        "rewards/films/pas": 0.5,
        "rewards/films/format": 0.0,
        "rewards/films/hit": 0.5,
        "rewards/films/answered": 0.5,
    }
    assert extra == {"recommended": ["Alien (1979)", ""]}


def test_the_function_has_a_name_and_survives_pickling(data_dir: Path, engine: RewardEngine) -> None:
    reward = reward_function(data_dir, weights=RewardWeights(qas=1.0), threads=1, name="films")
    copy = pickle.loads(pickle.dumps(reward))
    assert copy.__name__ == "films"
    assert reward_function(data_dir).__name__ == "rerec_reward"
    assert copy([RIGHT], ground_truth=["Alien"]) == [pytest.approx(1 + 0.05 + 1 + 0.01)]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "neither a column 'ground_truth' nor verl's 'reward_model'"),
        ({"ground_truth": ["Alien", "Hamlet"]}, "row 1: .*'Hamlet' fits several items"),
        ({"reward_model": [{"ground_truth": ["Alien"]}, None]}, "row 1: .*None"),
        (
            {"ground_truth": ["Alien", "Her"], "extra_info": [{"id": "q0"}, {"id": "q1"}]},
            "row q1: .*'Her' is not in the catalogue",
        ),
        ({"ground_truth": ["Alien"]}, "one entry a response"),
    ],
)
def test_a_wrong_row_is_named(engine: RewardEngine, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        reward_function(engine)([RIGHT, WRONG], **columns)


@pytest.mark.parametrize("conversational", [True, False], ids=["messages", "text"])
def test_grpo_trainer_runs_on_the_demo(mini_demo: Path, tmp_path: Path, conversational: bool) -> None:
    trl = pytest.importorskip("trl", reason="TRL is not installed: make test-integrations")
    import datasets

    from rerec_engine.config import ModelConfig
    from rerec_engine.model.small_model import make_small_policy, phrase_tokenizer

    engine = RewardEngine.load(mini_demo, threads=1)
    answers = [f"\\boxed{{{title}}}" for title in engine.catalogue.titles]
    tokenizer = phrase_tokenizer(answers)  # an answer is one token, so that a random model gives some
    policy = make_small_policy(
        tokenizer, ModelConfig(hidden_size=32, layers=1, heads=2), max_tokens=4096, seed=0, device="cpu"
    )
    data = datasets.Dataset.from_parquet(str(mini_demo / "train.parquet"), cache_dir=str(tmp_path / "cache"))
    if not conversational:
        titles = [row["ground_truth"] for row in data["reward_model"]]
        data = datasets.Dataset.from_dict({"prompt": [f"Film {i}: " for i in range(len(data))], "ground_truth": titles})
    arguments = trl.GRPOConfig(
        output_dir=str(tmp_path),
        max_steps=3,
        per_device_train_batch_size=8,
        num_generations=4,
        max_completion_length=12,
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
    )
    trainer = trl.GRPOTrainer(
        model=policy.model,
        reward_funcs=[reward_function(mini_demo, threads=1)],
        args=arguments,
        train_dataset=data,
        processing_class=tokenizer,
    )
    trainer.train()
    steps = [entry for entry in trainer.state.log_history if "rewards/rerec_reward/mean" in entry]
    assert [step["step"] for step in steps] == [1, 2, 3]
    assert all(step["rewards/rerec_reward/std"] > 0 for step in steps)
    for step in steps:
        parts = {name: step[f"rewards/rerec_reward/{name}"] for name in ("ndcg", "format", "qas", "pas")}
        total = parts["ndcg"] + 0.1 * parts["format"] + 0.01 * parts["qas"] + 0.01 * parts["pas"]
        assert step["reward"] == pytest.approx(total, abs=1e-5)
    logs = trainer._logs
    texts = [c if isinstance(c, str) else c[0]["content"] for c in logs["completion"]]
    truths = dict(zip((str(p) for p in data["prompt"]), truths_of(data), strict=True))
    scores = engine.score(texts, [truths[str(prompt)] for prompt in logs["prompt"]])
    assert list(logs["rewards"]["rerec_reward"]) == pytest.approx(scores.total.tolist(), abs=1e-6)
    assert len(set(logs["extra"]["recommended"])) > 1


def truths_of(data: Any) -> list[Any]:
    if "ground_truth" in data.column_names:
        return list(data["ground_truth"])
    return [row["ground_truth"] for row in data["reward_model"]]
