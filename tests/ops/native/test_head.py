"""The LM head in shares and tiles against float64: vocabularies, rows and threads that do not divide evenly."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from linear_problem import problem
from logprob_inputs import exact

from rerec_engine import ops
from rerec_engine.ops import TokenLogprob
from rerec_engine.ops.native import products
from rerec_engine.ops.native.head import (
    CHUNK_BYTES,
    CHUNK_ROWS,
    NARROW_COLUMNS,
    PARTS,
    TILE_COLUMNS,
    TILE_FLOATS,
    Chunk,
    Gradients,
    Head,
    Statistics,
    _tiles,
)

VOCABULARIES = [1, 2, NARROW_COLUMNS - 1, NARROW_COLUMNS + 1, 2 * TILE_COLUMNS + 13, PARTS * NARROW_COLUMNS + 77]


def states_of(rows: int, width: int, vocabulary: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(rows + vocabulary)
    hidden, weight = torch.randn(rows, width, generator=g), torch.randn(vocabulary, width, generator=g)
    return hidden, weight, torch.randint(0, vocabulary, (rows,), generator=g)


def assert_statistics(found: Statistics, expected: TokenLogprob, tolerance: float = 1e-5) -> None:
    for name, a, b in zip(("logp", "entropy", "lse"), (found.logp, found.entropy, found.lse), expected, strict=True):
        torch.testing.assert_close(a.double(), b.detach(), atol=tolerance, rtol=0, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("temperature, softcap", [(1.0, None), (0.7, 5.0)])
def test_statistics_and_a_kept_chunk_equal_float64(
    two_threads: None, vocabulary: int, temperature: float, softcap: float | None
) -> None:
    hidden, weight, targets = states_of(5, 3, vocabulary)
    expected, _ = exact(hidden, weight, targets, temperature, softcap)
    head = Head(hidden, weight, temperature, softcap, 5)
    assert len(head.shares) == min(2, vocabulary)
    assert_statistics(head.drive(lambda: head.statistics(hidden, targets)), expected)
    chunk = Chunk(head, hidden, targets, Chunk.new_buffers(head, 5))
    assert_statistics(head.drive(chunk.forward), expected)


def test_more_rows_than_a_narrow_tile_holds() -> None:
    hidden, weight, targets = states_of(TILE_FLOATS // NARROW_COLUMNS + 3, 2, NARROW_COLUMNS + 1)
    expected, _ = exact(hidden, weight, targets)
    assert_statistics(Head(hidden, weight, 1.0, None, len(hidden)).statistics(hidden, targets), expected)


@pytest.mark.parametrize("given", ["logp", "entropy", "lse", "all"])
@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("vocabulary", [3, 2 * TILE_COLUMNS + 5])
def test_gradients_equal_float64(
    two_threads: None, given: str, kept: bool, vocabulary: int, error: Callable[[torch.Tensor, torch.Tensor], float]
) -> None:
    hidden, weight, targets = states_of(7, 4, vocabulary)
    names = ("logp", "entropy", "lse")
    upstream = {name: torch.linspace(-1, 1, 7) * (i + 1) for i, name in enumerate(names) if given in (name, "all")}
    expected, leaves = exact(hidden, weight, targets, 0.7, 5.0)
    asked = [x for name, x in zip(names, expected, strict=True) if name in upstream]
    truth = torch.autograd.grad(asked, leaves, [g.double() for g in upstream.values()])
    head = Head(hidden, weight, 0.7, 5.0, 7)
    d_states, d_weight = torch.full((7, 4), torch.nan), torch.full((vocabulary, 4), torch.nan)

    def job() -> None:
        chunk = Chunk(head, hidden, targets, Chunk.new_buffers(head, 7) if kept else None)
        found = chunk.forward() if kept else head.statistics(hidden, targets)
        chunk.backward(found, Gradients(**upstream), d_states, d_weight, fresh=True)
        chunk = Chunk(head, hidden, targets)  # its logits formed again: added to what is there
        chunk.backward(found, Gradients(**upstream), None, d_weight)

    head.drive(job)
    assert error(d_states, truth[0]) < 2e-6
    assert error(d_weight, 2 * truth[1]) < 2e-6


@pytest.mark.parametrize("rows", [0, 1, CHUNK_ROWS + 1])
def test_the_way_back_in_chunks(rows: int, error: Callable[[torch.Tensor, torch.Tensor], float]) -> None:
    vocabulary = CHUNK_BYTES // (4 * CHUNK_ROWS) + 1  # so large that a chunk has its fewest rows
    hidden, weight, targets = states_of(rows, 3, vocabulary)
    expected, leaves = exact(hidden, weight, targets)
    head = Head(hidden, weight, 1.0, None, rows)
    found = head.statistics(hidden, targets)
    d_states, d_weight = torch.full((rows, 3), torch.nan), torch.full((vocabulary, 3), torch.nan)
    head.backward(hidden, targets, found, Gradients(logp=torch.ones(rows)), d_states, d_weight, fresh=True)
    truth = torch.autograd.grad(expected[0].sum(), leaves)
    assert error(d_states, truth[0]) < 5e-6
    assert error(d_weight, truth[1]) < 5e-6


@pytest.mark.parametrize("fast", [False, True])
def test_bfloat16_states_with_float32_results(
    fast: bool, monkeypatch: pytest.MonkeyPatch, error: Callable[[torch.Tensor, torch.Tensor], float]
) -> None:
    if fast and products._gemm() is None:
        pytest.skip("torch's BLAS has no product of bfloat16 into float32: a processor with AVX512 has")
    monkeypatch.setattr(products, "has_bfloat16", lambda: fast)
    hidden, weight, targets = states_of(9, 6, 300)
    hidden, weight = hidden.bfloat16(), weight.bfloat16()
    expected, leaves = exact(hidden, weight, targets)
    head = Head(hidden, weight, 1.0, None, 9)
    found = head.statistics(hidden, targets)
    assert_statistics(found, expected)
    d_states, d_weight = torch.empty(9, 6, dtype=torch.bfloat16), torch.empty(300, 6)
    head.backward(hidden, targets, found, Gradients(logp=torch.ones(9)), d_states, d_weight, fresh=True)
    truth = torch.autograd.grad(expected[0].sum(), leaves)
    assert error(d_states, truth[0]) < 4e-3
    assert error(d_weight, truth[1]) < (4e-3 if fast else 2e-6)


def test_logits_far_below_zero_have_their_own_largest() -> None:
    hidden, weight, targets = torch.full((2, 1), -120.0), torch.linspace(1, 1.1, 300)[:, None], torch.tensor([0, 299])
    expected, _ = exact(hidden, weight, targets)
    head = Head(hidden, weight, 1.0, None, 2)
    assert_statistics(head.statistics(hidden, targets), expected, 2e-5)
    assert_statistics(Chunk(head, hidden, targets, Chunk.new_buffers(head, 2)).forward(), expected, 2e-5)


def test_states_and_weight_that_are_not_contiguous() -> None:
    hidden, weight, targets = states_of(5, 6, 300)
    expected, _ = exact(hidden[:, ::2], weight[:, 1::2], targets)
    columns = weight[:, 1::2].t().contiguous().t()
    head = Head(hidden[:, ::2], columns, 1.0, None, 5)
    assert_statistics(head.statistics(hidden[:, ::2], targets), expected)


@given(st.integers(0, 50), st.integers(1, 400), st.integers(1, 90))
def test_tiles_are_even_and_leave_nothing_out(start: int, count: int, most: int) -> None:
    tiles = _tiles(start, start + count, most)
    assert [i for tile in tiles for i in range(tile.start, tile.stop)] == list(range(start, start + count))
    sizes = [tile.stop - tile.start for tile in tiles]
    assert all(0 < size <= most for size in sizes)
    assert max(sizes) - min(sizes) <= 1
    assert len(tiles) == -(-count // most)


def test_workspace_bounds_the_chunks() -> None:
    head = Head(torch.zeros(1, 16), torch.zeros(1000, 16), 1.0, None, 1 << 20)
    assert head.chunk_rows(1.0) * 4 * 1000 <= 2**20
    assert head.chunk_rows(None) >= CHUNK_ROWS
    with pytest.raises(ValueError, match="workspace_mb must hold a row"):
        head.chunk_rows(1e-4)
    with pytest.raises(ValueError, match="workspace_mb must hold a row"):
        ops.linear_grpo_loss(**problem((13, 7, 101)), workspace_mb=1e-5)


def test_room_for_a_widened_tile_comes_out_of_the_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "has_bfloat16", lambda: False)
    plain, narrow = torch.zeros(5000, 64), torch.zeros(5000, 64, dtype=torch.bfloat16)
    rows = [Head(w[:1], w, 1.0, None, 1).chunk_rows(1.0) for w in (plain, narrow)]
    row_bytes = 4 * (5000 + 2 * 64)  # logits, states and their gradient
    assert rows == [2**20 // row_bytes, (2**20 - 4 * 64 * TILE_COLUMNS) // row_bytes]
