"""What the benchmarks hold against float64: that it is the loss it claims to be, and that a fault is seen."""

from __future__ import annotations

import pytest
import torch

from bench.common.memory import extra_mb
from bench.ops.peers.case import CLIP, PROMISED, Truth, faults, make_case
from bench.ops.peers.forms import FORMS, SKIPPING, surrogate
from bench.ops.peers.segments import make_segments, segments_of_tokens, segments_ours


@pytest.mark.parametrize("zero_share", [0.0, 0.5])
def test_truth_is_autograd_in_float64(zero_share: float) -> None:
    case = make_case(64, 8, 50, sequences=8, zero_share=zero_share, temperature=0.7)
    x, w = case.hidden.double().requires_grad_(), case.weight.double().requires_grad_()
    log_p = (x @ w.T / case.temperature).log_softmax(1)
    logp = log_p.gather(1, case.targets[:, None]).squeeze(1)
    loss = surrogate(logp, case.old.double(), case.adv_tokens.double())
    loss.backward()
    result = {"logp": logp, "entropy": -(log_p.exp() * log_p).sum(1), "loss": loss.detach()}
    result |= {"d_hidden": x.grad, "d_weight": w.grad}
    errors = Truth.of(case).errors(case, "grpo", result)
    assert len(errors) == 5
    assert faults(errors, torch.float64, PROMISED) == {}


def test_log_ratios_keep_away_from_the_clip() -> None:
    case = make_case(256, 8, 50, sequences=8)
    ratio = (Truth.of(case).logp - case.old).exp()
    assert float((ratio - (1 + CLIP)).abs().min()) > 0.1
    assert float((ratio - (1 - CLIP)).abs().min()) > 0.1
    assert 0.05 < float(((ratio > 1 + CLIP) | (ratio < 1 - CLIP)).float().mean()) < 0.4


def test_a_wrong_result_is_seen() -> None:
    case = make_case(16, 8, 50, sequences=4)
    truth = Truth.of(case)
    result = FORMS["grpo"]["torch eager"](case)()
    assert faults(truth.errors(case, "grpo", result), torch.float32, PROMISED) == {}
    wrong = {**result, "d_weight": result["d_weight"] * 1.01, "loss": result["loss"] * float("nan")}
    assert set(faults(truth.errors(case, "grpo", wrong), torch.float32, PROMISED)) == {"d_weight", "loss"}


@pytest.mark.parametrize("name", SKIPPING)
def test_skipping_forms_give_the_same(name: str) -> None:
    case = make_case(64, 8, 50, sequences=8, zero_share=0.5)
    errors = Truth.of(case).errors(case, "grpo", SKIPPING[name](case)())
    assert faults(errors, torch.float32, PROMISED) == {}


def test_statistics_of_tokens_are_those_of_segments() -> None:
    batch = make_segments(responses=24, segments=5, tokens=2_000)
    found = segments_ours(batch)
    assert found.shape == (batch.total,)
    torch.testing.assert_close(found.double(), segments_of_tokens(batch, torch.float64), rtol=0, atol=1e-5)


def test_extra_memory_is_that_of_a_call() -> None:
    megabytes = extra_mb(lambda: torch.ones(64 << 18))
    if megabytes is None:
        pytest.skip("the system does not tell the peak of memory: Linux does")
    assert 60 < megabytes < 90
