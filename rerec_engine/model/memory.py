"""Less device memory: activations computed twice, and weights that wait in host memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer


def enable_checkpointing(model: PreTrainedModel) -> None:
    """Make gradient checkpointing possible; `checkpointed` switches it on. Call it before an adapter is added.

    Not reentrant, so that a layer's input need not require a gradient (frozen embeddings under LoRA).
    """
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model.disable_input_require_grads()  # which transformers wants for the reentrant form alone


@contextmanager
def checkpointed(module: nn.Module) -> Iterator[None]:
    """Forward passes within keep the layers' inputs alone; the backward pass computes the rest again.

    transformers checkpoints a layer in training mode. The layers alone are put into it, not what they hold, so that
    dropout stays off. Nothing happens to a model without `enable_checkpointing`.
    """
    layers = [
        layer for layer in module.modules() if isinstance(layer, GradientCheckpointingLayer) and not layer.training
    ]
    for layer in layers:
        layer.training = True
    try:
        yield
    finally:
        for layer in layers:
            layer.training = False


def _copy(x: Tensor, device: torch.device) -> Tensor:
    return x.to(device, non_blocking=True)


@contextmanager
def on_device(module: nn.Module, device: torch.device) -> Iterator[None]:
    """A frozen module's weights on `device` within, and back where they were afterwards, unchanged and uncopied.

    For a reference that waits in host memory and is asked once a step. Host copies are pinned on the way to CUDA the
    first time, so that later ones go without a staging copy. Raises ValueError where a parameter could change.
    """
    tensors = [*module.parameters(), *module.buffers()]
    if any(x.requires_grad for x in tensors):
        raise ValueError("on_device is for frozen modules: changes on the device would be lost")
    kept = []
    for x in tensors:
        if x.device != device:
            if device.type == "cuda" and x.device.type == "cpu" and not x.is_pinned():
                x.data = x.data.pin_memory()
            kept.append((x, x.data))
            x.data = _copy(x.data, device)
    try:
        yield
    finally:
        for x, home in kept:
            x.data = home
