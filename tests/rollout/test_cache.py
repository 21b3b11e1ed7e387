"""Decoding's attention over what is kept, by torch and by C++, against whole attention in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rerec_engine import _core
from rerec_engine.rollout.cache import Heads, NativeCache, TorchCache, make_cache, rotate


@pytest.fixture(params=_core.vector_levels())
def level(request):
    assert _core.set_vector_level(request.param)
    yield request.param
    _core.set_vector_level(_core.vector_levels()[0])


def tables(length: int, dim: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    angle = torch.arange(length)[:, None] / 100 ** (torch.arange(dim // 2) / dim)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([cos, cos], -1).to(dtype), torch.cat([-sin, sin], -1).to(dtype)


def whole(heads: Heads, qkv: Tensor) -> Tensor:
    """qkv [T, heads, D] of one response with its prompt, not rotated -> its last token's [query heads * D], float64."""
    cos, sin = (x.double()[:, None] for x in tables(len(qkv), heads.dim))
    q, k, v = qkv.double().split([heads.queries, heads.keys, heads.keys], 1)
    groups = heads.queries // heads.keys
    q, k = rotate(q, cos, sin)[-1], rotate(k, cos, sin).repeat_interleave(groups, 1)
    weights = torch.softmax((k * q).sum(-1) * heads.dim**-0.5, 0)  # [T, query heads]
    return (weights[..., None] * v.repeat_interleave(groups, 1)).sum(0).flatten()


def decode_and_compare(kind, heads: Heads, lengths: list[int], n: int, new: int, kept: dict[int, list[int]]) -> float:
    """The largest difference from `whole`; kept: rows to go on with after that many steps."""
    torch.manual_seed(0)
    width = max(lengths)
    prompts = [torch.randn(length, heads.all, heads.dim) * 2 for length in lengths]
    padded = torch.full((len(lengths), width, heads.all, heads.dim), 1e4)  # what lies there must not count
    valid = torch.zeros(len(lengths), width, dtype=torch.bool)
    for i, prompt in enumerate(prompts):
        cos, sin = (x[: len(prompt), None] for x in tables(width + new, heads.dim))
        qk, v = prompt.split([heads.queries + heads.keys, heads.keys], 1)
        padded[i, width - len(prompt) :] = torch.cat([rotate(qk, cos, sin), v], 1)
        valid[i, width - len(prompt) :] = True
    cache = kind(heads, *tables(width + new, heads.dim), valid, n)
    for layer in range(heads.layers):
        cache.set_prompts(layer, padded)
    rows = [[prompts[i // n]] * heads.layers for i in range(len(lengths) * n)]  # what each has seen, by layer
    apart = 0.0
    for t in range(new):
        for layer in range(heads.layers):
            qkv = torch.randn(len(rows), heads.all, heads.dim) * 2
            found = cache.attend(layer, qkv)
            for i, row in enumerate(rows):
                row[layer] = torch.cat([row[layer], qkv[i : i + 1]])
                apart = max(apart, float((found[i] - whole(heads, row[layer])).abs().max()))
        cache.advance()
        if t in kept:
            cache.keep(torch.tensor(kept[t]))
            rows = [rows[i] for i in kept[t]]
    return apart


KEPT = {0: [0, 1, 2, 3, 5, 6, 7, 8], 15: [1, 2, 4, 7], 17: [0, 3]}  # a whole prompt's rows go in the last but one


@pytest.mark.slow
@pytest.mark.parametrize("heads", [Heads(2, 4, 2, 32), Heads(1, 7, 1, 16), Heads(1, 3, 3, 48)])
@pytest.mark.parametrize("lengths", [[5, 33, 16], [1, 1, 2]])
@pytest.mark.parametrize("threads", [1, 2])
def test_native_equals_whole_attention(level, heads, lengths, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert decode_and_compare(NativeCache, heads, lengths, 3, 21, KEPT) < 2e-5
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("heads", [Heads(2, 4, 2, 32), Heads(1, 3, 3, 6)])
def test_torch_equals_whole_attention(heads):
    assert decode_and_compare(TorchCache, heads, [5, 33, 16], 3, 21, KEPT) < 2e-5


def test_more_responses_than_a_task_takes(level):
    assert decode_and_compare(NativeCache, Heads(1, 8, 2, 16), [7, 3], 11, 3, {0: [*range(3, 18)]}) < 2e-5


@pytest.mark.parametrize(
    ("dim", "dtype", "kind"),
    [
        (32, torch.float32, NativeCache),
        (24, torch.float32, TorchCache),
        (32, torch.bfloat16, TorchCache),
    ],
)
def test_choice(dim, dtype, kind):
    valid = torch.ones(2, 3, dtype=torch.bool)
    assert type(make_cache(Heads(1, 2, 1, dim), *tables(8, dim, dtype), valid, 1)) is kind
