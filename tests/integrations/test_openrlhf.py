from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch

from rerec_engine.errors import UserError
from rerec_engine.integrations.openrlhf import configure, reward_func
from rerec_engine.reward import RewardEngine

PROMPT = "Alien or Solaris? End with \\boxed{Alien (1979)}, or name another film.\n"
RIGHT, WRONG, NONE = "\\boxed{Alien (1979)}", "\\boxed{Solaris}<|end|>", "no idea"


@pytest.fixture(autouse=True)
def configured(fresh_process: None, data_dir: Path) -> None:
    configure(data_dir, threads=1)


def call(responses: list[str], labels: list[Any], prompt: str = PROMPT) -> dict[str, Any]:
    return reward_func([prompt + response for response in responses], [prompt] * len(responses), labels)


def test_rewards_scores_and_logs(engine: RewardEngine) -> None:
    result = call([RIGHT, WRONG, NONE], ["Alien"] * 3)
    scores = engine.score([RIGHT, WRONG, NONE], ["Alien"] * 3)
    assert result["rewards"].tolist() == scores.total.tolist()
    assert result["scores"].tolist() == [1, 0, 0]
    assert result["extra_logs"]["qas"].tolist() == scores.qas.tolist()
    tensors = [result["rewards"], result["scores"], *result["extra_logs"].values()]
    assert all(tensor.dtype == torch.float32 and tensor.shape == (3,) for tensor in tensors)


@pytest.mark.parametrize(
    "label",
    [
        "Hamlet (1996)",
        {"ground_truth": ["Hamlet (1996)"]},
        {"style": "rule", "ground_truth": np.array(["Hamlet (1996)"], dtype=object)},
        json.dumps({"ground_truth": ["Hamlet (1996)"], "candidates": ["Hamlet (1996)", "Alien (1979)"]}),
        json.dumps({"ground_truth": 2, "candidate_ids": [2, 4]}),
        ["Hamlet (1996)", "Heat (1995)"],
    ],
    ids=str,
)
def test_labels(label: Any) -> None:
    assert call(["\\boxed{Hamlet (1996)}"], [label])["scores"].tolist() == [1]
    candidates = isinstance(label, str) and "candidate" in label
    assert call(["\\boxed{Hamlet}"], [label])["scores"].tolist() == [float(candidates)]


@pytest.mark.parametrize("cut", [0, 1, 30, len(PROMPT) - 8])
def test_the_prompt_is_never_scored(cut: int) -> None:
    assert PROMPT[cut:]
    for response in (NONE, PROMPT[5:20], ""):
        result = reward_func([PROMPT[cut:] + response], [PROMPT], ["Alien"])
        assert result["extra_logs"]["answered"].tolist() == [0]
    assert reward_func([PROMPT[cut:] + WRONG], [PROMPT], ["Solaris"])["scores"].tolist() == [1]


def test_a_prompt_cut_inside_a_character() -> None:
    prompt = "日本 \\boxed{Alien}?\n"
    assert reward_func(["\ufffd\ufffd" + prompt[1:] + WRONG], [prompt], ["Solaris"])["scores"].tolist() == [1]


def test_a_prompt_that_decoding_has_spaced_anew() -> None:
    query = "<s> [INST] \\boxed{Alien}? [/INST] " + WRONG
    assert reward_func([query], ["<s>[INST]  \\boxed{Alien}?[/INST]"], ["Solaris"])["scores"].tolist() == [1]


