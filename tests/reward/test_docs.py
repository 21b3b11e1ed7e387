"""The worked example of docs/rewards.md prints what stands there, and the figures by hand are right."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "rewards.md").read_text()


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    names: dict[str, Any] = {}
    found = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", TEXT, re.DOTALL)
    assert len(found) == 2
    for code, printed in found:
        with redirect_stdout(io.StringIO()) as out:
            exec(code, names)
        assert out.getvalue() == printed
    return names


def test_the_printed_lines(names: dict[str, Any]) -> None:
    assert names["s"].ndcg.dtype == np.float32


def test_token_rewards(names: dict[str, Any], tokenizer: PreTrainedTokenizerFast) -> None:
    engine = names["RewardEngine"](names["films"], names["has"], names["taste"], attribute_names=names["names"])
    ids = tokenizer(names["response"], add_special_tokens=False)["input_ids"]
    result = engine.score_tokens(ids, [0, len(ids)], ["Heat (1995)"], tokenizer, [[0, 1, 2]], w_credit=0.1)
    assert result.segment_penalised.tolist() == [False, True, False, False]
    assert result.segment_credited.tolist() == [False, False, True, False]
    first = np.cumsum([0, *result.segment_lengths[:-1]])
    np.testing.assert_allclose(result.token_rewards[first], [0.063, 0.0441, 0.0693, 0.063], rtol=1e-5)


def test_every_number_is_explained() -> None:
    from dataclasses import fields

    from rerec_engine.reward import RewardWeights, Scores

    for field in (*fields(Scores), *fields(RewardWeights)):
        assert f"`{field.name}`" in TEXT, field.name
