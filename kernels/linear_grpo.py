"""`linear_grpo_loss`: from hidden states to loss, metrics and gradients, chunk by chunk of rows; [T, V] never exists.

| form | where | products of 2 T V H operations |
|---|---|---|
| anchored (`anchored`) | ratio by token, no entropy bonus | 3 |
| dense (`dense`), on chunks of float32 logits | ratio by token with an entropy bonus; rows that no anchor fits | 3 |
| two passes (`logprob`) | ratios that tokens share: log-probs first, then the loss, then gradients | 4 |

Rows whose gradient is 0 beforehand (advantage 0, no KL and no entropy term) take the forward product alone: 1 + 2 f
where a share f has a gradient. Work is done in the forward pass; the backward pass scales by the upstream gradient.
Loss and metrics come from `grpo.objective_pass` over the log-probs, so they are `grpo_loss`'s by construction.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable

from .anchored import anchored_chunk, anchored_losses, log2_targets, tiles_of
from .common import LOG2E, add_weight_gradient, chunks, mm_float, put, rows_within, take
from .dense import dense_losses
from .grpo import metrics_of, objective_pass
from .logprob import gradient_row_bytes, logprob_gradient
from .logprob_forward import Scaling, logprob_rows
from .row_loss import loss_arguments


class Tokens(NamedTuple):
    """Per token, [T]; `weights` is what a token's loss is multiplied by in the total."""

    targets: torch.Tensor
    old: torch.Tensor
    ref: torch.Tensor | None
    adv: torch.Tensor
    weights: torch.Tensor
    lse_old: torch.Tensor | None

    def chosen(self, index: torch.Tensor | None) -> Tokens:
        return self if index is None else Tokens(*(None if x is None else x.index_select(0, index) for x in self))

    @property
    def loss_inputs(self) -> tuple[torch.Tensor, ...]:
        """What the row kernels take; they do not read `ref` where there is none."""
        return self.targets, self.old, self.old if self.ref is None else self.ref, self.adv, self.weights


class Work(NamedTuple):
    """The operands, and where results go."""

    hidden: torch.Tensor  # [T, H]
    weight: torch.Tensor  # [V, H]
    scaling: Scaling
    objective: Any  # ops.objective.Objective
    workspace_mb: float | None
    logp: torch.Tensor  # [T] float32
    entropy: torch.Tensor  # [T] float32
    d_hidden: torch.Tensor | None  # [T, H]
    d_weight: torch.Tensor | None  # [V, H] float32, added to


def token_weights(
    kept: torch.Tensor,  # [T] bool
    cu_seqlens: torch.Tensor | None,  # [B + 1]
    aggregation: str,
    denominator: float | torch.Tensor | None,
) -> torch.Tensor:
    """What each token's loss is multiplied by in the total, [T] float32: its weight over the denominator."""
    ones = torch.ones(kept.shape, dtype=torch.float32, device=kept.device)
    if cu_seqlens is not None:
        cu_seqlens = cu_seqlens.to(kept.device).long()
    if aggregation == "sequence_mean":
        before = torch.nn.functional.pad(kept.cumsum(0), (1, 0))  # [T + 1]
        counts = before[cu_seqlens].diff()  # [B]
        owner = torch.searchsorted(cu_seqlens, torch.arange(kept.numel(), device=kept.device), right=True) - 1
        ones = 1.0 / counts.clamp(min=1)[owner].float()
        natural = (counts > 0).sum()
    elif aggregation == "dr_grpo" and denominator is None:
        lengths = cu_seqlens.diff()
        natural = lengths.numel() * (lengths.max() if lengths.numel() else lengths.sum())
    else:
        natural = kept.sum()
    return ones / (natural.clamp(min=1) if denominator is None else denominator)


def split_rows(kept: torch.Tensor, live: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor]:
    """Indices of the live rows (None: all), and of the kept ones that are not live. One wait for the device."""
    key = torch.where(live, 0, torch.where(kept, 1, 2))
    order = key.argsort(stable=True)
    lives, kepts = torch.stack([live.sum(), kept.sum()]).tolist()
    return None if lives == kept.numel() else order[:lives], order[lives:kepts]


def anchored_row_bytes(hidden: torch.Tensor, vocab: int) -> int:
    """Bytes of a row of an anchored chunk."""
    return gradient_row_bytes(vocab, hidden.shape[1], hidden.element_size()) + 8 * tiles_of(hidden, vocab, 1 << 30)


def dense_row_bytes(hidden: torch.Tensor, vocab: int) -> int:
    """Bytes of a row of a dense chunk: float32 logits, and unless these are overwritten a gradient."""
    return gradient_row_bytes(vocab, hidden.shape[1], hidden.element_size()) + 4 * vocab * (hidden.element_size() < 4)


