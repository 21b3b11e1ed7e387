"""The update of a step: micro-batches through loss and backward, one optimizer step per `queries_per_update`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rerec_engine.config import Config
from rerec_engine.critic import Critic
from rerec_engine.loss import linear_policy_loss, loss_denominator, merge_metrics, value_loss
from rerec_engine.policy import Policy
from rerec_engine.types import Batch


def micro_batches(batch: Batch, rows: np.ndarray, max_tokens: int) -> Iterator[np.ndarray]:
    """Response indices, longest sequences together, so that padded tokens stay within `max_tokens` a micro-batch."""
    sizes = np.array([len(batch.prompt_ids[batch.group[i]]) for i in rows]) + batch.lengths[rows]
    order = rows[np.argsort(-sizes, kind="stable")]
    sizes = np.sort(sizes)[::-1]
    start = 0
    while start < len(order):
        count = max(1, max_tokens // int(sizes[start]))
        yield order[start : start + count]
        start += count


def token_index(batch: Batch, rows: np.ndarray) -> np.ndarray:
    """Positions of the rows' tokens in the packed batch, in the rows' order, int64."""
    spans = [np.arange(batch.cu_seqlens[i], batch.cu_seqlens[i + 1]) for i in rows]
    return np.concatenate(spans) if spans else np.zeros(0, np.int64)


class Updater:
    """Owns the optimizers. `reference` is the frozen start of training, for the KL term; `critic` is PPO's."""

    def __init__(self, policy: Policy, config: Config, reference: Policy | None, critic: Critic | None) -> None:
        self.policy, self.config, self.reference, self.critic = policy, config, reference, critic
        self.optimizers = {"policy": _adamw(policy.model, config, config.optim.learning_rate)}
        if critic is not None:
            self.optimizers["critic"] = _adamw(critic, config, config.optim.critic_learning_rate)
        self.skipped = 0
        """Optimizer steps left out so far because a gradient was not finite."""

    def values(self, batch: Batch) -> Tensor:
        """The critic's values of all response tokens, [T] float32."""
        assert self.critic is not None
        values = torch.zeros(len(batch.token_ids), device=self.policy.device)
        rows = np.arange(len(batch.finish))
        for part in micro_batches(batch, rows, self.config.train.tokens_per_micro_batch):
            with torch.no_grad(), self.policy.autocast():
                index = torch.from_numpy(token_index(batch, part)).to(values.device)
                values[index] = self.critic.values([batch.row(i) for i in part])
        return values

    def update(self, batch: Batch, step: int) -> dict[str, float]:
        """Train on the batch; returns the metrics of the step. `step` counts from 1."""
        config = self.config
        self._set_learning_rate(step)
        if config.model.gradient_checkpointing:
            self.policy.model.train()
        parts: list[dict[str, Tensor]] = []
        norms: list[float] = []
        mismatch = 0.0
        per_update = config.train.queries_per_update
        for first in range(0, len(batch.queries), per_update):
            rows = np.nonzero((batch.group >= first) & (batch.group < first + per_update))[0]
            found = self._accumulate(batch, rows)
            gaps = [float(part.pop("logprob_mismatch_max")) for part in found]
            mismatch = max(gaps, default=0.0) if first == 0 else mismatch  # later updates see changed weights
            parts += found
            norms.append(self._step() if found else 0.0)
        self.policy.model.eval()
        metrics = merge_metrics(parts)
        trained = metrics.pop("tokens", 0.0)
        return {
            **metrics,
            "trained_tokens": trained,
            "logprob_mismatch_max": mismatch,
            "grad_norm": float(np.mean(norms)),
            "learning_rate": self.optimizers["policy"].param_groups[0]["lr"],
            "skipped_updates": float(self.skipped),
        }

    def _accumulate(self, batch: Batch, rows: np.ndarray) -> list[dict[str, Tensor]]:
        """Gradients of one update; metrics of its micro-batches."""
        loss_config = self.config.loss
        denominator = loss_denominator(loss_config, batch.lengths[rows], self.config.rollout.max_new_tokens)
        tokens = float(batch.lengths[rows].sum())
        parts = []
        for part in micro_batches(batch, self._needed(batch, rows), self.config.train.tokens_per_micro_batch):
            parts.append(self._micro_batch(batch, part, denominator, tokens))
        return parts

    def _needed(self, batch: Batch, rows: np.ndarray) -> np.ndarray:
        """Rows that can have a gradient: without KL, entropy bonus and critic, those with an advantage."""
        if self.config.loss.beta or self.config.loss.entropy or self.critic is not None:
            return rows
        assert batch.advantages is not None
        live = np.concatenate([[0], np.cumsum(batch.advantages.cpu().numpy() != 0)])
        return rows[live[batch.cu_seqlens[rows + 1]] > live[batch.cu_seqlens[rows]]]

    def _micro_batch(self, batch: Batch, part: np.ndarray, denominator: float, tokens: float) -> dict[str, Tensor]:
        config, device = self.config, self.policy.device
        assert batch.advantages is not None
        flat = token_index(batch, part)
        index = torch.from_numpy(flat).to(device)
        rows = [batch.row(i) for i in part]
        temperature = config.rollout.temperature
        hidden, targets = self.policy.response_states(rows)
        sampled = torch.from_numpy(batch.rollout_logprobs[flat]).to(device)
        reference = None
        if self.reference is not None:
            with torch.no_grad():
                reference, _ = self.reference.token_logprobs(rows, temperature, return_entropy=False)
        bounds = torch.from_numpy(np.concatenate([[0], np.cumsum(batch.lengths[part])])).to(device)
        advantages = batch.advantages.to(device)[index]
        loss, metrics = linear_policy_loss(
            hidden,
            self.policy.head,
            targets,
            sampled,
            reference,
            advantages,
            config.loss,
            temperature=temperature,
            softcap=self.policy.softcap,
            cu_seqlens=bounds,
            denominator=denominator,
        )
        metrics["logprob_mismatch_max"] = metrics.pop("log_ratio_max")
        if self.critic is not None:
            assert batch.values is not None
            assert batch.returns is not None
            with self.policy.autocast():
                values = self.critic.values(rows)
            error, more = value_loss(
                values, batch.values[index], batch.returns.to(device)[index], config.loss, denominator=tokens
            )
            loss, metrics = loss + error, {**metrics, **more}
        loss.backward()
        metrics["loss"] = loss.detach() * denominator / max(len(flat), 1)
        return dict(metrics)

    def _step(self) -> float:
        """Clip and step; returns the policy's gradient norm. A gradient that is not finite changes nothing."""
        limit = self.config.optim.max_grad_norm
        norm = float(torch.nn.utils.clip_grad_norm_(self.policy.model.parameters(), limit))
        finite = math.isfinite(norm)
        if self.critic is not None:
            finite &= math.isfinite(float(torch.nn.utils.clip_grad_norm_(self.critic.parameters(), limit)))
        for optimizer in self.optimizers.values():
            if finite:
                optimizer.step()
            optimizer.zero_grad()
        self.skipped += not finite
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

    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = {name: o.state_dict() for name, o in self.optimizers.items()}
        if self.critic is not None:
            state["critic_weights"] = self.critic.state_dict()
        return {**state, "skipped": self.skipped}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state[name])
        if self.critic is not None:
            self.critic.load_state_dict(state["critic_weights"])
        self.skipped = state["skipped"]


def _adamw(module: torch.nn.Module, config: Config, learning_rate: float) -> torch.optim.AdamW:
    optim = config.optim
    return torch.optim.AdamW(
        module.parameters(),
        lr=learning_rate,
        betas=(optim.beta1, optim.beta2),
        weight_decay=optim.weight_decay,
        fused=True,
    )
