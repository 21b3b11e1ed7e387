"""Log-probs over what was allowed, against the whole vocabulary with all else at minus infinity, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rerec_engine.ops import AllowedTokens, token_logprob
from rerec_engine.ops.allowed import allowed_logprob


def make_allowed(rows: int, vocabulary: int, seed: int, most: int) -> tuple[AllowedTokens, Tensor, Tensor]:
    """Rows of 1 to `most` tokens, a third of them denied ones; their masks [R, V], and a target of each."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.zeros(rows, vocabulary, dtype=torch.bool)
    sizes = torch.randint(1, most + 1, (rows,), generator=generator)
    for row, size in enumerate(sizes.tolist()):
        mask[row, torch.randperm(vocabulary, generator=generator)[:size]] = True
    ids = mask.nonzero()[:, 1]
    denied = torch.rand(rows, generator=generator) < 1 / 3
    mask[denied] = ~mask[denied]
    ptr = torch.cat([torch.zeros(1, dtype=torch.long), sizes.cumsum(0)])
    targets = torch.multinomial(mask.float(), 1, generator=generator)[:, 0]
    return AllowedTokens(torch.arange(rows) * 2, denied, ptr, ids), mask, targets


def judge(logits: Tensor, mask: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    logits = logits.masked_fill(~mask, float("-inf"))
    logp = logits.log_softmax(-1)
    entropy = -(logp.exp() * logp.masked_fill(~mask, 0.0)).sum(-1)
    return logp.gather(1, targets[:, None])[:, 0], entropy, logits.logsumexp(-1)


@pytest.mark.parametrize(("temperature", "softcap"), [(1.0, None), (0.7, None), (1.3, 5.0)])
@pytest.mark.parametrize("most", [4, 150])
def test_it_is_the_softmax_over_what_is_allowed_with_its_gradient(temperature, softcap, most):
    torch.manual_seed(0)
    hidden, weight = torch.randn(40, 16), torch.randn(200, 16)
    allowed, mask, targets = make_allowed(40, 200, 1, most)
    ours, theirs = (
        [x.clone().to(t).requires_grad_() for x in (hidden, weight)] for t in (torch.float32, torch.float64)
    )
    found = allowed_logprob(*ours, targets, allowed, temperature=temperature, softcap=softcap)
    logits = theirs[0] @ theirs[1].T
    logits = (logits if softcap is None else softcap * torch.tanh(logits / softcap)) / temperature
    right = judge(logits, mask, targets)
    several = mask.sum(1) > 1
    for name, mine, true in zip(("logp", "entropy", "lse"), found, right, strict=True):
        torch.testing.assert_close(mine.double()[several], true[several], rtol=1e-5, atol=2e-5, msg=name)
    assert torch.equal(found.logp[~several], torch.zeros(int((~several).sum())))
    upstream = torch.randn(3, 40)
    for (logp, entropy, _), (a, b, _) in ((found, upstream), (right, upstream.double())):
        (logp * a + entropy * b).sum().backward()
    for mine, true in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad.double(), true.grad, rtol=1e-4, atol=1e-4)


def test_logits_serve_as_well():
    hidden, weight = torch.randn(30, 16), torch.randn(200, 16)
    allowed, _, targets = make_allowed(30, 200, 2, 9)
    of_states = allowed_logprob(hidden, weight, targets, allowed)
    of_logits = allowed_logprob(hidden @ weight.T, None, targets, allowed)
    for mine, true in zip(of_logits, of_states, strict=True):
        torch.testing.assert_close(mine, true, rtol=1e-5, atol=1e-5)


def test_the_free_distribution_is_another():
    """What ignoring the constraint says is lower by the mass of what could not be drawn: a bias of every ratio."""
    hidden, weight = torch.randn(30, 16), torch.randn(200, 16)
    allowed, _, targets = make_allowed(30, 200, 3, 5)
    right = allowed_logprob(hidden, weight, targets, allowed).logp
    free = token_logprob(hidden, weight, targets).logp
    assert bool((free <= right + 1e-5).all())
    assert float((right - free)[~allowed.denied].mean()) > 1


def test_a_target_that_is_not_allowed_is_an_error():
    hidden, weight = torch.randn(3, 16), torch.randn(50, 16)
    allowed = AllowedTokens(
        torch.arange(3), torch.tensor([False, True, False]), torch.tensor([0, 2, 4, 5]), torch.tensor([1, 2, 3, 4, 5])
    )
    good = [1, 7, 5]
    allowed_logprob(hidden, weight, torch.tensor(good), allowed)
    for row, token in ((0, 3), (1, 4), (2, 6)):
        with pytest.raises(ValueError, match=f"target {token} is not allowed"):
            allowed_logprob(hidden, weight, torch.tensor([*good[:row], token, *good[row + 1 :]]), allowed)


def test_parts_of_it_are_told_by_their_tokens():
    allowed, mask, _ = make_allowed(6, 30, 4, 5)  # at tokens 0, 2, 4, ...
    part = allowed.among(torch.tensor([5, 4, 8, 1, 0]))
    assert part.at.tolist() == [1, 2, 4]
    rows = [2, 4, 0]
    for place, row in enumerate(rows):
        ids = part.ids[part.ptr[place] : part.ptr[place + 1]]
        wanted = mask[row] if not allowed.denied[row] else ~mask[row]
        assert ids.tolist() == wanted.nonzero()[:, 0].tolist()
    assert len(allowed.among(torch.tensor([1, 3]))) == 0
