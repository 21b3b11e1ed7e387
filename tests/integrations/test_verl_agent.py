"""verl's agent loop with a reward a token, on a stand-in for verl: what is added to the trajectory, and what stays."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from rerec_engine.errors import UserError

RIGHT, WRONG, NONE = "\\boxed{Alien (1979)}", "Solaris is old.\nI take it.\n\\boxed{Solaris}", "no idea"


@pytest.fixture
def run(verl, byte_tokenizer):
    """`run(ids, mask, row, reward)`: the output of the loop whose model answers so; reward: of verl's config."""

    def follow(ids: list[int], mask: list[int], row: dict[str, Any], reward: dict[str, Any]) -> Any:
        async def once() -> Any:
            config = SimpleNamespace(reward=reward)
            loop = verl.loops["raae_agent"](config, byte_tokenizer, asyncio.get_running_loop(), (ids, mask))
            output = await loop.run({"temperature": 0.5}, **row)
            assert loop.asked == ({"temperature": 0.5}, row)
            return output

        return asyncio.run(once())

    return follow


@pytest.fixture
def kwargs(data_dir: Path) -> dict[str, Any]:
    return {"reward_kwargs": {"data_dir": str(data_dir), "threads": 1, "w_penalty": 0.5}}


def test_each_token_has_its_reward_and_verls_own_fields_stay(
    run: Any, kwargs: dict[str, Any], byte_tokenizer: Any, rows: list[dict[str, Any]], engine: Any
) -> None:
    ids = byte_tokenizer(WRONG)["input_ids"]
    output = run(ids, [1] * len(ids), rows[4], kwargs)
    total = float(engine.score([WRONG], [4], [[4, 5, 0]]).total[0])
    assert output.reward_score == pytest.approx(total)
    line = WRONG.index("\n")
    assert output.token_rewards[:line] == pytest.approx([total - 0.5 * abs(total)] * line)
    assert output.token_rewards[line + 1 :] == pytest.approx([total] * (len(ids) - line - 1))
    fields = output.as_dict()
    assert fields["rm_scores"].dtype == torch.float32
    assert fields["rm_scores"].tolist() == output.token_rewards
    assert "token_rewards" not in fields
    assert (fields["response_ids"], fields["num_turns"]) == (ids, 2)
    assert output.extra_fields["turn"] == 1
    info = output.extra_fields["reward_extra_info"]
    assert (info["score"], info["acc"], info["answered"]) == (output.reward_score, 0.0, 1.0)


@pytest.mark.parametrize(("text", "hit"), [(RIGHT, 1.0), (NONE, 0.0)])
def test_rewards_without_a_wrong_item_are_all_alike(
    run: Any, kwargs: dict[str, Any], byte_tokenizer: Any, rows: list[dict[str, Any]], text: str, hit: float
) -> None:
    ids = byte_tokenizer(text)["input_ids"]
    output = run(ids, [1] * len(ids), rows[4], kwargs)
    assert output.extra_fields["reward_extra_info"]["acc"] == hit
    assert output.token_rewards == [output.reward_score] * len(ids)


def test_what_a_tool_wrote_is_neither_read_nor_rewarded(
    run: Any, kwargs: dict[str, Any], byte_tokenizer: Any, rows: list[dict[str, Any]]
) -> None:
    tool, own = byte_tokenizer(RIGHT)["input_ids"], byte_tokenizer(NONE)["input_ids"]
    output = run(tool + own, [0] * len(tool) + [1] * len(own), rows[4], kwargs)
    assert output.extra_fields["reward_extra_info"]["answered"] == 0.0
    assert output.token_rewards == [0.0] * len(tool) + [output.reward_score] * len(own)


@pytest.mark.parametrize("reward", [{}, {"reward_kwargs": None}], ids=["none", "empty"])
def test_without_options_the_environment_names_the_data(
    run: Any,
    byte_tokenizer: Any,
    rows: list[dict[str, Any]],
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    reward: dict[str, Any],
) -> None:
    ids = byte_tokenizer(RIGHT)["input_ids"]
    with pytest.raises(UserError, match="no dataset directory: set REREC_DATA"):
        run(ids, [1] * len(ids), rows[4], reward)
    monkeypatch.setenv("REREC_DATA", str(data_dir))
    assert run(ids, [1] * len(ids), rows[4], reward).extra_fields["reward_extra_info"]["acc"] == 1.0


def test_a_wrong_row_is_named(run: Any, kwargs: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    row = {**rows[4], "reward_model": {"ground_truth": ["Emma"]}}
    with pytest.raises(UserError, match=f"^films row {row['extra_info']['id']}: .*'Emma' is not in the catalogue"):
        run([5], [1], row, kwargs)


@pytest.mark.parametrize(
    ("prompt", "option", "answered"),
    [
        ("A film?\n", {}, 1.0),
        ("A film?\n<think>\n", {}, 0.0),
        ("A film?\n", {"opened": True}, 0.0),
        ("A film?\n<think>\n", {"opened": False}, 1.0),
        ("", {}, 1.0),
    ],
)
def test_a_prompt_that_opens_a_block_of_reasoning(
    run: Any,
    verl: Any,
    kwargs: dict[str, Any],
    byte_tokenizer: Any,
    rows: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    prompt: str,
    option: dict[str, bool],
    answered: float,
) -> None:
    ids = byte_tokenizer(RIGHT)["input_ids"]
    monkeypatch.setattr(verl.loops["raae_agent"], "prompt_ids", byte_tokenizer(prompt)["input_ids"])
    kwargs["reward_kwargs"] |= option
    output = run(ids, [1] * len(ids), rows[4], kwargs)
    assert output.extra_fields["reward_extra_info"]["answered"] == answered
