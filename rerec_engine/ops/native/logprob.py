"""`token_logprob` on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from rerec_engine.ops.native.head import Gradients, Head, Statistics
from rerec_engine.ops.native.rows import pick, spread
from rerec_engine.ops.types import TokenLogprob


def token_logprob(
    hidden: torch.Tensor,  # [T, H]
    weight: torch.Tensor,  # [V, H]
    targets: torch.Tensor,  # [T] int64
    *,
    temperature: float = 1.0,
    softcap: float | None = None,
    rows: torch.Tensor | None = None,  # [T] bool
    return_entropy: bool = True,
    workspace_mb: float | None = None,
) -> TokenLogprob:
    """See `rerec_engine.ops.token_logprob`. The logits take a tile a thread, and a caller's workspace is not needed."""
    index = None if rows is None or bool(rows.all()) else rows.nonzero().squeeze(1)  # [R]
    logp, entropy, lse = _TokenLogprob.apply(hidden, weight, targets.long(), index, float(temperature), softcap)
    return TokenLogprob(logp, entropy if return_entropy else None, lse)


class _TokenLogprob(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        targets: torch.Tensor,
        index: torch.Tensor | None,
        temperature: float,
        softcap: float | None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        states, chosen = pick(hidden, index), pick(targets, index).contiguous()
        head = Head(hidden, weight, temperature, softcap, chosen.numel())
        found = head.drive(lambda: head.statistics(states, chosen))
        ctx.save_for_backward(hidden, weight, chosen, index, found.logp, found.entropy, found.lse)
        ctx.options = (temperature, softcap)
        ctx.set_materialize_grads(False)
        logp, entropy, lse = (spread(x, index, targets.shape) for x in (found.logp, found.entropy, found.lse))
        return logp, entropy, lse

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        hidden, weight, chosen, index, *found = ctx.saved_tensors
        if all(g is None for g in upstream):
            return (None,) * 6
        states = pick(hidden, index)
        d_states = torch.empty_like(states) if ctx.needs_input_grad[0] else None
        d_weight = torch.empty(weight.shape) if ctx.needs_input_grad[1] else None
        gradients = Gradients(*(g if g is None else pick(g, index).float() for g in upstream))
        temperature, softcap = ctx.options
        head = Head(hidden, weight, temperature, softcap, chosen.numel())
        head.drive(lambda: head.backward(states, chosen, Statistics(*found), gradients, d_states, d_weight, fresh=True))
        d_hidden = None if d_states is None else spread(d_states, index, hidden.shape)
        return d_hidden, None if d_weight is None else d_weight.to(weight.dtype), None, None, None, None
