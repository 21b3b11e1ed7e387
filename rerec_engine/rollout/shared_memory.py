"""Weights in shared memory that has no name: it goes with the last process that holds it, however that one ends."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from rerec_engine.errors import RunError, UserError

Layout = list[tuple[str, str, tuple[int, ...], int]]
"""Name, dtype, shape and offset in bytes of each tensor."""
ALIGNMENT = 64


class WeightMemory:
    """Holds one copy of a model's weights for another process. `descriptor` is passed to it; `size` is in bytes.

    Raises UserError on a system without such memory.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        if not hasattr(os, "memfd_create"):
            raise UserError("rollout.engine vllm: needs Linux, for memory that two processes share; use sampler")
        self.dtype = dtype
        self.descriptor = os.memfd_create("rerec-weights")
        self.size = 0
        self._layout: Layout = []

    def write(self, named: Iterable[tuple[str, Tensor]]) -> Layout | None:
        """Write all tensors, floating ones as `dtype`; returns their layout, or None where it is the last call's.

        One tensor at a time is held in host memory besides.
        """
        layout: Layout = []
        end = 0
        for name, tensor in named:
            dtype = self.dtype if tensor.is_floating_point() else tensor.dtype
            whole = tensor.detach().to("cpu", dtype).contiguous()
            start = -(-end // ALIGNMENT) * ALIGNMENT
            layout.append((name, str(dtype).removeprefix("torch."), tuple(whole.shape), start))
            end = start + self._put(whole, start)
        if end > self.size:
            os.ftruncate(self.descriptor, end)
        if layout == self._layout:
            return None
        self._layout, self.size = layout, end
        return layout

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _put(self, tensor: Tensor, offset: int) -> int:
        array: Any = tensor.reshape(-1).view(torch.uint8).numpy()
        data = memoryview(array)
        done = 0
        while done < len(data):
            try:
                done += os.pwrite(self.descriptor, data[done:], offset + done)
            except OSError as error:
                raise RunError(
                    f"no memory for the {(offset + len(data)) >> 20} MB or more of weights that are shared with the "
                    f"rollout engine: {error.strerror}"
                ) from error
        return len(data)
