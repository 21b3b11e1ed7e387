"""Every op with every option at small odd shapes, against the same public function on float64 inputs: the reference."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from bench.ops.peers.case import NAMES, PROMISED
from rerec_engine.ops import grpo_loss, linear_grpo_loss, token_logprob

Record = dict[str, Any]
TOKENS = (1, 127, 1000)
WIDTH, VOCABULARY = 256, 32_003  # ragged for every tile
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "temperature, softcap": {"temperature": 0.7, "softcap": 20.0},
    "KL, entropy bonus": {"beta": 0.05, "entropy_coef": 0.01},
    "sequence mean": {"aggregation": "sequence_mean"},
    "Dr.GRPO": {"aggregation": "dr_grpo"},
    "sequence ratio": {"ratio": "sequence"},
    "rows skipped": {"skip_zero_advantage": True},
    "anchored": {"anchored": True},
    "anchored, KL, entropy bonus": {"anchored": True, "beta": 0.05, "entropy_coef": 0.01},
    "frozen head": {"frozen": True},
}


def check_ops(device: torch.device, dtypes: tuple[torch.dtype, ...], tokens: tuple[int, ...]) -> Iterator[Record]:
    """A record for every op, dtype, number of tokens and option: its errors, and whether they keep the promise."""
    for dtype in dtypes:
        for count in tokens:
            inputs = _inputs(count, device, dtype)
            jobs = {"token_logprob": partial(_logprob, inputs), "token_logprob, -120": partial(_low, inputs)}
            jobs |= {f"linear_grpo_loss, {name}": partial(_grpo, inputs, **o) for name, o in OPTIONS.items()}
            jobs |= {"grpo_loss": partial(_loss, inputs)}
            for name, job in jobs.items():
                yield _record(name, job, dtype, count)


def _record(name: str, job: Any, dtype: torch.dtype, tokens: int) -> Record:
    record: Record = {"check": name, "dtype": NAMES[dtype], "tokens": tokens}
    try:
        found, truth = job()
    except Exception as error:  # told in the table, the others are still checked
        first, *_ = [*str(error).splitlines(), ""]
        return record | {"ok": False, "reason": f"{type(error).__name__}: {first}"[:300]}
    nats, relative = PROMISED[NAMES[dtype]]
    errors = {key: _error(found[key], truth[key], key.startswith("d_")) for key in truth}
    ok = all(error <= (relative if key.startswith("d_") else nats) for key, error in errors.items())
    return record | {"ok": ok, "errors": errors}


def _inputs(tokens: int, device: torch.device, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    make = torch.Generator(device).manual_seed(tokens)
    normal = partial(torch.randn, generator=make, device=device)
    hidden = normal(tokens, WIDTH).to(dtype)
    weight = (normal(VOCABULARY, WIDTH) * (3 * WIDTH**-0.5)).to(dtype)
    targets = torch.randint(VOCABULARY, (tokens,), generator=make, device=device)
    first = tokens // 3
    adv = normal(tokens)
    adv[1::4] = 0.0
    mask = torch.arange(tokens, device=device) % 7 != 3
    cu_seqlens = torch.tensor([0, first, first, tokens], device=device)
    noise = torch.where(normal(tokens) > 1, 0.6, 0.04 * normal(tokens).clamp(-2, 2))  # away from the clip's edges
    return dict(hidden=hidden, weight=weight, targets=targets, adv=adv, mask=mask, cu_seqlens=cu_seqlens, noise=noise)


def _logprob(inputs: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    def run(dtype: torch.dtype) -> dict[str, torch.Tensor]:
        x, w = _leaves(inputs, dtype)
        result = token_logprob(x, w, inputs["targets"], rows=inputs["mask"])
        assert result.entropy is not None
        (result.logp.sum() + 0.1 * result.entropy.sum()).backward()
        return {**result._asdict(), "d_hidden": x.grad, "d_weight": w.grad}

    return run(inputs["hidden"].dtype), run(torch.float64)


def _low(inputs: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """All logits near -120, where a running maximum that starts at 0 gives NaN."""
    hidden, weight = torch.zeros_like(inputs["hidden"]), inputs["weight"].clone()
    hidden[:, 0], weight[:, 0] = 1.0, -120.0
    results = _logprob(inputs | {"hidden": hidden, "weight": weight})
    for result in results:
        result["d_hidden"] = result["d_hidden"][:, 1:]  # in the first column 120 is cancelled down to nothing
    return results


def _grpo(
    inputs: dict[str, torch.Tensor], *, anchored: bool = False, frozen: bool = False, **options: Any
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    before = token_logprob(
        inputs["hidden"].double(),
        inputs["weight"].double(),
        inputs["targets"],
        temperature=options.get("temperature", 1.0),
        softcap=options.get("softcap"),
    )
    old = before.logp - inputs["noise"]
    ref = before.logp - inputs["noise"].flip(0) - 0.3  # at the policy itself the KL's gradient is all cancellation
    lse_old = (before.lse - 0.1 * inputs["noise"]).float() if anchored else None

    def run(dtype: torch.dtype) -> dict[str, torch.Tensor]:
        x, w = _leaves(inputs, dtype)
        w.requires_grad_(not frozen)
        exact = torch.float64 if dtype == torch.float64 else torch.float32
        tensors = (inputs["targets"], old.to(exact), ref.to(exact), inputs["adv"].to(exact))
        loss, _ = linear_grpo_loss(
            x,
            w,
            *tensors,
            mask=inputs["mask"],
            cu_seqlens=inputs["cu_seqlens"],
            lse_old=None if lse_old is None else lse_old.to(exact),
            **options,
        )
        loss.backward()
        return {"loss": loss.detach(), "d_hidden": x.grad, **({} if frozen else {"d_weight": w.grad})}

    return run(inputs["hidden"].dtype), run(torch.float64)


def _loss(inputs: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    def run(dtype: torch.dtype) -> dict[str, torch.Tensor]:
        logp = -inputs["noise"].abs().to(dtype).requires_grad_()
        old, ref, adv = ((logp.detach() - inputs["noise"]).to(dtype), logp.detach() + 0.1, inputs["adv"].to(dtype))
        x = logp.detach().requires_grad_()
        loss, _ = grpo_loss(x, old, ref, adv, mask=inputs["mask"], beta=0.05)
        loss.backward()
        return {"loss": loss.detach(), "d_logp": x.grad}

    return run(torch.float32), run(torch.float64)


def _leaves(inputs: dict[str, torch.Tensor], dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    x, w = (inputs[name].to(dtype, copy=True).requires_grad_() for name in ("hidden", "weight"))
    return x, w


def _error(found: torch.Tensor, truth: torch.Tensor, relative: bool) -> float:
    difference = found.detach().double() - truth.detach()
    size = truth.norm()
    if relative:
        return float(difference.norm() / size) if size > 0 else float(difference.norm())
    return float(difference.abs().max())
