"""A whole step, forward, loss and backward of a random model, with our loss and with the plain loss over its logits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from bench.on_gpu.clock import Clock, outcome
from bench.ops.peers.case import CLIP
from bench.ops.peers.forms import surrogate
from rerec_engine.ops import linear_grpo_loss, token_logprob

Record = dict[str, Any]
QWEN_3B = dict(
    vocab_size=151_936,
    hidden_size=2048,
    intermediate_size=11_008,
    num_hidden_layers=36,
    num_attention_heads=16,
    num_key_value_heads=2,
    max_position_embeddings=32_768,
    rope_theta=1e6,
    tie_word_embeddings=True,
)
TINY = QWEN_3B | dict(vocab_size=500, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4)
LOSS_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.02}
"""Between the two losses; the plain one rounds logits to the model's dtype."""


def make_model(config: dict[str, Any], device: torch.device, dtype: torch.dtype, checkpointing: bool) -> Any:
    """A Qwen2 of that shape with random weights, made on the device."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            torch.manual_seed(0)
            model = Qwen2ForCausalLM(Qwen2Config(**config, attn_implementation="sdpa", use_cache=False))
    finally:
        torch.set_default_dtype(before)
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model.train()


def measure_step(
    clock: Clock, config: dict[str, Any], dtype: torch.dtype, sequences: int, length: int, checkpointing: bool
) -> Iterator[Record]:
    """A record a form. Gradients of the model are set to None between steps, and are part of the peak."""
    model = make_model(config, clock.device, dtype, checkpointing)
    make = torch.Generator(clock.device).manual_seed(0)
    ids = torch.randint(config["vocab_size"], (sequences, length + 1), generator=make, device=clock.device)
    adv = torch.randn(sequences, generator=make, device=clock.device).repeat_interleave(length)  # [T]
    with torch.no_grad():
        now = token_logprob(states(model, ids), model.lm_head.weight, ids[:, 1:].flatten())
    noise = 0.05 * torch.randn(now.logp.shape, generator=make, device=clock.device)
    old, lse_old = now.logp - noise, now.lse + noise
    about = {
        "task": "whole step",
        "layers": config["num_hidden_layers"],
        "width": config["hidden_size"],
        "vocabulary": config["vocab_size"],
        "parameters": sum(p.numel() for p in model.parameters()),
        "tokens": sequences * length,
        "length": length,
        "checkpointing": checkpointing,
    }
    forms: dict[str, Callable[[], torch.Tensor]] = {
        "ours": lambda: ours(model, ids, old, adv, None),
        "ours, anchored": lambda: ours(model, ids, old, adv, lse_old),
        "plain loss over logits": lambda: plain(model, ids, old, adv),
    }
    expected: float | None = None
    for name, loss in forms.items():
        record: Record = {**about, "form": name, "status": "ok"}
        with outcome(record, clock):
            found = step(model, loss)
            expected = found if expected is None else expected
            record["loss"], record["loss_difference"] = found, abs(found - expected)
            if not record["loss_difference"] <= LOSS_TOLERANCE[dtype]:
                record |= {"status": "wrong", "reason": f"the loss is off by {record['loss_difference']:.1e}"}
            else:
                model.zero_grad()
                record["peak_mb"] = clock.peak_mb(lambda loss=loss: step(model, loss))
                record["ms"] = clock.ms(lambda loss=loss: step(model, loss))
        model.zero_grad()
        yield record


def step(model: Any, loss: Callable[[], torch.Tensor]) -> float:
    model.zero_grad()
    value = loss()
    value.backward()
    return float(value.detach())


def states(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """Hidden states that predict ids[:, 1:], [B L, H]."""
    return model.model(input_ids=ids[:, :-1]).last_hidden_state.flatten(0, 1)


def ours(
    model: Any, ids: torch.Tensor, old: torch.Tensor, adv: torch.Tensor, lse_old: torch.Tensor | None
) -> torch.Tensor:
    options = dict(clip_low=CLIP, clip_high=CLIP, lse_old=lse_old)
    hidden, targets = states(model, ids), ids[:, 1:].flatten()
    return linear_grpo_loss(hidden, model.lm_head.weight, targets, old, None, adv, **options)[0]


def plain(model: Any, ids: torch.Tensor, old: torch.Tensor, adv: torch.Tensor) -> torch.Tensor:
    logits = model(input_ids=ids[:, :-1]).logits.float()  # [B, L, V]
    logp = logits.log_softmax(-1).gather(-1, ids[:, 1:, None]).flatten()  # [T]
    return surrogate(logp, old, adv)