@pytest.mark.parametrize(
    ("queries", "labels", "message"),
    [
        ([PROMPT, PROMPT], ["Alien", "Hamlet"], "^label 'Hamlet': .*fits several items"),
        ([PROMPT, PROMPT], ["Alien", '{"ground_truth": ["Her"]}'], "^label .*Her.* is not in the catalogue"),
        ([PROMPT, PROMPT], ["Alien", "{Her}"], "^label '{Her}': "),
        ([PROMPT, PROMPT], ["Alien", ""], "^label '': .*empty"),
        ([PROMPT, PROMPT], ["Alien", "{}"], "^label '{}': .*None"),
        ([PROMPT, "Another prompt."], ["Alien", "Heat"], "^label 'Heat': the query does not begin with its prompt"),
        ([PROMPT], ["Alien", "Heat"], "1, 2 and 2"),
    ],
)
def test_a_wrong_row_is_named(queries: list[str], labels: list[Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        reward_func(queries, [PROMPT] * 2, labels)


@pytest.mark.parametrize("cut", [0, 9])
def test_a_prompt_that_opens_a_block_of_reasoning(cut: int) -> None:
    prompts = [PROMPT, f"{PROMPT}<think>\n"]
    responses = [RIGHT, f"\\boxed{{Solaris}}?</think>{RIGHT}"]
    for answers, hits in ((responses, [1, 1]), ([RIGHT, RIGHT], [1, 0])):
        queries = [prompt[cut:] + answer for prompt, answer in zip(prompts, answers, strict=True)]
        assert reward_func(queries, prompts, ["Alien"] * 2)["scores"].tolist() == hits


@pytest.fixture
def reward_file(tmp_path: Path, data_dir: Path) -> str:
    path = tmp_path / "reward.py"
    path.write_text(
        "from rerec_engine.integrations.openrlhf import configure, reward_func\n"
        f"configure({str(data_dir)!r}, threads=1)\n"
    )
    return str(path)


def tokenizer() -> Any:
    """Characters as ids, called as OpenRLHF calls a tokenizer."""
    encode = MagicMock(side_effect=lambda text, **_: {"input_ids": torch.tensor([[ord(char) for char in text]])})
    encode.decode = lambda ids, **_: "".join(map(chr, ids))
    return encode


def execute(reward_file: str, response: str, label: Any) -> dict[str, Any]:
    """A response through OpenRLHF's executor, which loads the file and calls its function; vLLM is replaced."""
    pytest.importorskip("openrlhf", reason="OpenRLHF is not installed: make test-integrations")
    from openrlhf.utils.agent import SingleTurnAgentExecutor

    class Engine:
        async def generate(self, ids: list[int], params: Any, **_: Any) -> Any:
            action = [ord(char) for char in response]
            return SimpleNamespace(outputs=[SimpleNamespace(token_ids=action, finish_reason="stop", logprobs=None)])

    parameters = SimpleNamespace(max_tokens=64, logprobs=None)
    executor = SingleTurnAgentExecutor(reward_file)
    return asyncio.run(executor.execute(PROMPT, label, parameters, 40 + 64, tokenizer(), Engine()))


def test_openrlhf_loads_and_calls_it(reward_file: str, engine: RewardEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The prompt is longer than its 40 tokens, so that OpenRLHF cuts it; then its own reading of the result."""
    outputs = [execute(reward_file, text, "Solaris (1972)") for text in (RIGHT, WRONG, NONE)]
    expected = engine.score([RIGHT, WRONG, NONE], ["Solaris"] * 3)
    assert len(outputs[0]["observation_tokens"]) == 40 + len(RIGHT)
    assert [output["reward"].item() for output in outputs] == expected.total.tolist()

    for name in ("ray", "vllm", "openrlhf.trainer.ray.vllm_engine"):
        monkeypatch.setitem(sys.modules, name, MagicMock())
    from openrlhf.trainer.ppo_utils.samples_generator import SamplesGenerator

    generator = SamplesGenerator.__new__(SamplesGenerator)
    experiences = [generator._process_response_into_experience(output, max_len=512) for output in outputs]
    assert torch.cat([experience.rewards for experience in experiences]).tolist() == expected.total.tolist()
    assert torch.cat([experience.scores for experience in experiences]).tolist() == [0, 1, 0]
    assert [experience.info["pas"].item() for experience in experiences] == expected.pas.tolist()


def test_openrlhf_goes_on_without_a_reward_for_a_wrong_label(reward_file: str) -> None:
    assert execute(reward_file, RIGHT, "Her")["reward"] is None
