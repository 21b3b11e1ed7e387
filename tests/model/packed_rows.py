"""Rows that share prompts, what a policy makes of them, and an exact attention in a varlen kernel's place."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from rerec_engine.model.sequences import response_states
from rerec_engine.ops import token_logprob

SLIDING = {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1}


MODELS = [("qwen2", {}), ("llama", {}), ("gpt2", {}), ("qwen2", SLIDING)]


IDS = ["qwen2", "llama", "gpt2", "sliding"]


def rows_of(vocabulary=260, groups=((7, (5, 1, 12)), (1, (3, 3)), (13, (4,)), (9, (1,))), seed=0):
    """Groups of a prompt and its responses, by their lengths; the first two groups' rows come mixed."""
    rng = np.random.default_rng(seed)
    rows = []
    for prompt, responses in groups:
        ids = rng.integers(5, vocabulary, prompt).tolist()
        rows += [(ids, rng.integers(5, vocabulary, n)) for n in responses]
    rows[1], rows[3] = rows[3], rows[1]
    return rows


def found(policy, rows, packed=False):
    """Log-probs of all response tokens, and the gradient of their weighted sum."""
    policy.model.zero_grad()
    hidden, targets = response_states(policy.body, rows, policy.pad_id, packed)
    logp = token_logprob(hidden, policy.head, targets).logp
    (logp * torch.linspace(-1, 1, len(logp))).sum().backward()
    return logp.detach(), torch.cat([p.grad.flatten() for p in policy.model.parameters()])


def exact_varlen(q, k, v, cu_q, cu_k, max_q, max_k, scale, window):
    """Attention from a varlen kernel's arguments: q [N, H, D], k and v [M, K, D], causal, aligned at the last query."""
    assert cu_q.dtype == cu_k.dtype == torch.int32
    assert (max_q, max_k) == (int(cu_q.diff().max()), int(cu_k.diff().max()))
    assert (int(cu_q[-1]), int(cu_k[-1])) == (len(q), len(k))
    out = []
    for i in range(len(cu_q) - 1):
        queries, keys, values = q[cu_q[i] : cu_q[i + 1]], k[cu_k[i] : cu_k[i + 1]], v[cu_k[i] : cu_k[i + 1]]
        ahead = torch.arange(len(keys))[None] - torch.arange(len(queries))[:, None] - (len(keys) - len(queries))
        mask = (ahead <= 0) & (ahead >= -window) if window >= 0 else ahead <= 0
        shape = [x.transpose(0, 1)[None] for x in (queries, keys, values)]
        out.append(
            F.scaled_dot_product_attention(*shape, attn_mask=mask, scale=scale, enable_gqa=True)[0].transpose(0, 1)
        )
    return torch.cat(out)
