"""Matrix products into float32: both dtypes and layouts, slices of larger matrices, sums into what is there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from rerec_engine.ops.native import products

DTYPES = [torch.float32, torch.bfloat16]


def need(dtype: torch.dtype) -> None:
    if dtype == torch.bfloat16 and products._gemm() is None:
        pytest.skip("torch's BLAS has no product of bfloat16 into float32: a processor with AVX512 has")


@pytest.fixture
def fresh_answers() -> Iterator[None]:
    products.has_bfloat16.cache_clear()
    yield
    products.has_bfloat16.cache_clear()


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_products(dtype: torch.dtype, add: bool, transposed: bool) -> None:
    need(dtype)
    a, b = torch.randn(5, 7).to(dtype), torch.randn(7, 11).to(dtype)
    if transposed:
        a, b = a.t().contiguous().t(), b.t().contiguous().t()
    out = torch.ones(5, 11)
    products.product(a, b, out, add)
    torch.testing.assert_close(out.double(), a.double() @ b.double() + float(add), atol=2e-6, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 7, 1), (1, 3, 5), (4, 1, 1), (17, 33, 2)], ids=str)
def test_shapes_of_one_row_or_column(dtype: torch.dtype, shape: tuple[int, int, int]) -> None:
    need(dtype)
    rows, inner, columns = shape
    a, b = torch.randn(rows, inner).to(dtype), torch.randn(inner, columns).to(dtype)
    out = torch.full((rows, columns), torch.nan)  # what lay there must not be read
    products.product(a, b, out)
    torch.testing.assert_close(out.double(), a.double() @ b.double(), atol=4e-6, rtol=1e-6)


@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_rows_and_columns_of_larger_matrices(dtype: torch.dtype, add: bool) -> None:
    """As a tile of the head takes them: a transposed share of the weight, and rows of a larger result."""
    need(dtype)
    states, weight = torch.randn(9, 12).to(dtype)[2:7, 1:8], torch.randn(20, 12).to(dtype)[4:15, 1:8]
    whole = torch.full((8, 16), 5.0)
    products.product(states, weight.t(), whole[1:6, 2:13], add)
    expected = torch.full((8, 16), 5.0, dtype=torch.float64)
    expected[1:6, 2:13] = states.double() @ weight.double().t() + (5.0 if add else 0.0)
    torch.testing.assert_close(whole.double(), expected, atol=4e-6, rtol=1e-6)


def test_sums_of_bfloat16_products_are_kept_in_float32() -> None:
    need(torch.bfloat16)
    a, b = torch.ones(1, 1025, dtype=torch.bfloat16), torch.ones(1025, 1, dtype=torch.bfloat16)
    out = torch.empty(1, 1)
    products.product(a, b, out)
    assert out.item() == 1025.0  # bfloat16 has no such number


@pytest.mark.parametrize(
    "processor, library, expected",
    [
        ((True, False), True, True),
        ((False, True), True, True),
        ((False, False), True, False),
        ((True, True), None, False),
    ],
)
def test_bfloat16_wants_the_processor_and_the_library(
    processor: tuple[bool, bool], library: object, expected: bool, fresh_answers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, answer in zip(("_is_avx512_bf16_supported", "_is_amx_tile_supported"), processor, strict=True):
        monkeypatch.setattr(torch.cpu, name, lambda answer=answer: answer)
    monkeypatch.setattr(products, "_gemm", lambda: library)
    monkeypatch.setattr(products, "beats_mkl", lambda: False)
    assert products.has_bfloat16() is expected
    products.has_bfloat16.cache_clear()
    monkeypatch.setattr(products, "beats_mkl", lambda: True)  # whose product is as slow as in float32
    assert not products.has_bfloat16()


@pytest.mark.parametrize("fast, narrow", [(True, torch.bfloat16), (False, torch.float32)])
def test_only_bfloat16_is_ever_multiplied_as_such(
    fast: bool, narrow: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "has_bfloat16", lambda: fast)
    assert products.operand_dtype(torch.bfloat16) == narrow
    assert products.operand_dtype(torch.float16) == products.operand_dtype(torch.float32) == torch.float32
