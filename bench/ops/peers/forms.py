"""Ours, and the peers: `FORMS[op][name](case)` gives a function of no arguments that runs that form once.

Making one raises `Unavailable` with the reason where a library is missing or cannot take the case. Libraries are
imported then and not before. Nothing of theirs is copied: what is written here is how each is called.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import torch

from bench.ops.peers.case import CLIP, Case, Op, Result, Unavailable
from bench.ops.peers.libraries import (
    apple_cce,
    liger_grpo,
    liger_scaled_ce,
    liger_triton_grpo,
    quack,
    torch_linear_ce,
    trl_chunked,
    trl_selective,
    verl_torch,
    verl_triton,
)
from rerec_engine.ops import linear_grpo_loss, token_logprob

Run = Callable[[], Result]
Form = Callable[[Case], Run]
Logprob = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor | None]]
"""From hidden states and weight to logp and, where the form has it, entropy, [T] each."""
Scalar = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From the same to a loss."""


def ours_logprob(case: Case) -> Logprob:
    return lambda x, w: token_logprob(x, w, case.targets, temperature=case.temperature)[:2]


def eager(case: Case) -> Logprob:
    """Full logits in float32, log-softmax, gather, and the entropy of the same log-softmax."""
    return lambda x, w: _eager(x, w, case.targets, case.temperature, True)


def eager_no_entropy(case: Case) -> Logprob:
    return lambda x, w: _eager(x, w, case.targets, case.temperature, False)


def compiled(case: Case, entropy: bool = True) -> Logprob:
    """The same under torch.compile, for these shapes alone. What was compiled before is dropped: past eight versions
    of a function torch would run it eagerly without a word."""
    check_compiler()
    torch.compiler.reset()
    function = torch.compile(_eager, dynamic=False)
    return lambda x, w: function(x, w, case.targets, case.temperature, entropy)


def _eager(
    x: torch.Tensor, w: torch.Tensor, targets: torch.Tensor, temperature: float, entropy: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    z = (x @ w.T).float()  # [T, V]
    log_p = (z if temperature == 1.0 else z / temperature).log_softmax(1)
    logp = log_p.gather(1, targets[:, None]).squeeze(1)
    return logp, -(log_p.exp() * log_p).sum(1) if entropy else None


@cache
def check_compiler() -> None:
    """Unavailable where torch.compile compiles nothing, as without a C++ compiler."""
    try:
        torch.compile(lambda x: x + 1)(torch.ones(4))
    except Exception as error:
        raise Unavailable(f"torch.compile: {str(error).splitlines()[0]}") from error


def surrogate(logp: torch.Tensor, old: torch.Tensor, adv: torch.Tensor) -> torch.Tensor:
    """The clipped loss, its mean over tokens, in plain torch."""
    ratio = (logp - old).exp()
    return -torch.minimum(ratio * adv, ratio.clamp(1 - CLIP, 1 + CLIP) * adv).mean()


def forward(form: Callable[[Case], Logprob], case: Case) -> Run:
    """logp and entropy without gradients."""
    call = form(case)

    def run() -> Result:
        with torch.no_grad():
            logp, entropy = call(case.hidden, case.weight)
        return _present(logp=logp, entropy=entropy)

    return run


def backward(form: Callable[[Case], Logprob], case: Case, grpo: bool, frozen: bool = False) -> Run:
    """The gradients of the mean log-prob, or of the clipped loss in plain torch on top of the log-probs."""
    call, adv = form(case), case.adv_tokens

    def run() -> Result:
        x, w = case.leaves(frozen)
        logp, _ = call(x, w)
        loss = surrogate(logp, case.old, adv) if grpo else logp.float().mean()
        loss.backward()
        return _present(loss=loss.detach(), logp=logp.detach(), d_hidden=x.grad, d_weight=w.grad)

    return run


def scalar(form: Callable[[Case], Scalar], case: Case, frozen: bool) -> Run:
    """The gradients of a form that gives its loss alone."""
    call = form(case)

    def run() -> Result:
        x, w = case.leaves(frozen)
        loss = call(x, w)
        loss.backward()
        return _present(loss=loss.detach(), d_hidden=x.grad, d_weight=w.grad)

    return run


def ours_grpo(case: Case, frozen: bool = False, anchored: bool = False, skip: bool = False, into: bool = False) -> Run:
    """anchored: given `lse_old`. skip: `skip_zero_advantage`. into: the weight's gradient goes to a given buffer."""
    buffer = torch.empty_like(case.weight, dtype=torch.float32) if into else None

    def run() -> Result:
        x, w = case.leaves(frozen)
        loss, _ = linear_grpo_loss(
            x,
            w,
            case.targets,
            case.old,
            None,
            case.adv_tokens,
            temperature=case.temperature,
            clip_low=CLIP,
            clip_high=CLIP,
            lse_old=case.lse_old if anchored else None,
            skip_zero_advantage=skip,
            grad_weight_out=None if buffer is None else buffer.zero_(),
        )
        loss.backward()
        return _present(loss=loss.detach(), d_hidden=x.grad, d_weight=w.grad if buffer is None else buffer)

    return run


def _present(**tensors: torch.Tensor | None) -> Result:
    return {name: x for name, x in tensors.items() if x is not None}


_LOGPROBS: dict[str, Callable[[Case], Logprob]] = {
    "ours": ours_logprob,
    "torch eager": eager,
    "torch.compile": compiled,
    "Liger scaled CE": liger_scaled_ce,
    "Apple CCE": apple_cce,
    "verl Triton": verl_triton,
    "verl torch": verl_torch,
    "TRL selective": trl_selective,
    "TRL chunked": trl_chunked,
}
_PLAIN = {**_LOGPROBS, "torch eager": eager_no_entropy, "torch.compile": partial(compiled, entropy=False)}


def _grpo(frozen: bool) -> dict[str, Form]:
    ours = partial(ours_grpo, frozen=frozen)
    steps: dict[str, Form] = {
        "ours": ours,
        "ours, anchored": partial(ours, anchored=True),
        "ours, composed": partial(backward, ours_logprob, grpo=True, frozen=frozen),
        "Liger fused GRPO": lambda case: scalar(liger_grpo, case, frozen),
        "Liger Triton GRPO": lambda case: scalar(liger_triton_grpo, case, frozen),
    }
    peers = {name: form for name, form in _PLAIN.items() if name != "ours"}
    return steps | {name: partial(backward, form, grpo=True, frozen=frozen) for name, form in peers.items()}


FORMS: dict[Op, dict[str, Form]] = {
    "logprob": {name: partial(forward, form) for name, form in _LOGPROBS.items()},
    "logprob_grad": {
        **{name: partial(backward, form, grpo=False) for name, form in _PLAIN.items()},
        "torch linear_cross_entropy": lambda case: scalar(torch_linear_ce, case, False),
        "QuACK": lambda case: scalar(quack, case, False),
    },
    "grpo": {**_grpo(frozen=False), "ours, dW into a buffer": partial(ours_grpo, anchored=True, into=True)},
    "grpo_frozen": _grpo(frozen=True),
}
SKIPPING: dict[str, Form] = {
    "ours, rows skipped": partial(ours_grpo, skip=True),
    "ours, anchored, rows skipped": partial(ours_grpo, anchored=True, skip=True),
}
"""Further forms for cases in which some advantages are 0."""


def is_ours(name: str) -> bool:
    return name.startswith("ours")
