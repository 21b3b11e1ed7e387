"""The update of a step: micro-batches through loss and backward, one optimizer step per `queries_per_update`."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from rerec_engine.config import Config
from rerec_engine.constrain.titles import AnswerTitles
from rerec_engine.errors import RunError
from rerec_engine.model.critic import Critic
from rerec_engine.model.lora import without_adapter
from rerec_engine.model.memory import checkpointed, on_device
from rerec_engine.model.policy import Policy
from rerec_engine.model.ranks import Ranks, whole
from rerec_engine.model.sequences import Row
from rerec_engine.ops.types import AllowedTokens, Loss
from rerec_engine.training.batches import Batch, ForwardPasses, TrainingBatch
from rerec_engine.training.entries import ratio_runs
from rerec_engine.training.fitting import PASS_TOKENS
from rerec_engine.training.importance import effective_sample_size, mismatch
from rerec_engine.training.loss import (
    join_losses,
    linear_policy_loss,
    loss_denominator,
    merge_metrics,
    policy_loss,
    value_loss,
)
from rerec_engine.training.shares import rank_share

FLAT = StateDictOptions(flatten_optimizer_state_dict=True)
TRAINED, LOADED = StateDictOptions(ignore_frozen_params=True), StateDictOptions(strict=False)
GAP = ("log_ratio_mean", "log_ratio_max", "ratio_square_mean")
"""Metrics of the loss that tell about the rollout engine rather than the update."""


class Updater:
    """Owns the optimizers. `reference` is the frozen start of training, for the KL term; `critic` is PPO's; `titles`
    are those that answers were constrained to.

    Among several ranks each one trains on its share of the rows; gradients, and the metrics, are those of the whole.
    """

    def __init__(
        self,
        policy: Policy,
        config: Config,
        reference: Policy | None,
        critic: Critic | None,
        ranks: Ranks | None = None,
        titles: AnswerTitles | None = None,
    ) -> None:
        self.policy, self.config, self.reference, self.critic = policy, config, reference, critic
        self.titles = titles
        self.ranks = ranks or Ranks()
        self.optimizers = {"policy": _adamw(policy.model, config, config.optim.learning_rate)}
        if critic is not None:
            self.optimizers["critic"] = _adamw(critic, config, config.optim.critic_learning_rate)
        self.skipped = 0
        """Optimizer steps left out so far because a gradient was not finite."""
        self.skipped_in_a_row = 0

    def forward_passes(self, batch: Batch) -> ForwardPasses:
        """What needs a forward pass before the advantages: reference and own log-probs, the critic's values."""
        reference, own, values = None, None, None
        if self.reference is not None:
            # FSDP sees to a sharded one's place itself.
            with nullcontext() if self.reference.sharded else on_device(self.reference.model, self.policy.device):
                reference = self._logprobs(self.reference, batch)
        elif self.config.loss.beta and self.policy.adapted:
            with without_adapter(self.policy.model):
                reference = self._logprobs(self.policy, batch)
        if self.config.loss.importance_cap:
            own = self._logprobs(self.policy, batch)
        if (critic := self.critic) is not None:
            values = self._every_token(batch, lambda part: critic(_rows(batch, part)))
        return ForwardPasses(reference, own, values)

    def update(self, batch: TrainingBatch, step: int) -> dict[str, float]:
        """Train on the batch; returns the metrics of the step. `step` counts from 1."""
        config = self.config
        self._set_learning_rate(step)
        batch = batch.on(self.policy.device)
        parts: list[dict[str, float]] = []
        norms: list[float] = []
        gap = mismatch(batch.old_logprobs.cpu(), batch.rollout_logprobs) if config.loss.importance_cap else None
        per_update = config.train.queries_per_update
        with checkpointed(self.policy.model):
            for first in range(0, len(batch.queries), per_update):
                rows = batch.rows[(batch.group >= first) & (batch.group < first + per_update)]
                found = self._accumulate(batch, rows)
                gap = _gap(found) if gap is None else gap  # the first update's: later ones see changed weights
                parts += found
                norms.append(self._step() if found else 0.0)
        metrics = merge_metrics(parts)
        trained = metrics.pop("tokens", 0.0)
        return {
            **{name: value for name, value in metrics.items() if name not in GAP},
            **(gap or {}),
            "trained_tokens": trained,
            "grad_norm": float(np.mean(norms)),
            "learning_rate": self.optimizers["policy"].param_groups[0]["lr"],
            "skipped_updates": float(self.skipped),
        }

    def _logprobs(self, policy: Policy, batch: Batch) -> Tensor:
        temperature = self.config.rollout.temperature
        found = self._every_token(
            batch,
            lambda part: policy.token_logprobs(_rows(batch, part), temperature, False, self._allowed(batch, part))[0],
            policy.autocast(),
        )
        policy.reshard()
        return found

    def _every_token(
        self, batch: Batch, compute: Callable[[Tensor], Tensor], context: AbstractContextManager[Any] | None = None
    ) -> Tensor:
        """One number for each response token, [T] float32, without gradients. Each rank computes its share.

        compute: those of some responses, given by their places.
        """
        found = torch.zeros(len(batch.token_ids), device=self.policy.device)
        for part, live in self._share(batch, batch.rows):
            with torch.no_grad(), context or self.policy.autocast():
                values = compute(part)
            if live:
                found[batch.token_index(part).to(found.device)] = values.float()
        return self.ranks.sum(found)

    def _share(self, batch: Batch, rows: Tensor) -> list[tuple[Tensor, bool]]:
        tokens = self.config.train.tokens_per_micro_batch or PASS_TOKENS
        return rank_share(batch, rows, tokens, self.policy.packed, self.ranks)

    def _accumulate(self, batch: TrainingBatch, rows: Tensor) -> list[dict[str, float]]:
        """Gradients of one update; metrics of all ranks' micro-batches."""
        loss_config = self.config.loss
        denominator = loss_denominator(loss_config, batch.lengths[rows], self.config.rollout.max_new_tokens)
        tokens = float(batch.lengths[rows].sum())
        parts = []
        for part, live in self._share(batch, self._needed(batch, rows)):
            metrics = self._micro_batch(batch, part, denominator, tokens, live)
            if live:
                parts.append(metrics)
        return [metrics for found in self.ranks.gather(_floats(parts)) for metrics in found]

    def _needed(self, batch: TrainingBatch, rows: Tensor) -> Tensor:
        """Rows that can have a gradient: without KL, entropy bonus and critic, those with an advantage."""
        loss = self.config.loss
        if (loss.beta and loss.kl_in == "loss") or loss.entropy or self.critic is not None:
            return rows
        live = F.pad((batch.advantages.cpu() != 0).cumsum(0), (1, 0))
        return rows[live[batch.cu_seqlens[rows + 1]] > live[batch.cu_seqlens[rows]]]

    def _micro_batch(
        self, batch: TrainingBatch, part: Tensor, denominator: float, trained: float, live: bool
    ) -> dict[str, Tensor]:
        config, device, temperature = self.config, self.policy.device, self.config.rollout.temperature
        index = batch.token_index(part).to(device)
        rows, allowed = _rows(batch, part), self._allowed(batch, part)
        cu_seqlens = F.pad(batch.lengths[part].cumsum(0), (1, 0))
        tokens: Any = dict(
            old_logprobs=batch.old_logprobs[index],
            ref_logprobs=batch.ref_logprobs[index] if batch.ref_logprobs is not None else None,
            advantages=batch.advantages[index],
            config=config.loss,
            cu_seqlens=cu_seqlens.to(device),
            denominator=denominator,
        )
        if config.loss.ratio == "entry" and batch.entries is not None:
            tokens["cu_runs"] = ratio_runs(batch.entries.of_token[index.cpu()], cu_seqlens).to(device)
        whole = config.loss.ratio != "token" or config.loss.aggregation == "sequence_mean"
        if self.policy.output.own or (whole and allowed is not None):
            loss, metrics = policy_loss(*self.policy.token_logprobs(rows, temperature, True, allowed), **tokens)
        else:
            loss, metrics = self._fused_loss(rows, allowed, temperature, tokens)
        if self.critic is not None and batch.values is not None and batch.returns is not None:
            with self.policy.autocast():
                values = self.critic(rows)
            error, more = value_loss(
                values, batch.values[index], batch.returns[index], config.loss, denominator=trained
            )
            loss, metrics = loss + error, {**metrics, **more}
        # FSDP takes the mean over ranks, but the denominators are those of all ranks' tokens.
        (loss * (self.ranks.size if live else 0)).backward()
        metrics["loss"] = loss.detach() * denominator / max(len(index), 1)
        return dict(metrics)

    def _fused_loss(
        self, rows: list[Row], allowed: AllowedTokens | None, temperature: float, tokens: dict[str, Any]
    ) -> Loss:
        """From hidden states; tokens that could not be drawn freely take the way over their log-probs."""
        scale, softcap = self.policy.output.scaling(temperature)
        hidden, targets = self.policy.response_states(rows)
        scaling: Any = dict(temperature=scale, softcap=softcap)
        if allowed is None:
            return linear_policy_loss(hidden, self.policy.head, targets, **scaling, **tokens)
        some = torch.zeros(len(targets), dtype=torch.bool, device=targets.device)
        some[allowed.at] = True
        free = linear_policy_loss(hidden, self.policy.head, targets, mask=~some, **scaling, **tokens)
        logp, entropy, _ = self.policy.allowed_logprobs(hidden[allowed.at], targets[allowed.at], temperature, allowed)
        assert entropy is not None
        zero = torch.zeros(len(targets), dtype=logp.dtype, device=logp.device)
        logp, entropy = (zero.index_copy(0, allowed.at, x) for x in (logp, entropy))
        return join_losses([free, policy_loss(logp, entropy, mask=some, **tokens)])

    def _allowed(self, batch: Batch, part: Tensor) -> AllowedTokens | None:
        """Which tokens could be drawn, where not all could, in some responses; places are those of their tokens."""
        if self.titles is None:
            return None
        tokens = batch.token_ids[batch.token_index(part)]
        bounds = F.pad(batch.lengths[part].cumsum(0), (1, 0))
        candidates = [batch.queries[g].candidates for g in batch.group[part].tolist()]
        allowed = self.titles.read(tokens, bounds, candidates)
        return allowed.on(self.policy.device) if len(allowed) else None

    def _step(self) -> float:
        """Clip and step; returns the policy's gradient norm. A gradient that is not finite changes nothing.

        Raises RunError after `train.max_skipped_updates` such gradients in a row.
        """
        limit = self.config.optim.max_grad_norm
        norm = _clip(self.policy.model, limit)
        finite = math.isfinite(norm)
        if self.critic is not None:
            finite &= math.isfinite(_clip(self.critic, limit))
        for optimizer in self.optimizers.values():
            if finite:
                optimizer.step()
            optimizer.zero_grad()
        self.skipped += not finite
        self.skipped_in_a_row = 0 if finite else self.skipped_in_a_row + 1
        if self.skipped_in_a_row == (self.config.train.max_skipped_updates or math.inf):
            raise RunError(
                f"{self.skipped_in_a_row} updates in a row had a gradient that is not finite, and changed nothing "
                "(train.max_skipped_updates): look at the rollouts, or start again with a lower optim.learning_rate"
            )
        return norm if finite else 0.0

    def _set_learning_rate(self, step: int) -> None:
        optim = self.config.optim
        done = min(1.0, (step - 1) / max(1, self.config.train.steps - 1))
        share = 1.0 - (1.0 - optim.final_share) * done
        if optim.warmup_steps:
            share *= min(1.0, step / optim.warmup_steps)
        rates = {"policy": optim.learning_rate, "critic": optim.critic_learning_rate}
        for name, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = rates[name] * share

    def state_parts(self, saved: Collection[str] | None = None) -> dict[str, Any]:
        """State of the optimizers, and the critic's weights, by name, as torch.distributed.checkpoint takes them.

        An optimizer that has not stepped yet has none. saved: names of parts to load into; their optimizers get one.
        """
        parts: dict[str, Any] = {}
        for name, optimizer in self.optimizers.items():
            if optimizer.state if saved is None else name in saved:
                parts[name] = get_optimizer_state_dict(self._module(name), optimizer, options=FLAT)
        if self.critic is not None:
            parts["critic_weights"] = get_model_state_dict(self.critic, options=TRAINED)
        return parts

    def load_state_parts(self, parts: dict[str, Any]) -> None:
        """Take over what was loaded into `state_parts(saved)`."""
        for name, optimizer in self.optimizers.items():
            if name in parts:
                set_optimizer_state_dict(self._module(name), optimizer, parts[name], options=FLAT)
        if self.critic is not None:
            set_model_state_dict(self.critic, parts["critic_weights"], options=LOADED)

    def _module(self, name: str) -> torch.nn.Module:
        module = self.policy.model if name == "policy" else self.critic
        assert module is not None
        return module


