"""Attention in tiles: against SDPA block by block in float64, values and gradients."""

from __future__ import annotations

import pytest
import torch

from rerec_engine.model import packed_attention as packing
from rerec_engine.model import tiled_attention as module
from rerec_engine.model.packed_attention import Blocks, packed_attention
from rerec_engine.model.tiled_attention import tiled_attention, tiles

CPU = torch.device("cpu")
ROWS = {
    "one token": ((1,), (-1,)),
    "one sequence": ((7,), (-1,)),
    "a prompt and its responses": ((5, 2, 4, 1), (-1, 0, 0, 0)),
    "groups and sequences": ((3, 2, 4, 5, 6, 1, 9), (-1, 0, 0, -1, -1, 4, 4)),
    "longer than a tile": ((11, 3, 9, 2, 2, 20), (-1, 0, 0, 0, 0, -1)),
}
TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 2e-2}


def exact(query, key, value, lengths, prefix):
    return packing._by_block(query, key, value, None, None, Blocks(lengths, prefix, CPU))


def gradients(out, inputs, upstream):
    return [out.detach(), *torch.autograd.grad(out, inputs, upstream)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("heads", "key_heads"), [(1, 1), (4, 4), (6, 2)])
@pytest.mark.parametrize("row", list(ROWS))
def test_values_and_gradients(row, heads, key_heads, dtype, monkeypatch):
    monkeypatch.setattr(module, "QUERIES", 6)
    (lengths, prefix), generator = ROWS[row], torch.Generator().manual_seed(0)
    tokens, width = sum(lengths), 8

    def drawn(count):  # laid as a model's projection leaves it: [1, N, H, D]
        x = torch.randn(1, tokens, count, width, generator=generator).to(dtype)
        return x.transpose(1, 2).requires_grad_()

    inputs = [drawn(heads), drawn(key_heads), drawn(key_heads)]
    kept = [x.detach().clone() for x in inputs]
    upstream = drawn(heads).detach()
    found = gradients(tiled_attention(*inputs, width**-0.5, tiles(lengths, prefix)), inputs, upstream)
    wide = [x.detach().double().requires_grad_() for x in inputs]
    wanted = gradients(exact(*wide, lengths, prefix), wide, upstream.double())
    for ours, truth in zip(found, wanted, strict=True):
        assert ours.dtype == dtype
        torch.testing.assert_close(ours.double(), truth, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    assert all(torch.equal(x, before) for x, before in zip(inputs, kept, strict=True))


def test_tiles_hold_each_query_once_and_stay_small(monkeypatch):
    monkeypatch.setattr(module, "QUERIES", 6)
    lengths, prefix = ROWS["longer than a tile"]
    groups = tiles(lengths, prefix)
    own = [tile.own for group in groups for tile in group]
    assert [i for part in own for i in range(part.start, part.stop)] == list(range(sum(lengths)))
    assert [part.stop - part.start for part in own] == [5, 6, 3, 9, 4, 5, 5, 5, 5]  # nine tokens are one response
    assert len(groups) == 2


@pytest.mark.parametrize(("window", "dtype"), [(None, torch.float32), (4, torch.float32), (None, torch.float64)])
def test_it_is_taken_where_onednn_multiplies(window, dtype, monkeypatch):
    lengths, prefix = ROWS["groups and sequences"]
    query, key, value = torch.randn(3, 1, 2, sum(lengths), 8, dtype=dtype).unbind()
    called = []
    monkeypatch.setattr(packing, "tiled_attention", lambda *args: called.append(1) or tiled_attention(*args))
    found = []
    for fast in (False, True):
        monkeypatch.setattr(packing, "with_onednn", lambda fast=fast: fast)
        blocks = Blocks(lengths, prefix, CPU)
        out, _ = packed_attention(torch.nn.Identity(), query, key, value, None, sliding_window=window, blocks=blocks)
        found.append(out)
    torch.testing.assert_close(*found)
    assert bool(called) == (window is None and dtype == torch.float32)
