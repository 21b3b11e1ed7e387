from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from rerec_engine.model import arithmetic, chat
from rerec_engine.model.arithmetic import DTYPES, NARROW, name_of, resolve_dtype, speedup, width_of
from rerec_engine.model.policy import load_policy

CPU = torch.device("cpu")


def of_width(folder: Path, width: int) -> Path:
    (folder / "config.json").write_text(json.dumps({"hidden_size": width}))
    return folder


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The widths whose products are timed, each 2.3 times as fast in bf16."""
    widths: list[int] = []
    monkeypatch.setattr(arithmetic, "speedup", lambda width: widths.append(width) or 2.3)
    monkeypatch.setattr(arithmetic, "multiply_with_onednn", lambda: False)
    monkeypatch.setattr(chat, "_told", set())
    return widths


def test_a_wide_model_is_computed_in_what_is_faster(
    asked: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert resolve_dtype("auto", of_width(tmp_path, 576), CPU) == "bf16"
    assert resolve_dtype("auto", of_width(tmp_path, 4096), CPU) == "bf16"
    assert asked == [576, 1024]
    told = "arithmetic in bf16, which this processor multiplies 2.3 times as fast as fp32 (see --dtype)\n"
    assert capsys.readouterr().err == told
    monkeypatch.setattr(arithmetic, "speedup", lambda width: 1.2)
    assert resolve_dtype("auto", tmp_path, CPU) == "fp32"


def test_narrow_models_other_devices_and_what_is_asked_for_are_not_timed(asked: list[int], tmp_path: Path) -> None:
    assert resolve_dtype("auto", of_width(tmp_path, NARROW - 1), CPU) == "fp32"
    assert resolve_dtype("auto", of_width(tmp_path, 4096), torch.device("cuda")) == "fp32"
    assert resolve_dtype("fp32", tmp_path, CPU) == "fp32"
    assert resolve_dtype("bf16", of_width(tmp_path, 32), CPU) == "bf16"
    assert asked == []


@pytest.mark.parametrize(
    ("config", "width"),
    [
        ('{"n_embd": 768}', 768),
        ('{"text_config": {"hidden_size": 2048}, "vision_config": {"hidden_size": 9}}', 2048),
        ('{"model_type": "x"}', 0),
        ("[]", 0),
        ("{", 0),
    ],
)
def test_the_width_is_read_from_the_configuration(tmp_path: Path, config: str, width: int) -> None:
    (tmp_path / "config.json").write_text(config)
    assert width_of(tmp_path) == width


def test_without_a_configuration_there_is_no_width(tmp_path: Path) -> None:
    assert width_of(tmp_path) == 0


def test_every_arithmetic_has_a_name() -> None:
    assert [name_of(dtype) for dtype in DTYPES.values()] == list(DTYPES)


def test_the_ratio_is_a_number_and_nothing_else_changes() -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    assert 0 < speedup(16) < float("inf")
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_weights_are_kept_in_fp32_under_arithmetic_that_was_found(
    saved: Path, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arithmetic, "NARROW", 8)
    mixed, narrow = load_policy(str(saved), "cpu", "auto", "fp32"), load_policy(str(saved), "cpu", "auto")
    assert (mixed.dtype, mixed.model.dtype) == (torch.bfloat16, torch.float32)
    assert (narrow.dtype, narrow.model.dtype) == (torch.bfloat16, torch.bfloat16)
