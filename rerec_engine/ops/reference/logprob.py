"""`token_logprob` in plain torch, chunk by chunk of rows, with the logits formed again in the backward pass.

Gradient of a row, with p = softmax(z) and upstream gradients g_logp, g_entropy, g_lse:

    dz = p * (g_lse - g_logp - g_entropy * (z - lse + entropy)) + g_logp * onehot(target)

Forward and backward together are four matrix products of 2 T V H operations; the only large buffers are two chunks of
logits and the gradients themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from rerec_engine.ops.types import TokenLogprob
from rerec_engine.ops.workspace import rows_within

_CHUNK_BYTES = {"cpu": 2 << 20, "other": 256 << 20}
"""Bytes of one chunk of logits. On a CPU two of them stay in the second-level cache, where the passes are cheap."""
_MIN_ROWS = 128
"""Fewer rows starve the matrix product whatever the vocabulary."""


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
    """See `rerec_engine.ops.token_logprob`."""
    index = None if rows is None else rows.nonzero().squeeze(1)  # [R]
    if index is not None and index.numel() == hidden.shape[0]:
        index = None
    size = chunk_rows(hidden, weight, workspace_mb)
    logp, entropy, lse = _TokenLogprob.apply(
        hidden, weight, targets.long(), index, float(temperature), softcap, return_entropy, size
    )
    return TokenLogprob(logp, entropy, lse)


def chunk_rows(hidden: torch.Tensor, weight: torch.Tensor, workspace_mb: float | None) -> int:
    """Rows of a chunk, of which two buffers are held; by default those that fit the budget of the device."""
    row_bytes = weight.shape[0] * _compute_dtype(hidden, weight).itemsize
    if workspace_mb is not None:
        return rows_within(workspace_mb, 2 * row_bytes)
    budget = _CHUNK_BYTES["cpu" if hidden.device.type == "cpu" else "other"]
    return max(_MIN_ROWS, budget // row_bytes)


def _compute_dtype(hidden: torch.Tensor, weight: torch.Tensor) -> torch.dtype:
    return torch.promote_types(torch.promote_types(hidden.dtype, weight.dtype), torch.float32)


class _Logits:
    """Forms chunks of scaled logits into one buffer that is used again for every chunk."""

    def __init__(
        self, hidden: torch.Tensor, weight: torch.Tensor, temperature: float, softcap: float | None, rows: int
    ):
        self.hidden = hidden
        self.dtype = _compute_dtype(hidden, weight)
        self.weight = weight.to(self.dtype)  # [V, H]
        self.scale = 1.0 / temperature
        self.softcap = softcap
        self.buffer = self.weight.new_empty(rows, weight.shape[0])  # [C, V]

    def states(self, part: slice, index: torch.Tensor | None) -> torch.Tensor:
        """Hidden states of a chunk, [C, H] in the compute dtype."""
        chosen = self.hidden[part] if index is None else self.hidden.index_select(0, index[part])
        return chosen.to(self.dtype)

    def form(self, states: torch.Tensor) -> torch.Tensor:
        """Scaled logits z, [C, V]; valid until the next call."""
        z = torch.mm(states, self.weight.t(), out=self.buffer[: states.shape[0]])
        if self.softcap is not None:
            z.div_(self.softcap).tanh_().mul_(self.softcap)
        return z if self.scale == 1.0 else z.mul_(self.scale)


def _chunks(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


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
        return_entropy: bool,
        chunk_rows: int,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
        chosen = targets if index is None else targets.index_select(0, index)  # [R]
        count = chosen.numel()
        with torch.autocast(hidden.device.type, enabled=False):
            logits = _Logits(hidden, weight, temperature, softcap, min(chunk_rows, count))
            logp, entropy, lse = (logits.weight.new_zeros(count) for _ in range(3))
            exponentials = torch.empty_like(logits.buffer)
            for part in _chunks(count, chunk_rows):
                z = logits.form(logits.states(part, index))  # [C, V]
                top = z.amax(1, keepdim=True)  # [C, 1]
                z.sub_(top)
                e = torch.exp(z, out=exponentials[: z.shape[0]])
                total = e.sum(1)  # [C], >= 1
                log_total = total.log()
                logp[part] = z.gather(1, chosen[part, None]).squeeze(1) - log_total
                lse[part] = top.squeeze(1) + log_total
                if return_entropy:
                    entropy[part] = log_total - e.mul_(z).sum(1) / total
        ctx.save_for_backward(hidden, weight, chosen, index, entropy, lse)
        ctx.options = (temperature, softcap, return_entropy, chunk_rows)
        ctx.set_materialize_grads(False)
        if index is not None:
            logp, entropy, lse = (x.new_zeros(targets.shape).index_copy_(0, index, x) for x in (logp, entropy, lse))
        return logp, entropy if return_entropy else None, lse

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        hidden, weight, chosen, index, entropy, lse = ctx.saved_tensors
        if all(g is None for g in upstream) or not (ctx.needs_input_grad[0] or ctx.needs_input_grad[1]):
            return (None,) * 8
        g_logp, g_entropy, g_lse = (g if g is None or index is None else g.index_select(0, index) for g in upstream)
        temperature, softcap, _, chunk_rows = ctx.options
        with torch.autocast(hidden.device.type, enabled=False):
            logits = _Logits(hidden, weight, temperature, softcap, min(chunk_rows, chosen.numel()))
            d_hidden = torch.zeros_like(hidden) if ctx.needs_input_grad[0] else None
            d_weight = torch.zeros_like(logits.weight) if ctx.needs_input_grad[1] else None
            spare = None if g_entropy is None else torch.empty_like(logits.buffer)
            for part in _chunks(chosen.numel(), chunk_rows):
                states = logits.states(part, index)  # [C, H]
                dz = _logit_gradient(
                    logits.form(states),
                    spare,
                    chosen[part],
                    lse[part],
                    entropy[part],
                    *(None if g is None else g[part] for g in (g_logp, g_entropy, g_lse)),
                    temperature=temperature,
                    softcap=softcap,
                )  # [C, V]
                if d_hidden is not None:
                    d_states = dz.mm(logits.weight).to(hidden.dtype)
                    if index is None:
                        d_hidden[part] = d_states
                    else:
                        d_hidden.index_copy_(0, index[part], d_states)
                if d_weight is not None:
                    d_weight.addmm_(dz.t(), states)
        return d_hidden, None if d_weight is None else d_weight.to(weight.dtype), None, None, None, None, None, None


def _logit_gradient(
    z: torch.Tensor,  # [C, V], scaled logits; overwritten with the result
    spare: torch.Tensor | None,  # [>= C, V], needed for the entropy's gradient
    targets: torch.Tensor,  # [C]
    lse: torch.Tensor,  # [C]
    entropy: torch.Tensor,  # [C]
    g_logp: torch.Tensor | None,  # [C], like the next two
    g_entropy: torch.Tensor | None,
    g_lse: torch.Tensor | None,
    *,
    temperature: float,
    softcap: float | None,
) -> torch.Tensor:
    """Gradient with respect to `hidden @ weight.T`, [C, V]."""
    slope = None if softcap is None else 1.0 - (z * (temperature / softcap)).square_()  # d cap(x) / dx, [C, V]
    scale = 1.0 / temperature
    base = torch.zeros_like(lse)  # [C], the factor of p that does not depend on v
    if g_lse is not None:
        base += g_lse
    if g_logp is not None:
        base -= g_logp
    z.sub_(lse[:, None])  # log p
    if g_entropy is not None and spare is not None:
        factor = torch.mul(z, (-scale * g_entropy)[:, None], out=spare[: z.shape[0]])
        factor.add_((scale * (base - g_entropy * entropy))[:, None])
        z.exp_().mul_(factor)
    else:
        z.exp_().mul_((scale * base)[:, None])
    if g_logp is not None:
        z.scatter_add_(1, targets[:, None], (scale * g_logp)[:, None])
    return z if slope is None else z.mul_(slope)
