"""From prompts and responses to the hidden states that predict the responses' tokens.

Sequences are padded on the right, so that causal attention needs no padding mask; only response positions reach the LM
head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Row = tuple[Sequence[int], Any]
"""Prompt ids and response ids (a sequence or an array) of one response."""


def response_states(body: torch.nn.Module, rows: Sequence[Row], pad_id: int) -> tuple[Tensor, Tensor]:
    """Hidden states that predict the responses' tokens, and these tokens.

    Returns hidden [T, H] and targets [T] int64, T = sum of the response lengths, in the rows' order.
    """
    device = next(body.parameters()).device
    longest = max(len(p) + len(r) for p, r in rows)
    ids = torch.full((len(rows), longest), pad_id)
    selected = torch.zeros(len(rows), longest, dtype=torch.bool)  # positions that predict a response token
    for i, (prompt, response) in enumerate(rows):
        end = len(prompt) + len(response)
        ids[i, : len(prompt)] = torch.as_tensor(prompt)
        ids[i, len(prompt) : end] = torch.as_tensor(response)
        selected[i, len(prompt) - 1 : end - 1] = True
    targets = ids[:, 1:][selected[:, :-1]].to(device)  # [T]
    states = body(input_ids=ids.to(device), use_cache=False).last_hidden_state  # [B, L, H]
    return states[selected.to(device)], targets
