"""What a warm start's updates are made with: optimizers and learning rates, by what is trained.

A model made on the spot begins with nothing: Muon for the layers' matrices needs half of AdamW's updates. A pretrained
model is to move little, and at its size Muon's products take half as long as the pass itself: AdamW alone, at a lower
rate. An adapter begins with nothing again and bears ten times the rate of whole weights (Schulman et al., "LoRA Without
Regret", 2025).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from rerec_engine.config import WarmStartConfig
from rerec_engine.model.policy import Policy
from rerec_engine.training.muon import Muon

Start = Literal["made", "pretrained", "adapter"]
RATES: dict[Start, float] = {"made": 3e-3, "pretrained": 1e-4, "adapter": 1e-3}
"""AdamW's peak learning rates."""
MATRIX_RATE = 0.02
"""Muon's."""
WARMUP_STEPS, WARMUP_SHARE = 50, 0.05
FINAL_SHARE = 0.1

Optimizers = list[tuple[torch.optim.Optimizer, float]]
"""Optimizers and their peak learning rates."""


def start_of(policy: Policy, pretrained: bool) -> Start:
    """What is trained: a model made on the spot, all weights of a pretrained one, or an adapter on them."""
    return "adapter" if policy.adapted else "pretrained" if pretrained else "made"


def make_optimizers(model: torch.nn.Module, start: Start, config: WarmStartConfig) -> Optimizers:
    """AdamW for all that is trained; Muon for the layers' matrices of a model made on the spot, and of a pretrained one
    where `matrix_learning_rate` is set."""
    matrix_rate = config.matrix_learning_rate or (MATRIX_RATE if start == "made" else None)
    if start == "adapter" or matrix_rate is None:
        rate = config.learning_rate or RATES[start]
        return [(_adamw([p for p in model.parameters() if p.requires_grad], rate, beta2=0.95), rate)]
    embedding: Any = model
    tied = {id(embedding.get_input_embeddings().weight), id(embedding.get_output_embeddings().weight)}
    matrices = [p for p in model.parameters() if p.ndim == 2 and id(p) not in tied]
    rest = [p for p in model.parameters() if p.ndim != 2 or id(p) in tied]
    rate = config.learning_rate or RATES["made"]
    return [(Muon(matrices, matrix_rate), matrix_rate), (_adamw(rest, rate, beta2=0.98), rate)]


def set_rates(optimizers: Optimizers, step: int, steps: int, warmup: int) -> float:
    """The learning rates of update `step` of `steps`, from 0; returns them as a share of their peaks.

    They rise over `warmup` updates and fall linearly to a tenth at the end.
    """
    decay = FINAL_SHARE + (1 - FINAL_SHARE) * (1 - step / steps)
    share = min(1.0, (step + 1) / max(1, warmup)) * decay
    for optimizer, rate in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate * share
    return share


def warmup_steps(config: WarmStartConfig, start: Start, steps: int) -> int:
    """Updates over which the rates rise."""
    if config.warmup_steps is not None:
        return config.warmup_steps
    return WARMUP_STEPS if start == "made" else round(WARMUP_SHARE * steps)


def _adamw(parameters: Sequence[Tensor], rate: float, beta2: float) -> torch.optim.AdamW:
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01, betas=(0.9, beta2), fused=True)
