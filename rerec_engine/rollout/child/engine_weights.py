"""vLLM's side of a weight push: an extension of its worker class that loads from shared memory.

It works in vLLM's own processes where there are some (tensor parallelism); they find it by this file's name.
"""

from __future__ import annotations

import math
import mmap
import os
from typing import Any

import torch
import vllm._custom_ops
import vllm.model_executor.layers.utils as layer_utils

Layout = list[tuple[str, str, tuple[int, ...], int]]
"""Name, dtype, shape and offset in bytes of each tensor."""

# On a CPU vLLM repacks weights for its matrix products. A packed copy does not see a push: layers load nothing at all,
# a tied LM head keeps the old weights without a word. Both packers are left out, so that weights stay what they are.
vllm._custom_ops._supports_onednn = False
layer_utils.check_cpu_sgl_kernel = lambda *_: False


class SharedWeights:
    """Mixed into vLLM's worker class: `collective_rpc("load_shared", ...)`."""

    shared_memory: mmap.mmap | None = None
    shared_layout: Layout
    model_runner: Any

    def load_shared(self, path: str, size: int, layout: Layout | None) -> list[str]:
        """Load all tensors. layout: None where it is as before. Returns the parameters that nothing was loaded into."""
        if layout is not None:
            self.shared_layout = layout
            descriptor = os.open(path, os.O_RDWR)
            self.shared_memory = mmap.mmap(descriptor, size)
            os.close(descriptor)
        memory = self.shared_memory
        assert memory is not None
        model = self.model_runner.get_model()
        with torch.no_grad():
            loaded = model.load_weights(
                (name, _view(memory, getattr(torch, dtype), shape, offset))
                for name, dtype, shape, offset in self.shared_layout
            )
        return sorted({name for name, _ in model.named_parameters()} - set(loaded)) if loaded else []


def _view(memory: mmap.mmap, dtype: torch.dtype, shape: tuple[int, ...], offset: int) -> torch.Tensor:
    if not math.prod(shape):
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(memory, dtype=dtype, count=math.prod(shape), offset=offset).view(shape)
