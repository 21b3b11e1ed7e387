"""Checkpoints are whole or refused, and the one before is used."""

from __future__ import annotations

import os
import random

import numpy as np
import pytest
import torch

from rerec_engine.errors import UserError
from rerec_engine.runs import checkpoint as ck


def save(tmp_path, policy, steps, keep=3):
    for step in steps:
        ck.save_checkpoint(tmp_path, step, policy, {"step": step, "tensor": torch.arange(step + 1)}, {}, keep)


def test_round_trip_and_rotation(tmp_path, tiny_policy):
    policy = tiny_policy()
    save(tmp_path, policy, [1, 2, 3, 10], keep=2)
    assert ck.checkpoint_steps(tmp_path) == [3, 10]
    latest = ck.latest_checkpoint(tmp_path)
    assert latest.name == "step_10"
    assert torch.equal(ck.load_state(latest)["tensor"], torch.arange(11))
    assert {path.name for path in tmp_path.iterdir()} == {"step_3", "step_10"}  # nothing temporary is left


@pytest.mark.parametrize("name", ["model.safetensors", "trainer.pt", "tokenizer.json", ck.MANIFEST])
@pytest.mark.parametrize("damage", ["truncate", "remove", "flip"])
def test_damaged_one_is_refused_and_the_one_before_used(tmp_path, tiny_policy, capsys, name, damage):
    save(tmp_path, tiny_policy(), [1, 2])
    victim = tmp_path / "step_2" / name
    if damage == "truncate":
        os.truncate(victim, victim.stat().st_size // 2)
    elif damage == "remove":
        victim.unlink()
    else:
        data = bytearray(victim.read_bytes())
        data[len(data) // 2] ^= 0xFF
        victim.write_bytes(data)
    if damage == "flip" and name == ck.MANIFEST:
        return  # one flipped byte of the manifest may hit white space
    assert ck.latest_checkpoint(tmp_path).name == "step_1"
    warning = capsys.readouterr().err
    assert name in warning
    assert len(warning.strip().splitlines()) == 1


def test_none_is_whole(tmp_path, tiny_policy):
    save(tmp_path, tiny_policy(), [1])
    (tmp_path / "step_1" / "trainer.pt").unlink()
    with pytest.raises(UserError, match="no whole checkpoint"):
        ck.latest_checkpoint(tmp_path)
    with pytest.raises(UserError, match="no whole checkpoint"):
        ck.latest_checkpoint(tmp_path / "nowhere")


def test_full_disk_keeps_the_one_before(tmp_path, tiny_policy, monkeypatch):
    policy = tiny_policy()
    save(tmp_path, policy, [1])

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ck.torch, "save", full)
    with pytest.raises(UserError, match=r"step_2: cannot write the checkpoint .*No space left on device"):
        save(tmp_path, policy, [2])
    assert {path.name for path in tmp_path.iterdir()} == {"step_1"}
    assert ck.latest_checkpoint(tmp_path).name == "step_1"


def test_random_states_are_exact():
    random.seed(1), np.random.seed(2), torch.manual_seed(3)  # noqa: NPY002
    np.random.standard_normal()  # noqa: NPY002 - leaves a cached Gaussian behind
    state = ck.rng_state()
    expected = (random.random(), np.random.standard_normal(5).tolist(), torch.rand(3).tolist())  # noqa: NPY002
    ck.set_rng_state(state)
    assert (random.random(), np.random.standard_normal(5).tolist(), torch.rand(3).tolist()) == expected  # noqa: NPY002
