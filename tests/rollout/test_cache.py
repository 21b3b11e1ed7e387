"""Decoding's attention over what is kept, by torch and by C++, against whole attention in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from rerec_engine import _core
from rerec_engine.rollout.cache import Heads, NativeCache, TorchCache, make_cache, rotate
from rerec_engine.rollout.decoder import make_decoder


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


def decode_and_compare(
    kind, heads: Heads, lengths: list[int], n: int, new: int, kept: dict[int, list[int]], common: int = 0, half=False
) -> float:
    """The largest difference from `whole`; kept: rows to go on with after that many steps. Every second step the next
    prompt joins, with n responses."""
    torch.manual_seed(0)
    dtype = torch.bfloat16 if half else torch.float32
    first = (torch.randn(common, heads.all, heads.dim) * 2).to(dtype)
    prompts = [(torch.randn(length, heads.all, heads.dim) * 2).to(dtype) for length in lengths]
    cos, sin = tables(common + max(lengths) + new, heads.dim, dtype)
    cache = kind(heads, cos, sin) if kind is NativeCache else kind(heads, cos, sin, new)

    def rotated(part: Tensor, begin: int) -> Tensor:
        qk, v = part.split([heads.queries + heads.keys, heads.keys], 1)
        at = slice(begin, begin + len(part)), None
        return torch.cat([rotate(qk, cos[at], sin[at]), v], 1)

    def join(some: list[Tensor], responses: int) -> None:
        cache.add([len(part) for part in some], responses)
        for layer in range(heads.layers):
            cache.set_prompts(layer, torch.cat([rotated(part, common if responses else 0) for part in some]))

    if common:
        join([first], 0)
    waiting, rows, apart = [prompts[:2], *[[prompt] for prompt in prompts[2:]]], [], 0.0
    for t in range(new):
        if waiting and t % 2 == 0:
            join(waiting[0], n)
            whole_prompts = [torch.cat([first, part]) for part in waiting.pop(0)]
            rows += [[prompt] * heads.layers for prompt in whole_prompts for _ in range(n)]  # what each has seen
        for layer in range(heads.layers):
            qkv = (torch.randn(len(rows), heads.all, heads.dim) * 2).to(dtype)
            found = cache.attend(layer, qkv)
            for i, row in enumerate(rows):
                row[layer] = torch.cat([row[layer], qkv[i : i + 1]])
                apart = max(apart, float((found[i] - whole(heads, row[layer])).abs().max()))
        cache.advance()
        if t in kept:
            cache.keep(torch.tensor(kept[t]))
            rows = [rows[i] for i in kept[t]]
    return apart


KEPT = {2: [0, 1, 2, 3, 5, 6, 7, 8], 15: [1, 2, 4, 7], 17: [0, 3]}  # a whole prompt's rows go in the last but one


@pytest.mark.slow
@pytest.mark.parametrize("heads", [Heads(2, 4, 2, 32), Heads(1, 7, 1, 16), Heads(1, 3, 3, 48)])
@pytest.mark.parametrize("lengths", [[5, 33, 16], [1, 1, 2]])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("common", [0, 32])
def test_native_equals_whole_attention(level, heads, lengths, threads, common):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert decode_and_compare(NativeCache, heads, lengths, 3, 21, KEPT, common) < 2e-5
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("common", [0, 32])
@pytest.mark.parametrize("heads", [Heads(2, 4, 2, 32), Heads(1, 3, 3, 6)])
def test_torch_equals_whole_attention(heads, common):
    assert decode_and_compare(TorchCache, heads, [5, 33, 16], 3, 21, KEPT, common) < 2e-5


@pytest.mark.parametrize("common", [0, 32])
def test_native_in_bf16_rounds_what_it_keeps_alone(level, common):
    heads, lengths = Heads(2, 6, 2, 32), [5, 33, 16]
    apart = decode_and_compare(NativeCache, heads, lengths, 3, 21, KEPT, common, half=True)
    assert 1e-4 < apart < 0.1
    assert apart < decode_and_compare(TorchCache, heads, lengths, 3, 21, KEPT, common, half=True)


def test_more_responses_than_a_task_takes(level):
    assert decode_and_compare(NativeCache, Heads(1, 8, 2, 16), [7, 3], 11, 3, {0: [*range(3, 18)]}) < 2e-5


@pytest.mark.parametrize(
    ("dim", "dtype", "kind"),
    [
        (32, torch.float32, NativeCache),
        (24, torch.float32, TorchCache),
        (32, torch.bfloat16, NativeCache),
        (32, torch.float16, TorchCache),
    ],
)
def test_choice(dim, dtype, kind):
    assert type(make_cache(Heads(1, 2, 1, dim), *tables(8, dim, dtype), 4)) is kind


@pytest.mark.parametrize("device", ["cpu"])
def test_rows_may_go_on_several_times(tiny_policy, device):
    """As beams do: a row that is kept twice goes two ways, each as if it had been there from the beginning."""
    policy = tiny_policy("qwen2")
    rng = np.random.default_rng(0)
    prompts = [rng.integers(5, 300, n).tolist() for n in (21, 37)]
    heads, start = rng.integers(5, 300, (2, 20)), [0, 1]
    for native in (True, False):
        decoder = make_decoder(policy.model, torch.float32)
        decoder.open(100, 40)
        if not native:
            decoder.cache = TorchCache(decoder.heads, *decoder.rotary, 40)
        decoder.join(prompts, 1)
        paths = [[], []]
        for t in range(20):
            decoder.step(torch.tensor([int(heads[i][t]) for i in start]))
            paths = [[*path, int(heads[i][t])] for i, path in enumerate(paths)]
        rows = [0, 0, 1, 1, 1]
        decoder.keep(torch.tensor(rows))
        paths = [paths[i] for i in rows]
        owner = [0, 0, 1, 1, 1]
        for t in range(18):
            tokens = [10 + 7 * i + t for i in range(len(paths))]
            logits = decoder.step(torch.tensor(tokens))
            paths = [[*path, token] for path, token in zip(paths, tokens, strict=True)]
            if t == 5:
                some = [1, 0, 4, 3]
                decoder.keep(torch.tensor(some))
                paths, owner, logits = [paths[i] for i in some], [owner[i] for i in some], logits[some]
            for path, prompt, found in zip(paths, owner, logits, strict=True):
                with torch.no_grad():
                    right = policy.model(torch.tensor([[*prompts[prompt], *path]])).logits[0, -1]
                assert torch.allclose(found, right, atol=1e-4)
        decoder.close()
