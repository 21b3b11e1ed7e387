"""Whether a model's fast attention does what the architecture says: transformers' SDPA leaves out a cap of the
attention logits (Gemma 2), without a word, so that every log-prob is another model's."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from rerec_engine.model.chat import tell_once

BOUNDS = {torch.float32: 1e-4, torch.bfloat16: 0.3, torch.float16: 0.03}
"""Nats, the mean over tokens and vocabulary, which rounding leaves at 1e-5 in fp32 and, of SmolLM2 in bf16, at 0.07:
its largest difference, among rare tokens, is 0.6."""
TOKENS = 16


def settle_attention(model: PreTrainedModel, source: str) -> None:
    """Go over to eager attention where SDPA computes something else, and tell it: where the configuration caps
    attention logits, and where the log-probs of a few tokens differ."""
    config = model.config.get_text_config()
    if model.device.type == "meta" or getattr(config, "_attn_implementation", None) != "sdpa":
        return
    capped = getattr(config, "attn_logit_softcapping", None) is not None
    if not capped and difference(model) <= BOUNDS.get(model.dtype, 0.0):
        return
    model.set_attn_implementation("eager")
    why = "leaves out the cap of its attention logits" if capped else "gives other log-probs"
    tell_once(f"{source}: eager attention, since SDPA {why}: slower, and right")


@torch.no_grad()
def difference(model: PreTrainedModel) -> float:
    """The mean difference of log-probs between SDPA and eager attention, nats; 0 where one of them does not run."""
    vocabulary = model.config.get_text_config().vocab_size
    ids = (torch.arange(TOKENS, device=model.device) * 7919 % vocabulary)[None]
    try:
        fast = model(input_ids=ids, use_cache=False).logits.float().log_softmax(-1)
        model.set_attn_implementation("eager")
        plain = model(input_ids=ids, use_cache=False).logits.float().log_softmax(-1)
        return float((fast - plain).abs().mean())
    except Exception:  # whatever a model's own code raises: there is nothing to compare with
        return 0.0
    finally:
        model.set_attn_implementation("sdpa")
