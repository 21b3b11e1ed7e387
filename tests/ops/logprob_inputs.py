"""Inputs of `token_logprob`, and its results by log_softmax on logits that exist whole."""

from __future__ import annotations

import torch

from rerec_engine.ops import TokenLogprob


def naive(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    temperature: float = 1.0,
    softcap: float | None = None,
) -> TokenLogprob:
    logits = hidden @ weight.T
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    logits = logits / temperature
    full = torch.log_softmax(logits, -1)
    logp = full.gather(1, targets[:, None]).squeeze(1)
    return TokenLogprob(logp, -(full.exp() * full).sum(1), torch.logsumexp(logits, 1))


def room(rows: int, vocabulary: int, dtype: torch.dtype = torch.float64) -> float:
    """MB in which the reference forms chunks of so many rows."""
    return 2 * rows * vocabulary * max(dtype.itemsize, 4) / 2**20


def make(shape: tuple[int, int, int], dtype: torch.dtype, seed: int = 0) -> tuple[torch.Tensor, ...]:
    tokens, width, vocabulary = shape
    g = torch.Generator().manual_seed(seed)
    hidden = torch.randn(tokens, width, generator=g, dtype=torch.float64).to(dtype).requires_grad_()
    weight = torch.randn(vocabulary, width, generator=g, dtype=torch.float64).to(dtype).requires_grad_()
    return hidden, weight, torch.randint(0, vocabulary, (tokens,), generator=g)


def upstream(tokens: int, dtype: torch.dtype) -> list[torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    return [torch.randn(tokens, generator=g, dtype=torch.float64).to(dtype) for _ in range(3)]


def exact(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    temperature: float = 1.0,
    softcap: float | None = None,
) -> tuple[TokenLogprob, list[torch.Tensor]]:
    """The same in float64 on the same numbers, and the leaves that it comes from: hidden and weight."""
    leaves = [x.detach().double().requires_grad_() for x in (hidden, weight)]
    return naive(*leaves, targets, temperature, softcap), leaves
