"""Time and memory of calls on a device: CUDA events and its allocator, or the wall clock for a run on the CPU."""

from __future__ import annotations

import gc
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from bench.common.memory import extra_mb

PACKAGES = ("torch", "triton", "transformers", "liger-kernel", "cut-cross-entropy", "verl", "trl", "quack-kernels")
FLUSH_BYTES = 256 << 20
"""Written before every run: more than any second-level cache."""


class Clock:
    """Median ms of a call, and the MB (2^20 bytes) at its peak beyond what was there before it."""

    def __init__(self, device: torch.device, seconds: float) -> None:
        """seconds: about how long a call is repeated."""
        self.device, self.seconds = device, seconds
        self.cuda = device.type == "cuda"
        self._flush = torch.empty(FLUSH_BYTES if self.cuda else 0, dtype=torch.int8, device=device)

    def ms(self, run: Callable[[], object]) -> float:
        first = self._once(run)  # compiled and tuned by a call before this one
        rounds = int(min(50, max(3, self.seconds * 1e3 / max(first, 1e-3))))
        return statistics.median(self._once(run) for _ in range(rounds))

    def peak_mb(self, run: Callable[[], object]) -> float | None:
        """Results of the call are part of it, its inputs are not."""
        if not self.cuda:
            return extra_mb(run, warm=True)
        self.release()
        before = torch.cuda.memory_allocated(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        result = run()
        torch.cuda.synchronize(self.device)
        peak = torch.cuda.max_memory_allocated(self.device)
        del result
        return (peak - before) / 2**20

    def release(self) -> None:
        """Give back what is no longer used, so that one form's memory does not stand in another's way."""
        if self.cuda:
            gc.collect()
            torch.cuda.synchronize(self.device)
            torch.cuda.empty_cache()

    def _once(self, run: Callable[[], object]) -> float:
        if not self.cuda:
            begin = time.perf_counter()
            run()
            return (time.perf_counter() - begin) * 1e3
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self._flush.zero_()
        start.record()
        run()
        end.record()
        end.synchronize()
        return start.elapsed_time(end)


@contextmanager
def outcome(record: dict[str, Any], clock: Clock) -> Iterator[None]:
    """What stops a form becomes its status; the run goes on."""
    try:
        yield
    except Exception as error:
        first, *_ = [*str(error).splitlines(), ""]
        record["status"] = "OOM" if out_of_memory(error) else "error"
        record["reason"] = f"{type(error).__name__}: {first}"[:300]
    clock.release()


def out_of_memory(error: BaseException) -> bool:
    """Of the allocator, or of a library that allocates by itself."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "out of memory" in str(error).lower()


def limits(clock: Clock, dtype: torch.dtype, size: int) -> dict[str, float]:
    """TFLOP/s of a square product in torch's own GEMM (cuBLAS on CUDA), and GB/s read and written by a copy."""
    a, b = (torch.randn(size, size, device=clock.device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(a)
    torch.mm(a, b, out=out)
    rate = 2 * size**3 / clock.ms(lambda: torch.mm(a, b, out=out)) / 1e9
    source = torch.ones(size * size * 4, device=clock.device)
    copy = torch.empty_like(source)
    bandwidth = 2 * source.numel() * source.element_size() / clock.ms(lambda: copy.copy_(source)) / 1e6
    clock.release()
    return {"gemm_tflops": rate, "gemm_size": size, "copy_gb_s": bandwidth}


def environment(device: torch.device) -> dict[str, Any]:
    found: dict[str, Any] = {
        "device": device_name(device),
        "python": platform.python_version(),
        "versions": {package: _version(package) for package in PACKAGES},
        "commit": _output("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"),
        "date": time.strftime("%Y-%m-%d"),
        "REREC_IMPL": os.environ.get("REREC_IMPL", "unset"),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "driver": _output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
            "cuda": torch.version.cuda,
            "capability": f"{properties.major}.{properties.minor}",
            "memory_gb": round(properties.total_memory / 2**30, 1),
            "multiprocessors": properties.multi_processor_count,
        }
    else:
        found |= {"threads": torch.get_num_threads()}
    return found


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU {platform.machine()}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _output(*words: str) -> str | None:
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=30, check=True).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None
