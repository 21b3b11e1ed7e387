"""How many tokens a model takes, prompt and response together."""

from __future__ import annotations

from typing import Any

from torch import nn

from rerec_engine.errors import UserError
from rerec_engine.model.policy import Policy

NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx")
OFFSET = 8
"""Rows that tables of positions have beyond the positions (OPT has 2)."""


def context_of(policy: Policy) -> int | None:
    """The most tokens that the model takes, as its configuration says; None where it names no limit."""
    config = policy.model.config.get_text_config()
    found = next((value for name in NAMES if (value := getattr(config, name, None))), None)
    return int(found) if isinstance(found, int) and found > 0 else None


def has_table(policy: Policy, context: int) -> bool:
    """Whether positions are looked up in a table, which ends at the limit; rotary ones go on, untrained."""
    words: Any = policy.model.get_input_embeddings()
    tables = [m for m in policy.model.modules() if isinstance(m, nn.Embedding) and m is not words]
    return any(context <= table.num_embeddings <= context + OFFSET for table in tables)


def check_context(policy: Policy, longest: int, new: int, setting: str = "rollout.max_new_tokens") -> str:
    """What is told of prompts of up to `longest` tokens and `new` ones after them: "" where the model takes them.

    Raises UserError where they go beyond a table of positions. setting: that of `new`.
    """
    context = context_of(policy)
    if context is None or longest + new <= context:
        return ""
    most = context - longest
    remedy = f"set {setting} to {most} at most" if most > 0 else "take shorter prompts, or another model"
    told = f"{policy.source}: prompts of up to {longest:,} tokens and {new:,} new ones; the model takes {context:,}"
    if has_table(policy, context):
        raise UserError(f"{told}: {remedy}")
    return f"{told}, and beyond them it was not trained: {remedy}"
