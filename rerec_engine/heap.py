"""Memory that glibc keeps for the next operation instead of giving it back to the kernel.

By default every larger tensor is mapped anew and unmapped again. The kernel clears each of its pages at the first
touch, which takes a quarter of the time of rollout and update of a model of 135 M parameters, and more where all cores
do it at once. Kept memory is touched once. It grows, though: passes of other sizes leave holes that nothing fits, and
what one part of a run needed is of no use to the next. Now and then all that is free is given back.
"""

from __future__ import annotations

import ctypes
import os

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4  # malloc.h
NEVER = -1
STEP = 1 << 28
"""Bytes by which the heap grows."""


def keep_memory() -> bool:
    """Have this process's malloc keep what is freed, from now on; returns whether it does.

    Nothing happens where there is no mallopt (musl, macOS), or where the environment says how to (MALLOC_...,
    GLIBC_TUNABLES). Calculations are the same bit for bit; the peak of memory grows by some per cent.
    """
    if any(name.startswith("MALLOC_") for name in os.environ) or "GLIBC_TUNABLES" in os.environ:
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all([mallopt(TRIM_THRESHOLD, NEVER), mallopt(TOP_PAD, STEP), mallopt(MMAP_MAX, 0)])


def give_back() -> bool:
    """Give the kernel all pages that are free, those between others too; returns whether there were some.

    They are touched anew where they are needed again: a second for some GB. Nothing happens without glibc.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim is not None and bool(trim(0))
