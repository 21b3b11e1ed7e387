"""segment_advantage's and expand_segments' kernels against the reference, whose statistics are float64."""

from __future__ import annotations

import pytest
import torch

from rerec_engine.ops import reference

kernel = pytest.importorskip(
    "rerec_engine.kernels.segments", reason="no Triton: pip install .[triton]", exc_type=ImportError
)

ESTIMATORS = ["raae", "grpo", "dr_grpo", "rloo"]
Batch = tuple[torch.Tensor, ...]


def make(responses: int, groups: int, scattered: bool, device: torch.device) -> Batch:
    g = torch.Generator().manual_seed(responses)
    counts = torch.randint(0, 6, (responses,), generator=g)
    bounds = torch.nn.functional.pad(counts.cumsum(0), (1, 0))
    lengths = torch.randint(0, 50, (int(bounds[-1]),), generator=g)
    penalised = torch.rand(lengths.shape, generator=g) < 0.3
    group = torch.randint(0, groups, (responses,), generator=g) * 7
    rewards = 1 + 0.1 * torch.randn(responses, generator=g)
    rewards[group == 7] = 0.3
    return tuple(x.to(device) for x in (lengths, penalised, bounds, rewards, group if scattered else group.sort()[0]))


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("scattered", [False, True], ids=["neighbours", "scattered"])
@pytest.mark.parametrize("responses, groups", [(1, 1), (7, 3), (23, 5), (20, 20)])
@pytest.mark.usefixtures("poison")
def test_equals_the_reference(
    responses: int, groups: int, scattered: bool, estimator: str, device: torch.device
) -> None:
    batch = make(responses, groups, scattered, device)
    ours = kernel.segment_advantage(*batch, estimator=estimator)
    expected = reference.segment_advantage(*batch, estimator=estimator)
    torch.testing.assert_close(ours, expected, atol=4e-6, rtol=0)
    assert (ours[expected == 0] == 0).all()


@pytest.mark.slow
def test_more_responses_and_segments_than_a_block(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "_BLOCK", 16)
    batch = make(17, 2, True, device)
    for estimator in ("raae", "grpo"):
        ours = kernel.segment_advantage(*batch, estimator=estimator)
        torch.testing.assert_close(ours, reference.segment_advantage(*batch, estimator=estimator), atol=4e-6, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("reward", [1 / 3, -0.7, 123.456])
def test_equal_rewards_give_exactly_zero(estimator: str, reward: float, device: torch.device) -> None:
    lengths, penalised, bounds, rewards, group = make(23, 5, True, device)
    batch = (lengths, torch.zeros_like(penalised), bounds, torch.full_like(rewards, reward), group)
    assert (kernel.segment_advantage(*batch, estimator=estimator) == 0).all()


@pytest.mark.slow
def test_close_rewards_keep_their_difference(device: torch.device) -> None:
    lengths, penalised, bounds, rewards, group = make(23, 5, True, device)
    batch = (lengths, torch.zeros_like(penalised), bounds, 1 + (rewards - 1) * 1e-4, group)
    ours, expected = kernel.segment_advantage(*batch), reference.segment_advantage(*batch)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("responses", [0, 3], ids=["no response", "no segment"])
def test_nothing(responses: int, device: torch.device) -> None:
    empty = torch.zeros(0, dtype=torch.int64, device=device)
    bounds = torch.zeros(responses + 1, dtype=torch.int64, device=device)
    group = torch.zeros(responses, dtype=torch.int64, device=device)
    assert kernel.segment_advantage(empty, empty.bool(), bounds, group.float(), group).shape == (0,)
    assert kernel.expand_segments(empty.float(), empty).shape == (0,)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("responses", [1, 7, 300])
@pytest.mark.usefixtures("poison")
def test_expand(responses: int, dtype: torch.dtype, device: torch.device) -> None:
    lengths = make(responses, 2, False, device)[0]
    advantages = torch.randn(lengths.shape, device=device).to(dtype)
    expected = advantages.repeat_interleave(lengths)
    assert torch.equal(kernel.expand_segments(advantages, lengths), expected)
    assert torch.equal(kernel.expand_segments(advantages, lengths, expected.numel()), expected)
    int32 = kernel.expand_segments(advantages, lengths.int(), expected.numel())
    assert torch.equal(int32, expected)