def _rows(batch: Batch, part: Tensor) -> list[Row]:
    return [batch.row(i) for i in part.tolist()]


def _clip(module: torch.nn.Module, limit: float) -> float:
    """Clip a module's gradients to a norm of `limit`; returns the norm before."""
    return float(whole(torch.nn.utils.clip_grad_norm_(module.parameters(), limit)))


def _floats(parts: list[dict[str, Tensor]]) -> list[dict[str, float]]:
    """Metrics as numbers, with one wait for the device instead of one a metric."""
    names = [list(part) for part in parts]
    values = torch.stack([value.double() for part in parts for value in part.values()]).tolist() if parts else []
    numbers = iter(values)
    return [{name: next(numbers) for name in part} for part in names]


def _gap(parts: list[dict[str, float]]) -> dict[str, float]:
    """`importance.mismatch` of the tokens of an update, from the loss's metrics: its ratio is against the engine."""
    merged = merge_metrics(parts)
    if not merged.get("tokens"):
        return {}
    return {
        "logprob_mismatch_mean": merged["log_ratio_mean"],
        "logprob_mismatch_max": merged["log_ratio_max"],
        "effective_sample_size": effective_sample_size(merged["ratio_mean"], merged["ratio_square_mean"]),
    }


def _adamw(module: torch.nn.Module, config: Config, learning_rate: float) -> torch.optim.AdamW:
    optim = config.optim
    return torch.optim.AdamW(
        [p for p in module.parameters() if p.requires_grad],
        lr=learning_rate,
        betas=(optim.beta1, optim.beta2),
        weight_decay=optim.weight_decay,
        fused=True,
    )
