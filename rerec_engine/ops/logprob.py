"""`token_logprob`: log-probability, entropy and log-sum-exp of target tokens, straight from hidden states."""

from __future__ import annotations

import torch

from rerec_engine.ops.dispatch import implementation
from rerec_engine.ops.objective import check_scaling
from rerec_engine.ops.types import TokenLogprob

_INDEX_TYPES = (torch.int64, torch.int32)


def token_logprob(
    hidden: torch.Tensor,  # [T, H]
    weight: torch.Tensor,  # [V, H]
    targets: torch.Tensor,  # [T] int64
    *,
    temperature: float = 1.0,
    softcap: float | None = None,
    rows: torch.Tensor | None = None,  # [T] bool
    return_entropy: bool = True,
    workspace_mb: float | None = None,
) -> TokenLogprob:
    """Log-probability of each target under `softmax(z)`, its entropy and log-sum-exp, in nats.

    `z = cap(hidden @ weight.T) / temperature` with `cap(x) = softcap * tanh(x / softcap)` (the identity for None), and

        lse = log sum_v exp z_v,    logp = z_target - lse,    entropy = lse - sum_v softmax(z)_v z_v

    The [T, V] logits never exist at once: chunks of them are formed within `workspace_mb` MB (of 2^20 bytes; None: a
    default for the device), and formed again in the backward pass. logp, entropy and lse are all differentiable with
    respect to `hidden` and `weight` (once). Logits and results are float32 for float16, bfloat16 and float32 inputs,
    float64 for float64.

    Where `rows` is False nothing is computed: the outputs are 0 and the gradient of that row of `hidden` is exactly 0;
    such a row's target and hidden state are not looked at.

    Raises ValueError for shapes that do not fit, a target outside the vocabulary (checked on the CPU only: on a GPU
    the check would stall it), or options out of range; TypeError for dtypes.
    """
    check_scaling(temperature, softcap)
    check_inputs(hidden, weight, targets, rows, workspace_mb)
    result: TokenLogprob = implementation("token_logprob", hidden, weight)(
        hidden,
        weight,
        targets,
        temperature=temperature,
        softcap=softcap,
        rows=rows,
        return_entropy=return_entropy,
        workspace_mb=workspace_mb,
    )
    return result


def check_inputs(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    rows: torch.Tensor | None,
    workspace_mb: float | None,
) -> None:
    """Raise ValueError or TypeError, as `token_logprob` documents it."""
    if workspace_mb is not None and not workspace_mb > 0:
        raise ValueError(f"workspace_mb must be > 0 or None, got {workspace_mb}")
    if hidden.ndim != 2 or weight.ndim != 2 or hidden.shape[1] != weight.shape[1] or weight.shape[0] == 0:
        raise ValueError(
            f"hidden must be [T, H] and weight [V, H] with V >= 1, got {list(hidden.shape)} and {list(weight.shape)}"
        )
    if targets.shape != hidden.shape[:1]:
        raise ValueError(f"targets must be [T] = [{hidden.shape[0]}], got {list(targets.shape)}")
    if not hidden.is_floating_point() or not weight.is_floating_point():
        raise TypeError(f"hidden and weight must be floating point, got {hidden.dtype} and {weight.dtype}")
    if targets.dtype not in _INDEX_TYPES:
        raise TypeError(f"targets must be int64, got {targets.dtype}")
    if rows is not None and (rows.dtype != torch.bool or rows.shape != targets.shape):
        raise ValueError(f"rows must be bool [T] = [{hidden.shape[0]}], got {rows.dtype} {list(rows.shape)}")
    if targets.device.type == "cpu":
        asked = targets if rows is None else targets[rows]
        if asked.numel() and not (int(asked.min()) >= 0 and int(asked.max()) < weight.shape[0]):
            raise ValueError(f"targets must be in 0..{weight.shape[0] - 1}, got {int(asked.min())}..{int(asked.max())}")
