"""A command's model and dataset."""

from __future__ import annotations

import pytest
import torch

from rerec_engine.errors import UserError
from rerec_engine.rollout.loading import load_sampler, open_inputs


@pytest.fixture(autouse=True)
def threads(monkeypatch):
    """The number of threads is the process's."""
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    yield
    torch.set_num_threads(before)


@pytest.fixture
def model(tiny_policy, tmp_path):
    tiny_policy().save(tmp_path / "model")
    return str(tmp_path / "model")


@pytest.mark.parametrize(("asked", "used"), [(0, 2), (3, 3)])
def test_threads_are_set_as_for_training(model, mini_demo, asked, used):
    dataset = open_inputs(model, str(mini_demo), asked)
    assert torch.get_num_threads() == used
    assert dataset.titles
    assert load_sampler(model, "cpu").policy.device.type == "cpu"


def test_what_is_not_there_is_named(model, mini_demo):
    with pytest.raises(UserError, match="^nowhere: no such directory here, and "):
        open_inputs("nowhere", str(mini_demo), 0)
    with pytest.raises(UserError, match="nowhere"):
        open_inputs(model, "nowhere", 0)
