"""The record of the loss's options: defaults of the public functions, bounds, and which tokens it moves."""

from __future__ import annotations

import inspect
import math
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from rerec_engine import ops
from rerec_engine.ops.objective import Objective


@pytest.mark.parametrize("op, without", [("grpo_loss", {"temperature", "softcap"}), ("linear_grpo_loss", set())])
def test_every_field_is_an_argument_of_the_public_functions(op: str, without: set[str]) -> None:
    arguments = inspect.signature(getattr(ops, op)).parameters
    expected = {field.name: field.default for field in fields(Objective) if field.name not in without}
    assert {name: arguments[name].default for name in expected} == expected


@pytest.mark.parametrize(
    "options, message",
    [
        ({"kl": "k4"}, "kl must be k1, k2 or k3, got 'k4'"),
        ({"aggregation": "sum"}, "aggregation must be token_mean, sequence_mean or dr_grpo, got 'sum'"),
        ({"ratio": "group"}, "ratio must be token, entry or sequence, got 'group'"),
        ({"clip_low": 1.1}, "clip_low must be in 0..1 and clip_high >= 0, got 1.1 and 0.2"),
        ({"clip_high": -0.1}, "clip_low must be in 0..1 and clip_high >= 0, got 0.2 and -0.1"),
        ({"temperature": 0.0}, "temperature must be finite and >= 1e-6, got 0.0"),
        ({"temperature": 1e-39}, "temperature must be finite and >= 1e-6, got 1e-39"),
        ({"temperature": math.inf}, "temperature must be finite and >= 1e-6, got inf"),
        ({"softcap": 0.0}, "softcap must be > 0 or None, got 0.0"),
    ],
    ids=str,
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as raised:
        Objective(**options)
    assert str(raised.value) == message


def test_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Objective().beta = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    "options, moves",
    [
        ({}, False),
        ({"beta": 0.1}, True),
        ({"entropy_coef": -0.1}, True),
        ({"ratio": "sequence"}, True),
        ({"ratio": "entry"}, True),
    ],
)
def test_moves_every_token(options: dict[str, Any], moves: bool) -> None:
    assert Objective(**options).moves_every_token is moves
