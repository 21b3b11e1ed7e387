"""Muon: momentum whose matrices are orthogonalised, for the warm start of the model made on the spot.

After Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024). torch.optim.Muon does the same,
but orthogonalises in bf16 one matrix at a time, which a CPU without bf16 arithmetic does slowly; here it is fp32, and
matrices of one shape go together.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of the Newton-Schulz iteration, which bring all singular values near 1 in five rounds."""


def orthogonalise(matrices: Tensor, rounds: int = 5) -> Tensor:
    """The nearest semi-orthogonal matrices, roughly: [n, r, c] -> [n, r, c], singular values in about 0.7..1.2."""
    a, b, c = QUINTIC
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(rounds):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """For 2-D hidden weights [r, c]: Nesterov momentum, orthogonalised, scaled by sqrt(max(1, r / c))."""

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                average = state.setdefault("average", torch.zeros_like(parameter))
                average.lerp_(parameter.grad, 1 - group["momentum"])
                direction = parameter.grad.lerp(average, group["momentum"])
                by_shape.setdefault(parameter.shape, []).append((parameter, direction))
            for shape, pairs in by_shape.items():
                scale = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                for (parameter, _), way in zip(pairs, orthogonalise(torch.stack([d for _, d in pairs])), strict=True):
                    parameter.add_(way, alpha=-scale)
