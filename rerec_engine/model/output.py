"""From the last hidden state to the logits: what a causal LM does there, measured on the model itself.

Models scale the product with the LM head's weight (Granite, Cohere, MiniCPM), cap it (Gemma 2), or both, under a dozen
names. No name is read here: the head is made to hand out numbers that are known, and what the model makes of them is
its scale and its cap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

SIZES = (1e-2, 1.0, 1e2, 1e6)
"""Of the logits that the head hands out, one a position: from where a cap does nothing to where it is all."""
DIGITS = 6


@dataclass(frozen=True)
class Output:
    """logits = cap * tanh(scale * (hidden @ weight.T) / cap), or without the tanh where there is no cap."""

    scale: float = 1.0
    cap: float | None = None
    own: bool = False
    """It is none of these (a head with a bias, or one of several layers): the model's own logits are taken."""

    def scaling(self, temperature: float) -> tuple[float, float | None]:
        """`temperature` and `softcap` of the ops: they take hidden @ weight.T, of which both are 1 / scale."""
        return temperature / self.scale, None if self.cap is None else self.cap / self.scale

    def __call__(self, product: Tensor) -> Tensor:
        """The logits, of hidden @ weight.T."""
        logits = product if self.scale == 1 else product * self.scale
        return logits if self.cap is None else torch.tanh(logits / self.cap) * self.cap


PLAIN = Output()


@torch.no_grad()
def measure_output(model: PreTrainedModel) -> Output:
    """How `model` makes its logits, from one forward pass over four tokens. Raises what the model's forward raises."""
    head: Any = model.get_output_embeddings()
    if not isinstance(head, nn.Linear) or head.bias is not None:
        return Output(own=True)
    vocabulary = head.weight.shape[0]
    ids = (torch.arange(len(SIZES), device=model.device) + vocabulary // 2)[None] % vocabulary
    ramp = torch.linspace(-1, 1, vocabulary, device=model.device) * torch.tensor(SIZES, device=model.device)[:, None]
    taken: list[Tensor] = []

    def hand_out(_: nn.Module, inputs: tuple[Tensor, ...], found: Tensor) -> Tensor:
        taken.append(inputs[0])
        return ramp[None].to(found.device)

    hook = head.register_forward_hook(hand_out)
    try:
        logits = model(input_ids=ids, use_cache=False).logits[0].double()  # [4, V]
    finally:
        hook.remove()
    try:
        states = model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
    except Exception:  # the body alone does not run
        return Output(own=True)
    before = _before(states, taken)
    after = _after(ramp.double(), logits)
    if before is None or after is None:
        return Output(own=True)
    scale, cap = after
    return Output(_rounded(before * scale), cap)


def _before(states: Tensor, taken: list[Tensor]) -> float | None:
    """What the body's states are multiplied with before the head takes them; None where it is no number."""
    if len(taken) != 1 or taken[0].shape != states.shape:
        return None
    x, y = states.double(), taken[0].double()
    scale = float((x * y).sum() / x.square().sum())
    tolerance = 1e-4 if taken[0].dtype == torch.float32 else 2e-2
    return scale if scale > 0 and bool((y - scale * x).norm() <= tolerance * y.norm()) else None


def _after(given: Tensor, made: Tensor) -> tuple[float, float | None] | None:
    """Scale and cap by which `made` comes from `given`, [4, V] both; None where it does not."""
    if made.shape != given.shape or not made.isfinite().all():
        return None
    scale = float((given[0] * made[0]).sum() / given[0].square().sum())
    largest, cap = float(made[-1].abs().max()), None
    if scale <= 0:
        return None
    if largest < 0.5 * scale * SIZES[-1]:
        cap = _rounded(largest)
        inside = torch.atanh((made[0] / cap).clamp(-1 + 1e-9, 1 - 1e-9)) * cap
        scale = float((given[0] * inside).sum() / given[0].square().sum())
    scale = _rounded(scale)
    agrees = torch.allclose(Output(scale, cap)(given), made, rtol=1e-4, atol=1e-6)
    return (scale, cap) if agrees else None


def _rounded(x: float) -> float:
    """To the digits that float32 has: a scale of 1 is exactly 1."""
    return float(f"{x:.{DIGITS}g}")