def _anchored(work: Work, tokens: Tokens, index: torch.Tensor | None) -> torch.Tensor:
    """Losses and gradients of the rows `index`, whose tokens are given; which of them failed, [R] uint8."""
    count, vocab = tokens.old.shape[0], work.weight.shape[0]
    size = rows_within(work.workspace_mb, anchored_row_bytes(work.hidden, vocab), count)
    buffer = torch.empty(size, vocab, dtype=work.hidden.dtype, device=work.hidden.device)
    failed = torch.empty(count, dtype=torch.uint8, device=work.hidden.device)
    for part in chunks(count, size):
        states, chunk = take(work.hidden, index, part), Tokens(*(None if x is None else x[part] for x in tokens))
        zs = log2_targets(states, work.weight, chunk.targets, work.scaling)
        anchors = zs - chunk.old.float() * LOG2E if chunk.lse_old is None else chunk.lse_old.float() * LOG2E
        e = buffer[: states.shape[0]]
        sums = anchored_chunk(states, work.weight, anchors, e, work.scaling)
        results = torch.empty(3, states.shape[0], dtype=torch.float32, device=e.device)
        anchored_losses(e, sums, anchors, zs, chunk.loss_inputs, (*results, failed[part]), work.scaling,
                        loss_arguments(work.objective, tokens.ref is not None))  # fmt: skip
        _finish(work, index, part, states, e, results)
    return failed


def _dense(work: Work, tokens: Tokens, index: torch.Tensor | None) -> None:
    """Losses and gradients of the rows `index`, whose tokens are given."""
    count, vocab, dtype = tokens.old.shape[0], work.weight.shape[0], work.hidden.dtype
    size = rows_within(work.workspace_mb, dense_row_bytes(work.hidden, vocab), count)
    logits = torch.empty(size, vocab, dtype=torch.float32, device=work.hidden.device)
    gradients = logits if dtype == torch.float32 else torch.empty_like(logits, dtype=dtype)
    for part in chunks(count, size):
        states, chunk = take(work.hidden, index, part), Tokens(*(None if x is None else x[part] for x in tokens))
        z, d = logits[: states.shape[0]], gradients[: states.shape[0]]
        mm_float(states, work.weight.t(), out=z)
        results = torch.empty(3, states.shape[0], dtype=torch.float32, device=z.device)
        dense_losses(z, d, chunk.loss_inputs, tuple(results), work.scaling,
                     loss_arguments(work.objective, tokens.ref is not None), work.objective.entropy_coef)  # fmt: skip
        _finish(work, index, part, states, d, results)


def _finish(
    work: Work,
    index: torch.Tensor | None,
    part: slice,
    states: torch.Tensor,  # [C, H]
    d_logits: torch.Tensor,  # [C, V], up to the coefficients
    results: torch.Tensor,  # [3, C]: logp, entropy, coefficients
) -> None:
    """A chunk's two gradient products, and its results in their places."""
    logp, entropy, coefficients = results
    put(work.logp, index, part, logp)
    put(work.entropy, index, part, entropy)
    if work.d_hidden is not None:
        put(work.d_hidden, index, part, mm_float(d_logits, work.weight).mul_(coefficients[:, None]))
    if work.d_weight is not None:
        add_weight_gradient(work.d_weight, d_logits, states, coefficients)


def _forward_only(work: Work, targets: torch.Tensor, index: torch.Tensor | None) -> torch.Tensor:
    """Log-probs and entropies of the rows `index` into their places; their lse, [R]."""
    chosen = targets if index is None else targets.index_select(0, index)
    logp, entropy, lse = logprob_rows(
        work.hidden, work.weight, chosen, index, work.scaling, True, work.workspace_mb
    )  # fmt: skip
    everything = slice(0, chosen.shape[0])
    put(work.logp, index, everything, logp)
    put(work.entropy, index, everything, entropy)
    return lse


def _by_token(work: Work, tokens: Tokens, kept: torch.Tensor) -> None:
    wanted = work.d_hidden is not None or work.d_weight is not None
    live = kept if work.objective.moves_every_token else kept & (tokens.adv != 0)
    index, rest = split_rows(kept, live if wanted else torch.zeros_like(kept))
    if rest.numel():
        _forward_only(work, tokens.targets, rest)
    chosen = tokens.chosen(index)
    if chosen.old.numel() == 0:
        return
    if work.objective.entropy_coef:
        _dense(work, chosen, index)
        return
    failed = _anchored(work, chosen, index).nonzero().squeeze(1)
    if failed.numel():
        _dense(work, chosen.chosen(failed), failed if index is None else index.index_select(0, failed))


