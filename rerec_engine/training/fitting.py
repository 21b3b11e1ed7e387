"""How large the passes of a model are, and whether they keep their activations, by the memory that there is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from transformers import PreTrainedModel

from rerec_engine.config import Config

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")
PASS_TOKENS = 16384
"""Of a pass at most, where nothing speaks against it."""
CPU_BYTES = 3 << 30
"""Of activations in a pass on a CPU, where larger passes are no faster: fresh pages cost what they save."""
FEWEST_TOKENS = 512
FREE_SHARE = 0.5
"""Of the memory that is free, which the activations may take: gradients, optimizer and rollouts need the rest."""


def fitted(config: Config, model: PreTrainedModel, device: torch.device) -> Config:
    """The settings with `train.tokens_per_micro_batch` and `model.gradient_checkpointing` as they are for this model.

    The first goes by the model alone, so that a run that is continued makes the same passes. The second goes by the
    memory that is free now, and changes no number.
    """
    per_token = activation_bytes(model)
    tokens = config.train.tokens_per_micro_batch
    if tokens is None:
        tokens = PASS_TOKENS
        if device.type == "cpu":
            tokens = max(FEWEST_TOKENS, min(tokens, CPU_BYTES // per_token))
    again = config.model.gradient_checkpointing
    if again is None:
        free = free_memory(device)
        again = free is not None and tokens * per_token > FREE_SHARE * free
    train = replace(config.train, tokens_per_micro_batch=tokens)
    return replace(config, train=train, model=replace(config.model, gradient_checkpointing=again))


def activation_bytes(model: PreTrainedModel) -> int:
    """Bytes that a token's forward pass leaves for the backward pass, about: 14 states of the model's width a layer and
    4 of the feed-forward one, in float32. SmolLM2 of 135 M parameters: 1.7 MB, 1.8 measured."""
    config = model.config.get_text_config()
    width, layers = int(getattr(config, "hidden_size", 1)), int(getattr(config, "num_hidden_layers", 1))
    inner = getattr(config, "intermediate_size", None)
    inner = inner if isinstance(inner, int) else 4 * width
    return layers * (14 * width + 4 * inner) * torch.float32.itemsize


def free_memory(device: torch.device) -> int | None:
    """Bytes that a process may still take there; None where that is not told."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return None
    try:  # of a container
        limit, taken = (int((CGROUP / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):
        return free
    return min(free, limit - taken)
