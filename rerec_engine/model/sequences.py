"""From prompts and responses to the hidden states that predict the responses' tokens.

Two layouts. Padded: a row per response, padded on the right, so that causal attention needs no padding mask. Packed:
all in one row without padding; a prompt that several responses share is laid and computed once, and so is a response
that was drawn several times. Only response positions reach the LM head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rerec_engine.model.packed_attention import Blocks, is_flash

Row = tuple[Sequence[int], Any]
"""Prompt ids and response ids (a sequence or an array) of one response."""


def response_states(
    body: torch.nn.Module, rows: Sequence[Row], pad_id: int, packed: bool = False, own: bool = False
) -> tuple[Tensor, Tensor]:
    """Hidden states that predict the responses' tokens, and these tokens.

    packed: without padding; `packing.enable_packing` says whether the model can. The same states up to rounding.
    own: of a policy's `Body`: its logits [T, V] instead of hidden states.
    Returns hidden [T, H] and targets [T] int64, T = sum of the response lengths, in the rows' order.
    """
    device = next(body.parameters()).device
    if packed:
        inputs, index = packed_inputs(rows, device, _attention(body))
    else:
        inputs, index = padded_inputs(rows, pad_id)
    inputs = {name: x.to(device) if isinstance(x, Tensor) else x for name, x in inputs.items()}
    targets = torch.cat([_ids(response) for _, response in rows]).to(device)  # [T]
    if own:
        states = body(**inputs, own=True, use_cache=False).logits  # [B, L, V]
    else:
        states = body(**inputs, use_cache=False).last_hidden_state  # [B, L, H]
    if "blocks" in inputs and not inputs["blocks"].used:
        raise ValueError(
            f"{type(body).__name__} does not hand its arguments on to its attention: switch model.packing off"
        )
    return take_rows(states.flatten(0, 1), index.to(device)), targets


def take_rows(states: Tensor, index: Tensor) -> Tensor:
    """states[index], [T, H], with a gradient that is the same in every run.

    A prompt's last position predicts the first token of all its responses. The gradients of such a row are added up in
    the index's order here; advanced indexing adds them on a CPU by whichever thread comes first.
    """
    return torch.nn.functional.embedding(index, states)


def padded_inputs(rows: Sequence[Row], pad_id: int) -> tuple[dict[str, Any], Tensor]:
    """A row per response: the model's inputs, and where in the flat [B * L] the predicting positions lie, [T]."""
    longest = max(len(p) + len(r) for p, r in rows)
    ids = torch.full((len(rows), longest), pad_id)
    index = []
    for i, (prompt, response) in enumerate(rows):
        start, end = len(prompt), len(prompt) + len(response)
        ids[i, :start] = _ids(prompt)
        ids[i, start:end] = _ids(response)
        index.append(torch.arange(start - 1, end - 1) + i * longest)
    return {"input_ids": ids}, torch.cat(index)


def packed_inputs(rows: Sequence[Row], device: torch.device, attention: str) -> tuple[dict[str, Any], Tensor]:
    """All in one row: the model's inputs, and where in it the predicting positions lie, [T].

    Under transformers' flash attention each response has its prompt to itself; else a prompt is laid once, before all
    its responses, whose positions go on from its end. Rows that are alike are laid once.
    """
    flash = is_flash(attention)
    groups: dict[Any, dict[bytes, list[int]]] = {}  # rows with the same prompt, by their response
    for i, (ids, response) in enumerate(rows):
        own = _ids(response).numpy().tobytes()
        groups.setdefault((*ids, own) if flash else tuple(ids), {}).setdefault(own, []).append(i)
    spans: list[tuple[Tensor, int, int]] = []  # of each block: tokens, first position, the block before it
    index = [torch.empty(0)] * len(rows)
    at = 0
    for responses in groups.values():
        members = list(responses.values())
        prompt = _ids(rows[members[0][0]][0])
        last, block, shared = at + len(prompt) - 1, len(spans), len(members) > 1
        if shared:
            spans.append((prompt, 0, -1))
            at += len(prompt)
        for alike in members:
            response = _ids(rows[alike[0]][1])
            start = at if shared else at + len(prompt)
            places = torch.cat([torch.tensor([last]), torch.arange(start, start + len(response))])
            for i in alike:
                index[i] = places[: len(response)]  # the prompt's last token predicts the first
            spans.append((response, len(prompt), block) if shared else (torch.cat([prompt, response]), 0, -1))
            at = start + len(response)
    lengths = tuple(len(tokens) for tokens, _, _ in spans)
    inputs: dict[str, Any] = {
        "input_ids": torch.cat([tokens for tokens, _, _ in spans])[None],
        "position_ids": torch.cat([torch.arange(first, first + len(tokens)) for tokens, first, _ in spans])[None],
    }
    blocks = Blocks(lengths, tuple(before for _, _, before in spans), device)
    if flash:
        bounds, longest = blocks.bounds[0], max(lengths)
        inputs |= dict(cu_seq_lens_q=bounds, cu_seq_lens_k=bounds, max_length_q=longest, max_length_k=longest)
    else:  # a mask of four dimensions is taken as it is: none is built, and packed attention needs none
        inputs |= dict(blocks=blocks, attention_mask=torch.zeros(1, 1, 1, 1))
    return inputs, torch.cat(index)


def _ids(ids: Any) -> Tensor:
    return torch.as_tensor(ids, dtype=torch.long)


def _attention(body: torch.nn.Module) -> str:
    """Name of the attention implementation of a model, or of the first one within a module."""
    config: Any = next(module.config for module in body.modules() if hasattr(module, "config"))
    return str(config.get_text_config()._attn_implementation)