def _two_passes(work: Work, tokens: Tokens, kept: torch.Tensor, total: Any) -> Any:
    """Two passes: log-probs, then `total` (the loss and each token's gradient), then the gradients' products."""
    index, _ = split_rows(kept, kept)
    lse = torch.zeros_like(work.logp)
    put(lse, index, slice(0, lse.numel() if index is None else index.numel()),
        _forward_only(work, tokens.targets, index))  # fmt: skip
    found = total(work.logp, work.entropy)
    if work.d_hidden is None and work.d_weight is None:
        return found
    _, g, g_entropy = found
    asked = g != 0 if g_entropy is None else (g != 0) | (g_entropy != 0)
    index, _ = split_rows(asked, asked)
    values = (work.entropy, lse, g, g_entropy, tokens.targets)
    if index is not None:
        values = tuple(None if x is None else x.index_select(0, index) for x in values)
    entropy, lse, g, g_entropy, targets = values
    logprob_gradient(work.hidden, work.weight, targets, index, (entropy, lse), (g, g_entropy, None), work.scaling,
                     work.workspace_mb, work.d_hidden, work.d_weight)  # fmt: skip
    return found


class _LinearGrpoLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        tokens: Tokens,
        kept: torch.Tensor,
        cu_seqlens: torch.Tensor | None,
        cu_runs: torch.Tensor | None,
        scaling: Scaling,
        objective: Any,
        workspace_mb: float | None,
        wanted: tuple[bool, bool],
        grad_weight_out: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        logp, entropy = torch.zeros(2, *kept.shape, dtype=torch.float32, device=hidden.device)
        d_hidden = torch.zeros_like(hidden) if wanted[0] else None
        d_weight = grad_weight_out
        if wanted[1] and d_weight is None:
            d_weight = torch.zeros_like(weight, dtype=torch.float32)
        work = Work(hidden, weight, scaling, objective, workspace_mb, logp, entropy, d_hidden,
                    d_weight if wanted[1] else None)  # fmt: skip

        def total(logp: torch.Tensor, entropy: torch.Tensor) -> Any:
            _, old, ref, adv, weights, _ = tokens
            return objective_pass(logp, old, ref, adv, entropy, kept, cu_seqlens, weights, 1.0, objective,
                                  cu_runs)  # fmt: skip

        if objective.shares_ratios:
            out = _two_passes(work, tokens, kept, total).out
        else:
            _by_token(work, tokens, kept)
            out = total(logp, entropy).out
        if wanted[1] and grad_weight_out is None:
            d_weight = d_weight.to(weight.dtype)
        else:
            d_weight = None
        ctx.save_for_backward(d_hidden, d_weight)
        ctx.mark_non_differentiable(out)
        ctx.set_materialize_grads(False)
        return out[0].clone(), out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: torch.Tensor | None, _: Any) -> tuple[torch.Tensor | None, ...]:
        if upstream is None:
            return (None,) * 11
        scaled = (None if x is None else (x * upstream).to(x.dtype) for x in ctx.saved_tensors)
        return *scaled, *(None,) * 9


def linear_grpo_loss(
    states: Any,  # ops.types.States
    tokens: Any,  # ops.types.LossTokens
    objective: Any,  # ops.objective.Objective
    savings: Any,  # ops.types.Savings
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The loss, a float32 scalar, and metrics, detached float32 scalars; see `rerec_engine.ops.linear_grpo_loss`.

    `workspace_mb` (MB of 2^20 bytes, default `common.WORKSPACE_MB`) bounds the chunks' buffers.
    """
    hidden, weight, targets = states
    hidden, weight = (x if x.stride(1) == 1 else x.contiguous() for x in (hidden, weight))
    old, ref, adv, _, cu_seqlens, denominator, cu_runs = tokens
    kept, grad_weight_out = tokens.kept, savings.grad_weight_out
    weights = token_weights(kept, cu_seqlens, objective.aggregation, denominator)
    if savings.skip_zero_advantage:
        kept = kept & (adv != 0)
    by_token = (old, ref, adv, weights, savings.lse_old)
    enabled = torch.is_grad_enabled()
    wanted = (enabled and hidden.requires_grad,
              enabled and (grad_weight_out is not None or weight.requires_grad))  # fmt: skip
    loss, out = _LinearGrpoLoss.apply(
        hidden, weight if grad_weight_out is None else weight.detach(),
        Tokens(targets, *(None if x is None else x.detach() for x in by_token)), kept, cu_seqlens, cu_runs,
        Scaling(float(objective.temperature), float(objective.softcap or 0.0)), objective, savings.workspace_mb,
        wanted, grad_weight_out,
    )  # fmt: skip
    return loss, metrics_of(out, ref is not None, True)
