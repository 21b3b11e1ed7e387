"""The training ops on a CUDA device: right against float64, then timed against the peers that are installed.

    python bench/gpu.py [--output bench/results] [--quick]

Prints hardware, versions, the GEMM rate and copy bandwidth of this run and a line a form as it goes; writes
gpu-<device>-<date>.json and .md. Peers: torch eager, torch.compile, Liger, Apple CCE, verl, TRL, QuACK; one that is not
installed is left out and named. Works with torch 2.11 and Triton 3.6 and later. Exit code: 0, 1 where a form of ours is
wrong or fails (running out of memory apart), 2 without a CUDA device.

--smoke runs the same way on the CPU with tiny shapes and writes only where --output is given: the script is proven as
far as a CPU goes, and no time of it means anything.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.on_gpu.checks import TOKENS, check_ops
from bench.on_gpu.clock import Clock, environment, limits
from bench.on_gpu.ops import Shape, dtype_name, line, measure_ops, measure_small
from bench.on_gpu.report import write
from bench.on_gpu.step import QWEN_3B, TINY, measure_step
from bench.ops.peers.forms import is_ours

Record = dict[str, Any]
SHAPES = (
    Shape("Qwen2.5-3B", 2048, 151_936, (8192, 16_384, 65_536), 1024),
    Shape("Llama-3.2-3B", 3072, 128_256, (8192, 16_384, 65_536), 1024),
)
SMOKE = (Shape("tiny", 32, 300, (32,), 8),)


def say(text: str) -> None:
    print(text, flush=True)


def measure(record: Record, device: torch.device, dtype: torch.dtype) -> None:
    """Fills the record as it goes, so that what was measured before a failure is kept."""
    quick, smoke = record["quick"], record["smoke"]
    clock = Clock(device, seconds=0.01 if smoke else 0.3 if quick else 1.5)
    shapes = SMOKE if smoke else tuple(replace(s, tokens=s.tokens[:1]) for s in SHAPES) if quick else SHAPES
    size = 256 if smoke else 8192
    record["limits"]["before"] = limits(clock, dtype, size)
    say(f"GEMM and copy: {record['limits']['before']}")
    dtypes = (torch.float32,) if smoke else (torch.bfloat16, torch.float16, torch.float32)
    for check in check_ops(device, dtypes, TOKENS[:1] if smoke else TOKENS):
        record["checks"].append(check)
        if not check["ok"]:
            say(f"WRONG: {check}")
    clock.release()
    say(f"{sum(check['ok'] for check in record['checks'])} of {len(record['checks'])} checks hold")
    for measured in (measure_small(clock, shapes[0].tokens), measure_ops(clock, shapes, dtype)):
        for row in measured:
            say(line(row))
            record["ops"].append(row)
    record["limits"]["after"] = limits(clock, dtype, size)
    config, sequences, length = (TINY, 2, 16) if smoke else (QWEN_3B, 8, 1024)
    for row in measure_step(clock, config, dtype, sequences, length, checkpointing=True):
        say(f"whole step, {row['form']}: {row}")
        record["step"].append(row)


def fails(record: Record) -> list[str]:
    """What of ours is wrong or broken."""
    found = [f"{r['check']}, {r['dtype']}, {r['tokens']} tokens" for r in record["checks"] if not r["ok"]]
    rows = [*record["ops"], *record["step"]]
    found += [f"{r['task']}, {r['form']}" for r in rows if is_ours(r["form"]) and r["status"] not in ("ok", "OOM")]
    return found


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="folder of the two files; bench/results unless --smoke")
    parser.add_argument("--quick", action="store_true", help="8,192 tokens alone, and fewer runs of each")
    parser.add_argument("--smoke", action="store_true", help="on the CPU, tiny shapes, to try the script itself")
    options = parser.parse_args(words)
    if not options.smoke and not torch.cuda.is_available():
        print("bench/gpu.py: no CUDA device; --smoke tries the script on the CPU", file=sys.stderr)
        return 2
    device, dtype = (torch.device("cpu"), torch.float32) if options.smoke else (torch.device("cuda"), torch.bfloat16)
    record: Record = {"smoke": options.smoke, "quick": options.quick, "dtype": dtype_name(dtype)}
    record |= {"environment": environment(device), "limits": {}, "checks": [], "ops": [], "step": []}
    say(json.dumps(record["environment"], indent=1))
    folder = options.output or (None if options.smoke else Path(__file__).resolve().parent / "results")
    try:
        measure(record, device, dtype)
    except BaseException as error:
        record["stopped"] = f"{type(error).__name__}: {error}"[:300]
        raise
    finally:
        if folder:
            say("wrote " + ", ".join(map(str, write(record, folder))))
    failed = fails(record)
    for name in failed:
        print(f"FAILED: {name}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
