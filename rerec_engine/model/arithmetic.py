"""Which arithmetic a model is computed in: bf16 where this processor multiplies it clearly faster than fp32."""

from __future__ import annotations

import functools
import json
import time
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from rerec_engine.model.chat import tell_once
from rerec_engine.ops.native.onednn import multiply_with_onednn

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
AUTO = "auto"
WIDTHS = ("hidden_size", "n_embd", "d_model", "dim")
"""What configurations call a model's width."""
NARROW = 512
"""Units; a narrower model, such as those made on the spot, is computed in fp32 whatever the processor."""
WIDEST, ROWS, FEW_ROWS = 1024, 256, 32
"""Of the products that are timed: widths beyond, and more rows, have the same rate."""
CLEAR = 1.3
"""Times as fast as fp32 that bf16 must be: less is lost again in what surrounds the products."""


def resolve_dtype(asked: str, directory: Path, device: torch.device) -> Literal["fp32", "bf16"]:
    """fp32 or bf16, as asked. For `auto`: bf16 for a model of at least `NARROW` units on a CPU that multiplies it
    `CLEAR` times as fast, which is told once; else fp32.

    directory: the model's, of whose config.json the width is read.
    """
    if asked != AUTO:
        return "bf16" if asked == "bf16" else "fp32"
    width = width_of(directory)
    if device.type != "cpu" or width < NARROW:
        return "fp32"
    multiply_with_onednn()  # as the model will: fp32 may then be twice as fast
    if (times := speedup(min(width, WIDEST))) < CLEAR:
        return "fp32"
    tell_once(f"arithmetic in bf16, which this processor multiplies {times:.1f} times as fast as fp32 (see --dtype)")
    return "bf16"


def name_of(dtype: torch.dtype) -> str:
    """fp32 or bf16."""
    return next(name for name, known in DTYPES.items() if known == dtype)


def width_of(directory: Path) -> int:
    """Units of a model's hidden states; 0 where its config.json does not say."""
    try:
        config: Any = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0
    parts = [config, config.get("text_config")] if isinstance(config, dict) else []
    named = [part[name] for part in parts if isinstance(part, dict) for name in WIDTHS if name in part]
    return next((width for width in named if isinstance(width, int)), 0)


@functools.cache
def speedup(width: int) -> float:
    """How many times as fast as in fp32 this CPU multiplies in bf16 at this width.

    The least of several times each, in turn, of the processor time of one thread: other processes then disturb little.
    A few rows first: where bf16 is emulated it takes a hundred times as long.
    """
    threads = torch.get_num_threads()
    own = torch.Generator().manual_seed(0)  # a run's draws stay as they are
    weight, few, many = (torch.randn(rows, width, generator=own) for rows in (4 * width, FEW_ROWS, ROWS))
    torch.set_num_threads(1)
    try:
        first = _ratio(few, weight, 2)
        return first if first < 0.5 else _ratio(many, weight, 5)
    finally:
        torch.set_num_threads(threads)


def _ratio(x: Tensor, weight: Tensor, times: int) -> float:
    pairs = [(x.to(dtype), weight.to(dtype)) for dtype in (torch.float32, torch.bfloat16)]
    taken: list[list[float]] = [[], []]
    with torch.inference_mode():
        for _ in range(times + 1):
            for (rows, columns), seconds in zip(pairs, taken, strict=True):
                begin = time.thread_time()
                torch.nn.functional.linear(rows, columns)
                seconds.append(time.thread_time() - begin)
    fp32, bf16 = (min(seconds[1:]) for seconds in taken)  # the first sets up
    return fp32 / max(bf16, 1e-9)
