"""RAAE in verl: the estimator in float64, and the reward of every token, on a stand-in for verl."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rerec_engine.errors import UserError

RIGHT, WRONG, NONE = "\\boxed{Alien (1979)}", "Solaris is old.\nI take it.\n\\boxed{Solaris}", "no idea"


@pytest.fixture
def score(verl, byte_tokenizer, data_dir):
    """`score(responses, mask, rows, **options)`, the adapter's `score_tokens` on the data."""

    def run(*batch: Any, **options: Any) -> Any:
        return verl.verl_raae.score_tokens(*batch, byte_tokenizer, data_dir=data_dir, threads=1, **options)

    return run


def padded(tokenizer: Any, texts: list[str], extra: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask [B, L], padding on the right, `extra` columns of it everywhere."""
    ids = [tokenizer(text)["input_ids"] for text in texts]
    width = max(map(len, ids), default=0) + extra
    tensor = torch.tensor([row + [tokenizer.pad_token_id] * (width - len(row)) for row in ids]).view(len(ids), width)
    return tensor.long(), torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in ids]).view(len(ids), width)


def rows_of(rows: list[dict[str, Any]], *places: int) -> list[dict[str, Any]]:
    return [dict(rows[i]) for i in places]


def test_advantages_are_standardised_over_all_tokens_of_a_prompt(verl: Any) -> None:
    rewards = torch.tensor([[1.0, 2.0, 9.0], [4.0, 9.0, 9.0], [7.0, 5.0, 3.0]])
    mask = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1]])
    index = np.array(["b", "b", "a"], dtype=object)
    advantages, returns = verl.estimators["raae"](rewards, mask, index, config=None, more=1)
    first = (torch.tensor([1.0, 2.0, 4.0]) - 7 / 3) / (14 / 9) ** 0.5
    last = torch.tensor([2.0, 0.0, -2.0]) / (8 / 3) ** 0.5
    expected = torch.stack([torch.tensor([first[0], first[1], 0]), torch.tensor([first[2], 0, 0]), last])
    torch.testing.assert_close(advantages, expected)
    assert torch.equal(returns, advantages)


def test_a_group_of_equal_rewards_has_exactly_none(verl: Any) -> None:
    rewards = torch.full((2, 4), 0.1, dtype=torch.float64)
    advantages, _ = verl.estimators["raae"](rewards, torch.ones(2, 4), np.array([7, 7]))
    assert advantages.dtype == torch.float64
    assert torch.equal(advantages, torch.zeros(2, 4, dtype=torch.float64))


@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (2, 3)], ids=["no response", "no token", "all masked"])
def test_nothing_that_the_model_wrote_has_no_advantage(verl: Any, shape: tuple[int, int]) -> None:
    index = np.array(["a"] * shape[0], dtype=object)
    advantages, _ = verl.estimators["raae"](torch.ones(shape), torch.zeros(shape), index)
    assert torch.equal(advantages, torch.zeros(shape))


def test_rewards_of_ragged_responses(score: Any, byte_tokenizer: Any, rows: list[dict[str, Any]], engine: Any) -> None:
    texts = [RIGHT, WRONG, NONE]
    ids, mask = padded(byte_tokenizer, texts, extra=2)
    scored = score(ids, mask, rows_of(rows, 4, 4, 4))
    total = engine.score(texts, [4] * 3, [[4, 5, 0]] * 3).total
    assert scored.scores.total.tolist() == total.tolist()
    for i, text in enumerate(texts):
        written = scored.token_rewards[i, : len(text)]
        penalised = WRONG.index("\n") if text is WRONG else 0
        assert written[:penalised] == pytest.approx(total[i] - 0.3 * abs(total[i]))
        assert (written[penalised + 1 :] == total[i]).all()
        assert (scored.token_rewards[i, len(text) :] == 0).all()
    harsh = score(ids, mask, rows_of(rows, 4, 4, 4), w_penalty=0.6).token_rewards
    assert harsh[1, 0] == pytest.approx(total[1] - 0.6 * abs(total[1]))


def test_rewards_by_rank_reach_their_estimator(
    verl: Any, score: Any, byte_tokenizer: Any, rows: list[dict[str, Any]]
) -> None:
    """Alien is right: first in one answer and second in the other, which repeats itself behind it."""
    ids, mask = padded(byte_tokenizer, ["\\boxed{Alien (1979)\nSolaris}", "\\boxed{Solaris\nAlien (1979)\nSolaris}"])
    options = {"rank": True, "weights": {"k": 3, "qas": 0, "pas": 0}}
    scored = score(ids, mask, rows_of(rows, 4, 4), **options)
    advantages, returns = verl.estimators["rank"](torch.from_numpy(scored.token_rewards), mask, np.array(["a", "a"]))
    assert advantages.dtype == torch.float32 and torch.equal(advantages, returns)
    places = scored.entries.of_token
    for row, signs in enumerate([[1, -1], [-1, 1, -1]]):
        for place, sign in enumerate(signs):
            found = advantages[row][torch.from_numpy(places[row] == place)]
            assert found == pytest.approx(sign * 0.5**0.5, abs=1e-3)
    with pytest.raises(UserError, match="rank needs weights with k >= 2, got 1"):
        score(ids, mask, rows_of(rows, 4, 4), rank=True)


def test_a_wrong_row_is_named_by_its_source_and_id(score: Any, byte_tokenizer: Any, rows: list[dict[str, Any]]) -> None:
    ids, mask = padded(byte_tokenizer, [RIGHT, RIGHT])
    wrong = {"data_source": "books", "reward_model": {"ground_truth": ["Emma"]}, "extra_info": None}
    with pytest.raises(UserError, match=r"^books row 1: ground_truth\[1\].*'Emma' is not in the catalogue"):
        score(ids, mask, [*rows_of(rows, 4), wrong])
    wrong = {"reward_model": {"ground_truth": np.array([17])}, "extra_info": {"id": "x"}, "kind": "films"}
    with pytest.raises(UserError, match="^films row x: .*outside the catalogue"):
        score(ids[:1], mask[:1], [wrong], source="kind")


def manager(verl: Any, tokenizer: Any, data_dir: Path, **options: Any) -> Any:
    make = verl.managers["raae"]
    return make(tokenizer, 0, None, "data_source", data_dir=str(data_dir), threads=1, **options)


@pytest.mark.parametrize("masked", [True, False], ids=["response_mask", "attention_mask"])
def test_the_manager_scores_what_the_model_wrote(
    verl: Any, byte_tokenizer: Any, rows: list[dict[str, Any]], data_dir: Path, score: Any, masked: bool
) -> None:
    ids, mask = padded(byte_tokenizer, [RIGHT, NONE], extra=1)
    tensors = {"responses": ids, "attention_mask": torch.cat([torch.ones(2, 5, dtype=torch.long), mask], 1)}
    if masked:  # which goes before the other: a tool wrote the first answer
        mask = mask.clone()
        mask[0, :-2] = 0
        tensors["response_mask"] = mask
    chosen = rows_of(rows, 4, 0)
    columns = {name: np.array([row[name] for row in chosen], dtype=object) for name in chosen[0]}
    call = manager(verl, byte_tokenizer, data_dir)
    result = call(verl.DataProto(tensors, columns), return_dict=True)
    expected = score(ids, mask, chosen)
    assert result["reward_tensor"].tolist() == expected.token_rewards.tolist()
    assert (result["reward_tensor"].dtype, result["reward_tensor"].shape) == (torch.float32, ids.shape)
    info = result["reward_extra_info"]
    assert info["score"] == expected.scores.total.tolist()
    assert info["acc"] == [0.0, 0.0] if masked else [1.0, 0.0]
    assert info["answered"] == ([0.0, 0.0] if masked else [1.0, 0.0])
    assert torch.equal(call(verl.DataProto(tensors, columns)), result["reward_tensor"])


def test_options_of_the_manager_reach_the_engine(
    verl: Any, byte_tokenizer: Any, rows: list[dict[str, Any]], data_dir: Path
) -> None:
    ids, mask = padded(byte_tokenizer, [RIGHT])
    columns = {name: np.array([value], dtype=object) for name, value in rows[4].items()}
    weights = {"ndcg": 3.0, "format": 0.0, "qas": 0.0, "pas": 0.0}
    call = manager(verl, byte_tokenizer, data_dir, weights=weights)
    rewards = call(verl.DataProto({"responses": ids, "attention_mask": mask}, columns))
    assert torch.equal(rewards, torch.full(ids.shape, 3.0))
    with pytest.raises(UserError, match="nowhere: no such dataset directory"):
        manager(verl, byte_tokenizer, Path("nowhere"))(
            verl.DataProto({"responses": ids, "response_mask": mask}, columns)
        )


def test_each_prompt_tells_whether_it_opens_a_block_of_reasoning(
    verl: Any, byte_tokenizer: Any, rows: list[dict[str, Any]], data_dir: Path
) -> None:
    texts = ["A film?", "A film?\n<think>\n", "Say <think> first."]
    asked = [byte_tokenizer(text)["input_ids"] for text in texts]
    width, pad = max(map(len, asked)), byte_tokenizer.pad_token_id
    ids, mask = padded(byte_tokenizer, [RIGHT] * 3)
    tensors = {
        "prompts": torch.tensor([[pad] * (width - len(row)) + row for row in asked]),
        "responses": ids,
        "response_mask": mask,
    }
    columns = {name: np.array([rows[4][name]] * 3, dtype=object) for name in rows[4]}
    for option, answered in (({}, [1, 0, 1]), ({"opened": True}, [0] * 3), ({"opened": False}, [1] * 3)):
        call = manager(verl, byte_tokenizer, data_dir, **option)
        info = call(verl.DataProto(tensors, columns), return_dict=True)["reward_extra_info"]
        assert info["answered"] == answered
