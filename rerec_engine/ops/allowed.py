"""Log-probs of tokens that were drawn from a part of the vocabulary: softmax over what was allowed, and nothing else.

Few tokens of a response are such (those of its answer), and few tokens may follow each, so that the rows of the LM head
which belong to these are gathered, and what could be drawn nowhere is never multiplied.
"""

from __future__ import annotations

import torch

from rerec_engine.ops.objective import check_scaling
from rerec_engine.ops.types import AllowedTokens, TokenLogprob

FEW = 64
"""Rows with at most so many allowed tokens share a product with the head's rows of them all."""


def allowed_logprob(
    hidden: torch.Tensor,  # [R, H]
    weight: torch.Tensor | None,  # [V, H]
    targets: torch.Tensor,  # [R] int64
    allowed: AllowedTokens,
    *,
    temperature: float = 1.0,
    softcap: float | None = None,
) -> TokenLogprob:
    """`token_logprob` under the distribution over each row's allowed tokens: logp, entropy and lse are of these alone.

    Row r is allowed's row r, whatever its place. Without a weight `hidden` holds the logits themselves, [R, V]. Where
    one token alone is allowed its log-prob is 0, without gradient.
    Raises ValueError for a target that is not allowed.
    """
    check_scaling(temperature, softcap)
    dtype = torch.promote_types(hidden.dtype if weight is None else weight.dtype, torch.float32)
    dtype = torch.promote_types(hidden.dtype, dtype)
    vocabulary = hidden.shape[1] if weight is None else weight.shape[0]
    size = torch.where(allowed.denied, vocabulary - allowed.ptr.diff(), allowed.ptr.diff())
    logp, entropy, lse = (torch.zeros(len(hidden), dtype=dtype, device=hidden.device) for _ in range(3))
    few = (size <= FEW) & ~allowed.denied
    for some in ((size > 1) & few, (size > 1) & ~few & ~allowed.denied, (size > 1) & allowed.denied):
        rows = some.nonzero()[:, 0]
        if len(rows):
            found = _of_rows(hidden[rows], weight, targets[rows], allowed.rows(rows), dtype, temperature, softcap)
            logp, entropy, lse = (x.index_copy(0, rows, y) for x, y in zip((logp, entropy, lse), found, strict=True))
    forced = (size == 1).nonzero()[:, 0]
    if len(forced):
        _check(targets[forced], *_columns(allowed.rows(forced), vocabulary))
    return TokenLogprob(logp, entropy, lse)


def _of_rows(
    hidden: torch.Tensor,  # [R, H]
    weight: torch.Tensor | None,  # [V, H]
    targets: torch.Tensor,  # [R]
    allowed: AllowedTokens,
    dtype: torch.dtype,
    temperature: float,
    softcap: float | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Log-probs, entropies and log-sum-exps [R] of rows that are all denied some tokens, or none is."""
    columns, mask = _columns(allowed, hidden.shape[1] if weight is None else weight.shape[0])
    place = _check(targets, columns, mask)
    if weight is None:
        logits = (hidden if columns is None else hidden[:, columns]).to(dtype)  # [R, C]
    else:
        logits = hidden.to(dtype) @ (weight if columns is None else weight[columns]).to(dtype).T
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    logits = (logits / temperature).masked_fill(~mask, float("-inf"))
    lse = logits.logsumexp(1)
    every = (logits - lse[:, None]).masked_fill(~mask, 0.0)  # log-probs; 0 where nothing is
    entropy = -(every.exp().masked_fill(~mask, 0.0) * every).sum(1)
    return every.gather(1, place[:, None])[:, 0], entropy, lse


def _columns(allowed: AllowedTokens, vocabulary: int) -> tuple[torch.Tensor | None, torch.Tensor]:
    """Tokens that are allowed in any row, [C] (None: the whole vocabulary), and which are in which, [R, C] bool."""
    rows = torch.arange(len(allowed), device=allowed.ids.device).repeat_interleave(allowed.ptr.diff())
    if bool(allowed.denied.any()):
        mask = torch.ones(len(allowed), vocabulary, dtype=torch.bool, device=rows.device)
        mask[rows, allowed.ids] = False
        return None, mask
    columns, place = allowed.ids.unique(return_inverse=True)
    mask = torch.zeros(len(allowed), len(columns), dtype=torch.bool, device=rows.device)
    mask[rows, place] = True
    return columns, mask


def _check(targets: torch.Tensor, columns: torch.Tensor | None, mask: torch.Tensor) -> torch.Tensor:
    """The targets' columns, [R]."""
    place = targets if columns is None else torch.searchsorted(columns, targets).clamp(max=len(columns) - 1)
    found = mask.gather(1, place[:, None])[:, 0] & (targets == (place if columns is None else columns[place]))
    if not bool(found.all()):
        raise ValueError(f"target {int(targets[~found][0])} is not allowed")
    return place
