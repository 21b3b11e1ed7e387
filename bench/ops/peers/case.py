"""What every form of the log-prob and of the loss is given, what float64 says of it, and how far a result may be off.

All forms take the same tensors. Where a peer knows only an advantage per sequence, all get one that is constant over
each sequence, so that the work is the same. The weights are random: a form that skips small probabilities finds less
to skip than in a trained model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch

Op = Literal["logprob", "logprob_grad", "grpo", "grpo_frozen"]
"""Log-prob and entropy; the gradient of the mean log-prob; the GRPO loss with both gradients; and with dX alone."""
Result = dict[str, torch.Tensor]
"""Any of logp, entropy [T], loss [], d_hidden [T, H], d_weight [V, H]."""

CLIP = 0.2
PROMISED = {"fp64": (1e-9, 1e-9), "fp32": (2e-5, 1e-5), "bf16": (2e-5, 4e-3), "fp16": (2e-5, 4e-3)}
"""Ours: nats of logp, entropy and loss; relative error of a gradient. See docs/kernels.md."""
ON_TENSOR_CORES = {**PROMISED, "bf16": (2e-4, 4e-3), "fp16": (2e-4, 4e-3)}
"""Ours at a model's shape on a GPU, whose 16-bit products lose some bits of their float32 sums: the largest seen of
8,192 tokens on an H200, 5e-5 nats of logp and 1e-4 of entropy, H = 3,072; verl's kernel has the same."""
ACCEPTED = {"fp64": (1e-9, 1e-9), "fp32": (1e-3, 1e-3), "bf16": (0.2, 0.05), "fp16": (0.2, 0.05)}
"""Peers: beyond this it is another function. Logits rounded to bf16 are off by up to 0.05 nats, the entropy by up to
0.13, and are let through."""
NAMES = {torch.float64: "fp64", torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
_ROWS = 256
"""Rows of float64 logits at once."""


class Unavailable(Exception):
    """A form that cannot take part, with the reason."""


@dataclass(frozen=True)
class Case:
    hidden: torch.Tensor  # [T, H]
    weight: torch.Tensor  # [V, H]
    targets: torch.Tensor  # [T] int64
    old: torch.Tensor  # [T] float32
    lse_old: torch.Tensor  # [T] float32
    adv: torch.Tensor  # [B] float32, one a sequence of T / B tokens
    temperature: float = 1.0

    @property
    def tokens(self) -> int:
        return self.hidden.shape[0]

    @property
    def sequences(self) -> int:
        return self.adv.shape[0]

    @property
    def length(self) -> int:
        return self.tokens // self.sequences

    @cached_property
    def adv_tokens(self) -> torch.Tensor:
        return self.adv.repeat_interleave(self.length)  # [T]

    def leaves(self, frozen: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states and weight that gradients arrive at."""
        return self.hidden.detach().requires_grad_(), self.weight.detach().requires_grad_(not frozen)

    def gemm_flop(self) -> float:
        """Of one product with all logits."""
        return 2.0 * self.tokens * self.weight.shape[0] * self.weight.shape[1]


def make_case(
    tokens: int,
    width: int,
    vocabulary: int,
    sequences: int,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    zero_share: float = 0.0,
    temperature: float = 1.0,
) -> Case:
    """Random inputs with logits of standard deviation 3; the first `zero_share` of the sequences has advantage 0.

    log(new / old) lies within 0.05 for most tokens and at +-0.4 for the others: clipped or not, always so far from the
    clip's edges (-0.22, 0.18) that no rounding of a log-prob moves a token across one.
    """
    if tokens % sequences:
        raise ValueError(f"tokens must be a multiple of sequences, got {tokens} and {sequences}")
    make = torch.Generator(device).manual_seed(0)
    normal = dict(generator=make, device=device, dtype=torch.float32)
    hidden = torch.randn(tokens, width, **normal).to(dtype)
    weight = torch.empty(vocabulary, width, device=device, dtype=dtype)
    for part in weight.split(8192):
        part.copy_(torch.randn(part.shape, **normal) * (3 * width**-0.5))
    targets = torch.randint(vocabulary, (tokens,), generator=make, device=device)
    log_ratio = (torch.rand(tokens, **normal) - 0.5) * 0.1  # [T]
    log_ratio = torch.where(torch.rand(tokens, **normal) < 0.2, log_ratio.sign() * 0.4, log_ratio)
    adv = torch.randn(sequences, **normal)
    adv[: int(sequences * zero_share)] = 0.0
    empty = torch.zeros(tokens, device=device)
    truth = Truth.of(Case(hidden, weight, targets, empty, empty, adv, temperature))
    old = (truth.logp - log_ratio).float()
    lse_old = (truth.lse + 0.05 * torch.randn(tokens, **normal)).float()
    return Case(hidden, weight, targets, old, lse_old, adv, temperature)


@dataclass(frozen=True)
class Truth:
    """What float64 makes of a case, [T] each."""

    logp: torch.Tensor
    entropy: torch.Tensor
    lse: torch.Tensor

    @classmethod
    def of(cls, case: Case) -> Truth:
        logp, entropy, lse = (torch.empty(case.tokens, device=case.hidden.device, dtype=torch.float64) for _ in "abc")
        weight = case.weight.double()
        for part in _parts(case.tokens):
            z = case.hidden[part].double() @ weight.T / case.temperature  # [C, V]
            lse[part] = z.logsumexp(1)
            logp[part] = z.gather(1, case.targets[part, None]).squeeze(1) - lse[part]
            entropy[part] = lse[part] - (z - lse[part, None]).exp_().mul_(z).sum(1)
        return cls(logp, entropy, lse)

    def errors(self, case: Case, op: Op, result: Result) -> dict[str, float]:
        """Largest error of logp and entropy, error of the loss, in nats; relative error of the gradients, on a
        sample of rows of `d_hidden` and of `d_weight`."""
        found = {name: _largest(result[name], getattr(self, name)) for name in ("logp", "entropy") if name in result}
        loss, g = self._loss(case, op)
        if "loss" in result:
            found["loss"] = _largest(result["loss"], loss)
        if "d_hidden" in result:
            rows = torch.linspace(0, case.tokens - 1, min(case.tokens, 64), device=g.device).long()
            found["d_hidden"] = _relative(result["d_hidden"][rows], self._d_hidden(case, g, rows))
        if "d_weight" in result:
            words = case.targets[:: max(1, case.tokens // 64)]
            words = torch.cat([words, torch.arange(min(64, case.weight.shape[0]), device=g.device)]).unique()
            found["d_weight"] = _relative(result["d_weight"][words], self._d_weight(case, g, words))
        return found

    def _loss(self, case: Case, op: Op) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss and its derivative with respect to every log-prob, [T]."""
        if op in ("logprob", "logprob_grad"):
            return self.logp.mean(), torch.full_like(self.logp, 1 / case.tokens)
        adv = case.adv_tokens.double()
        ratio = (self.logp - case.old.double()).exp()
        free, clipped = ratio * adv, ratio.clamp(1 - CLIP, 1 + CLIP) * adv
        return -torch.minimum(free, clipped).mean(), torch.where(clipped < free, 0.0, -free) / case.tokens

    def _d_hidden(self, case: Case, g: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        weight = case.weight.double()
        p = (case.hidden[rows].double() @ weight.T / case.temperature - self.lse[rows, None]).exp()  # [R, V]
        return g[rows, None] / case.temperature * (weight[case.targets[rows]] - p @ weight)

    def _d_weight(self, case: Case, g: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        total = torch.zeros(len(words), case.hidden.shape[1], device=g.device, dtype=torch.float64)
        weight = case.weight[words].double()
        for part in _parts(case.tokens, 8192):
            states = case.hidden[part].double()
            dz = -(states @ weight.T / case.temperature - self.lse[part, None]).exp()  # [C, W]
            dz += case.targets[part, None] == words
            total += (dz * (g[part, None] / case.temperature)).T @ states
        return total


def faults(errors: dict[str, float], dtype: torch.dtype, limits: dict[str, tuple[float, float]]) -> dict[str, float]:
    """The errors that are larger than the limits allow; NaN is."""
    nats, relative = limits[NAMES[dtype]]
    return {name: error for name, error in errors.items() if not error <= (relative if name.startswith("d_") else nats)}


def _parts(count: int, size: int = _ROWS) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _largest(found: torch.Tensor, truth: torch.Tensor) -> float:
    if found.shape != truth.shape:
        raise ValueError(f"expected {list(truth.shape)}, got {list(found.shape)}")
    return float((found.detach().double() - truth).abs().max())


def _relative(found: torch.Tensor, truth: torch.Tensor) -> float:
    difference, size = (found.double() - truth).norm(), truth.norm()
    return float(difference / size) if size > 0 else float(difference)
