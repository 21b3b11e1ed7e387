"""Matrix products into float32, by the BLAS that torch brings.

torch has no CPU product of bfloat16 operands with a float32 result, but its MKL has: `cblas_gemm_bf16bf16f32`. It is
used where the processor multiplies bfloat16 itself (AVX512-BF16, AMX) and MKL makes use of it; elsewhere operands are
widened, which is as fast (where oneDNN multiplies, twice as fast) and keeps float32 gradients of logits.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import torch

from rerec_engine.ops.native.onednn import beats_mkl

_ROW_MAJOR, _PLAIN, _TRANSPOSED = 101, 111, 112  # cblas.h


def operand_dtype(dtype: torch.dtype) -> torch.dtype:
    """What matrices of `dtype` are multiplied as."""
    return torch.bfloat16 if dtype == torch.bfloat16 and has_bfloat16() else torch.float32


def product(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor, add: bool = False) -> None:
    """out = a @ b, or out += a @ b; a [M, K] and b [K, N] both float32 or both bfloat16, out [M, N] float32."""
    if a.dtype == torch.bfloat16:
        _gemm()(
            *(_ROW_MAJOR, _layout(a)[0], _layout(b)[0]),
            *(*out.shape, a.shape[1], 1.0),
            *(a.data_ptr(), _layout(a)[1], b.data_ptr(), _layout(b)[1]),
            *(float(add), out.data_ptr(), out.stride(0)),
        )
    elif add:
        out.addmm_(a, b)
    else:
        torch.mm(a, b, out=out)


def _layout(x: torch.Tensor) -> tuple[int, int]:
    """Whether a matrix lies transposed, and its leading dimension."""
    return (_PLAIN, x.stride(0)) if x.stride(1) == 1 else (_TRANSPOSED, x.stride(1))


@cache
def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 and the BLAS that makes use of it is there."""
    support: Any = torch.cpu
    fast = support._is_avx512_bf16_supported() or support._is_amx_tile_supported()
    return bool(fast and not beats_mkl() and _gemm() is not None)


@cache
def _gemm() -> Any:
    """MKL's product; None where torch brings another BLAS."""
    try:
        gemm = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so")).cblas_gemm_bf16bf16f32
    except (OSError, AttributeError):
        return None
    gemm.restype = None
    matrix: list[Any] = [ctypes.c_void_p, ctypes.c_int]
    gemm.argtypes = [*[ctypes.c_int] * 6, ctypes.c_float, *matrix, *matrix, ctypes.c_float, *matrix]
    return gemm
