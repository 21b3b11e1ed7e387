"""The most memory that a call takes beyond what there was before it, of this process, on Linux."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path


def extra_mb(run: Callable[[], object], warm: bool = False) -> float | None:
    """MB (2^20 bytes) at the peak of a second call, its results among them; None where the system does not tell.

    The first call takes what is kept for good (threads, compiled code, a library's own buffers); `warm`: it has been
    made. Freed memory goes back to the system before the peak is reset.
    """
    if not warm:
        run()
    gc.collect()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
    except OSError:
        return None
    result = run()
    peak = _status("VmHWM")
    del result
    return max(0.0, peak - before)


def _status(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))
