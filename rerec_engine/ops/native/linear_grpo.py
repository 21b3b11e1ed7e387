"""`linear_grpo_loss` on a CPU: three matrix products, the logits of a chunk of rows kept between loss and gradient."""

from __future__ import annotations

import torch

from rerec_engine.ops.native.head import Chunk, Gradients, Head
from rerec_engine.ops.native.policy_gradient import LossSums, Precomputed, shared_ratios
from rerec_engine.ops.native.rows import pick, spread
from rerec_engine.ops.objective import Objective
from rerec_engine.ops.types import Loss, LossTokens, Ratio, Savings, States


def linear_grpo_loss(states: States, tokens: LossTokens, objective: Objective, savings: Savings) -> Loss:
    """See `rerec_engine.ops.linear_grpo_loss`. `lse_old` is not needed here."""
    hidden, weight, targets = states
    kept, grad_weight_out = tokens.kept, savings.grad_weight_out
    live = kept if objective.moves_every_token else kept & (tokens.adv != 0)  # rows that may have a gradient
    enabled = torch.is_grad_enabled()
    wanted = enabled and (hidden.requires_grad or weight.requires_grad)
    rows = _Rows(hidden, weight, targets.long(), tokens, objective, savings.workspace_mb)
    if enabled:
        rows.want_gradients(hidden.requires_grad, weight.requires_grad, grad_weight_out)

    def job() -> None:
        if objective.shares_ratios:
            rows.with_shared_ratios(objective.ratio)
            return
        rows.with_gradient(_index(live))
        if not savings.skip_zero_advantage:
            rows.without_gradient(_index(kept & ~live))

    rows.head.drive(job)
    loss, metrics = rows.sums.loss(), rows.sums.metrics(entropy=True)
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
        tokens: LossTokens,
        objective: Objective,
        workspace_mb: float | None,
    ) -> None:
        self.hidden, self.targets, self.tokens = hidden.detach(), targets, tokens
        self.sums = LossSums(tokens, objective)
        self.head = Head(hidden, weight, objective.temperature, objective.softcap, targets.numel())
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
            gradients = Gradients(*self.sums.add(part, found.logp, found.entropy))
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
        self.sums.add(index, found.logp, found.entropy)

    def with_shared_ratios(self, ratio: Ratio) -> None:
        """All log-probs first, since a ratio is that of several tokens; then the gradients, from logits formed anew."""
        index = _index(self.tokens.kept)
        states, targets = self._rows(index)
        found = self.head.statistics(states, targets)
        logp = spread(found.logp, index, self.targets.shape)
        log_ratio = pick(shared_ratios(logp, self.tokens, ratio), index)
        gradients = Gradients(*self.sums.add(index, found.logp, found.entropy, log_ratio))
        d_states = None if self.d_hidden is None else torch.empty_like(states)
        if d_states is not None or self.d_weight is not None:
            self.head.backward(states, targets, found, gradients, d_states, self.d_weight, self.fresh)
        if d_states is not None:
            self.d_hidden = spread(d_states, index, self.hidden.shape)

    def _rows(self, index: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        return pick(self.hidden, index), pick(self.targets, index).contiguous()
