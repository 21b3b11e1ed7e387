"""float32 products through oneDNN instead of MKL, where that is twice as fast.

torch multiplies float32 matrices with MKL, which on a processor that is not Intel's keeps to AVX2: on an AMD EPYC with
AVX512 one core gives 105 GFLOP/s where oneDNN gives 220, and MKL's bfloat16 product is as slow as its float32 one.
torch hands float32 products to oneDNN where they may be rounded to bfloat16; oneDNN rounds on processors with AMX
alone, so that elsewhere the switch changes who multiplies, and nothing else.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch

CPUINFO = Path("/proc/cpuinfo")
EXACT = 1e-5
"""Largest difference of a float32 product from the exact one, as a share of the largest entry; bfloat16 has 2e-3."""


@cache
def beats_mkl() -> bool:
    """Whether this processor has AVX512 without AMX and is not Intel's."""
    support: Any = torch.cpu
    wide = torch.backends.cpu.get_cpu_capability() == "AVX512" and not support._is_amx_tile_supported()
    return bool(wide and torch.backends.mkl.is_available() and _vendor() not in ("", "GenuineIntel"))


def multiply_with_onednn() -> bool:
    """Have the whole process multiply float32 matrices with oneDNN where `beats_mkl`; returns whether it does now.

    What oneDNN makes of a product is looked at first: where it rounds, all stays with MKL.
    """
    matmul = _setting()
    if matmul is None or not beats_mkl() or with_onednn():
        return with_onednn()
    before, matmul.fp32_precision = matmul.fp32_precision, "bf16"
    if not _exact():
        matmul.fp32_precision = before
        return False
    return True


def with_onednn() -> bool:
    """Whether `multiply_with_onednn` has done so."""
    matmul = _setting()
    return matmul is not None and beats_mkl() and matmul.fp32_precision == "bf16"


def _setting() -> Any:
    """Where torch keeps who multiplies; None before torch 2.9."""
    return getattr(torch.backends.mkldnn, "matmul", None)


def _exact() -> bool:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(256, 256, generator=generator) for _ in range(2))
    truth = a.double() @ b.double()
    return bool((a @ b - truth).abs().max() < EXACT * truth.abs().max())


def _vendor() -> str:
    """As Linux names it; empty elsewhere."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split(":")[1].strip() for line in lines if line.startswith("vendor_id")), "")
