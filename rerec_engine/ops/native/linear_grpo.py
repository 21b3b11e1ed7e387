"""`linear_grpo_loss` on a CPU: three matrix products, the logits of a chunk of rows kept between loss and gradient."""

from __future__ import annotations

import torch

from rerec_engine.ops.native.head import Chunk, Gradients, Head
from rerec_engine.ops.native.policy_gradient import Objective, Precomputed, response_log_ratio
from rerec_engine.ops.native.rows import pick, spread
from rerec_engine.ops.types import Aggregation, Kl, Loss, Ratio


def linear_grpo_loss(
    hidden: torch.Tensor,  # [T, H]
    weight: torch.Tensor,  # [V, H]
    targets: torch.Tensor,  # [T] int64
    old: torch.Tensor,  # [T]
    ref: torch.Tensor | None,  # [T]
    adv: torch.Tensor,  # [T]
    *,
    mask: torch.Tensor | None = None,  # [T] bool
    cu_seqlens: torch.Tensor | None = None,  # [B + 1] int
    temperature: float = 1.0,
    softcap: float | None = None,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    beta: float = 0.0,
    kl: Kl = "k3",
    entropy_coef: float = 0.0,
    aggregation: Aggregation = "token_mean",
    denominator: float | torch.Tensor | None = None,
    ratio: Ratio = "token",
    lse_old: torch.Tensor | None = None,  # [T]
    skip_zero_advantage: bool = False,
    grad_weight_out: torch.Tensor | None = None,  # [V, H] float32
    workspace_mb: float | None = None,
) -> Loss:
    """See `rerec_engine.ops.linear_grpo_loss`. `lse_old` is not needed here."""
    kept = torch.ones_like(targets, dtype=torch.bool) if mask is None else mask
    objective = Objective(
        old,
        ref,
        adv,
        kept,
        cu_seqlens,
        clip_low=clip_low,
        clip_high=clip_high,
        beta=beta,
        kl=kl,
        entropy_coef=entropy_coef,
        aggregation=aggregation,
        denominator=denominator,
    )
    live = kept if beta or entropy_coef or ratio == "sequence" else kept & (adv != 0)  # rows that may have a gradient
    enabled = torch.is_grad_enabled()
    wanted = enabled and (hidden.requires_grad or weight.requires_grad)
    rows = _Rows(hidden, weight, targets.long(), objective, temperature, softcap, workspace_mb)
    if enabled:
        rows.want_gradients(hidden.requires_grad, weight.requires_grad, grad_weight_out)

    def job() -> None:
        if ratio == "sequence":
            assert cu_seqlens is not None
            rows.by_sequence(kept, cu_seqlens)
            return
        rows.with_gradient(_index(live))
        if not skip_zero_advantage:
            rows.without_gradient(_index(kept & ~live))

    rows.head.drive(job)
    loss, metrics = objective.loss(), objective.metrics(entropy=True)
    if not wanted:
        return loss, metrics
    d_weight = None if grad_weight_out is not None else rows.d_weight
    return Precomputed.apply(loss, rows.d_hidden, d_weight, hidden, weight), metrics


def _index(rows: torch.Tensor) -> torch.Tensor | None:
    """Positions of the True rows, [R]; None: all."""
    return None if bool(rows.all()) else rows.nonzero().squeeze(1)


class _Rows:
    """Takes rows through head, loss and back."""

    def __init__(
        self,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        targets: torch.Tensor,
        objective: Objective,
        temperature: float,
        softcap: float | None,
        workspace_mb: float | None,
    ) -> None:
        self.hidden, self.targets, self.objective = hidden.detach(), targets, objective
        self.head = Head(hidden, weight, temperature, softcap, targets.numel())
        self.workspace_mb = workspace_mb
        self.d_hidden: torch.Tensor | None = None
        self.d_weight: torch.Tensor | None = None
        self.fresh = False
        """The weight's gradient is not written yet."""

    def want_gradients(self, hidden: bool, weight: bool, weight_out: torch.Tensor | None) -> None:
        if hidden:
            self.d_hidden = torch.zeros_like(self.hidden)
        if weight or weight_out is not None:
            self.d_weight = torch.empty(self.head.weight.shape) if weight_out is None else weight_out
            self.fresh = weight_out is None

    def with_gradient(self, index: torch.Tensor | None) -> None:
        """Rows of `index`: logits, loss and gradients, a chunk at a time."""
        if self.d_hidden is None and self.d_weight is None:
            return self.without_gradient(index)
        rows = torch.arange(self.targets.numel()) if index is None else index
        parts = self.head.chunks(rows.numel(), self.workspace_mb)
        if not parts:
            if self.fresh and self.d_weight is not None:
                self.d_weight.zero_()
            return
        buffers = Chunk.new_buffers(self.head, max(part.stop - part.start for part in parts))
        for part in (rows[part] for part in parts):
            chunk = Chunk(self.head, *self._rows(part), buffers)
            found = chunk.forward()
            gradients = Gradients(*self.objective.add(part, found.logp, found.entropy))
            d_states = None
            if self.d_hidden is not None and index is None:
                d_states = self.d_hidden[int(part[0]) : int(part[-1]) + 1]
            elif self.d_hidden is not None:
                d_states = torch.empty(chunk.states.shape, dtype=self.hidden.dtype)
            chunk.backward(found, gradients, d_states, self.d_weight, self.fresh)
            self.fresh = False
            if self.d_hidden is not None and d_states is not None and index is not None:
                self.d_hidden.index_copy_(0, part, d_states)

    def without_gradient(self, index: torch.Tensor | None) -> None:
        """Rows of `index` into loss and metrics alone."""
        found = self.head.statistics(*self._rows(index))
        self.objective.add(index, found.logp, found.entropy)

    def by_sequence(self, kept: torch.Tensor, cu_seqlens: torch.Tensor) -> None:
        """All log-probs first, since a ratio is its whole response's; then the gradients, from logits formed anew."""
        index = _index(kept)
        states, targets = self._rows(index)
        found = self.head.statistics(states, targets)
        logp = spread(found.logp, index, self.targets.shape)
        log_ratio = pick(response_log_ratio(logp, self.objective.old, kept, cu_seqlens), index)
        gradients = Gradients(*self.objective.add(index, found.logp, found.entropy, log_ratio))
        d_states = None if self.d_hidden is None else torch.empty_like(states)
        if d_states is not None or self.d_weight is not None:
            self.head.backward(states, targets, found, gradients, d_states, self.d_weight, self.fresh)
        if d_states is not None:
            self.d_hidden = spread(d_states, index, self.hidden.shape)

    def _rows(self, index: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        return pick(self.hidden, index), pick(self.targets, index).contiguous()
