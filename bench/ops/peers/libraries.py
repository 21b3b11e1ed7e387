"""How each library is called. Every function takes a case and gives its call on hidden states and weight, or raises
`Unavailable`. Signatures read in liger-kernel 0.8.5, cut-cross-entropy 25.1.1, verl 0.9.1, TRL 1.16 and QuACK 0.6.5."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch

from bench.ops.peers.case import CLIP, Case, Unavailable

Tensor = torch.Tensor
Logprob = Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]]
Scalar = Callable[[Tensor, Tensor], Tensor]


def attribute(module: str, name: str) -> Any:
    """`module.name`, imported now; whatever an import raises (nothing there, or no GPU found) is the reason."""
    try:
        return getattr(import_module(module), name)
    except Exception as error:
        first, *_ = [*str(error).splitlines(), ""]
        raise Unavailable(f"{module}.{name}: {type(error).__name__}: {first}") from error


def need(condition: bool, reason: str) -> None:
    if not condition:
        raise Unavailable(reason)


def need_gpu(case: Case) -> None:
    need(case.hidden.is_cuda, "needs a CUDA device")


def liger_scaled_ce(case: Case) -> Logprob:
    apply = attribute("liger_kernel.ops", "LigerFusedLinearScaledCrossEntropyFunction").apply

    def call(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        nll, entropy = apply(x, w, case.targets, case.temperature, -100, 1, True)
        return -nll, entropy

    return call


def liger_grpo(case: Case) -> Scalar:
    """One sequence a chunk. "bnpo" is the mean over tokens."""
    module = attribute("liger_kernel.chunked_loss", "LigerFusedLinearGRPOLoss")
    loss = module(
        beta=0.0,
        compiled=case.hidden.is_cuda,
        use_ref_model=False,
        chunk_size=1,
        epsilon_low=CLIP,
        epsilon_high=CLIP,
        loss_type="bnpo",
        temperature=case.temperature,
    )
    shape = (case.sequences, case.length)
    targets, old = case.targets.view(shape), case.old.view(shape)
    mask = torch.ones_like(old)

    def call(x: Tensor, w: Tensor) -> Tensor:
        return loss(x.view(*shape, -1), w, targets, mask, case.adv, old_per_token_logps=old)[0]

    return call


def liger_triton_grpo(case: Case) -> Scalar:
    """Over full logits [B, L + 1, V], the last of each sequence unused; they are overwritten with their gradient."""
    need_gpu(case)
    loss = attribute("liger_kernel.transformers.grpo_loss", "triton_grpo_loss")
    shape = (case.sequences, case.length)
    targets, old = case.targets.view(shape), case.old.view(shape)

    def call(x: Tensor, w: Tensor) -> Tensor:
        states = torch.nn.functional.pad(x.view(*shape, -1), (0, 0, 0, 1))  # [B, L + 1, H]
        return loss(
            states @ w.T,
            old,
            None,
            targets,
            case.adv,
            torch.ones_like(targets),
            temperature=case.temperature,
            beta=0.0,
            eps_low=CLIP,
            eps_high=CLIP,
            inplace=True,
            loss_type="bnpo",
            reduce=True,
        )[0]

    return call


def apple_cce(case: Case) -> Logprob:
    """With its default gradient filter. It knows neither entropy nor temperature."""
    need_gpu(case)
    need(case.temperature == 1.0, "has no temperature")
    need(case.hidden.dtype != torch.float32, "takes 16-bit inputs")
    function = attribute("cut_cross_entropy", "linear_cross_entropy")

    def call(x: Tensor, w: Tensor) -> tuple[Tensor, None]:
        return -function(x, w, case.targets, reduction="none"), None

    return call


def verl_triton(case: Case) -> Logprob:
    need_gpu(case)
    function = attribute("verl.utils.kernel.linear_cross_entropy", "linear_cross_entropy")
    return lambda x, w: function(x, w, case.targets, float(case.temperature), "none", None)


def verl_torch(case: Case) -> Logprob:
    """512 tokens a chunk, its default."""
    module = attribute("verl.utils.experimental.torch_functional", "FusedLinearForPPO")()
    return lambda x, w: module(x, w, case.targets, case.temperature)


def trl_selective(case: Case) -> Logprob:
    """Over full logits, [1, T, V]."""
    function = attribute("trl.trainer.utils", "selective_log_softmax_and_entropy")
    targets = case.targets[None]

    def call(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        logp, entropy = function((x @ w.T)[None], targets, temperature=case.temperature)
        return logp[0], entropy[0]

    return call


def trl_chunked(case: Case) -> Logprob:
    """8,192 words of the vocabulary a chunk."""
    apply = attribute("trl.kernels", "ChunkedLogProbFunction").apply

    def call(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        logp, entropy, *_ = apply(x, w, None, case.targets, case.temperature, 8192, None, 1.0, ("entropy",))
        return logp, entropy

    return call


def torch_linear_ce(case: Case) -> Scalar:
    """The mean alone: no entropy, no temperature."""
    need(case.temperature == 1.0, "has no temperature")
    function = attribute("torch.nn.functional", "linear_cross_entropy")
    return lambda x, w: -function(x, w, case.targets)


def quack(case: Case) -> Scalar:
    """The mean alone: no entropy, no temperature."""
    need_gpu(case)
    need(case.temperature == 1.0, "has no temperature")
    function = attribute("quack.linear_cross_entropy", "chunked_linear_cross_entropy")
    return lambda x, w: -function(x, w, case.targets)
