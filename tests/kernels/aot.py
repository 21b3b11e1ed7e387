"""Compiles kernels ahead of time, with no GPU, and reads what came out: `python aot.py` prints one JSON line a kernel.

Run in a process of its own, without `TRITON_INTERPRET`: an interpreted kernel cannot be compiled.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from rerec_engine.kernels.anchored import ROW_BLOCK, anchored_exponentials, anchored_rows, target_logits
from rerec_engine.kernels.common import FUSED, Tile, tile_constants, tile_for
from rerec_engine.kernels.dense import BLOCK, softmax_rows
from rerec_engine.kernels.grpo import grpo_partials, grpo_total
from rerec_engine.kernels.logprob import logit_gradient
from rerec_engine.kernels.logprob_forward import MERGE, logprob_merge, logprob_partials
from rerec_engine.kernels.segments import expand, segment_advantages

TARGETS = {
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_80": GPUTarget("cuda", 80, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
NVIDIA_BIN = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
WIDTH, ROWS = 2048, 8192  # the hidden size and the rows of a chunk at a Qwen2.5-3B shape
TYPES = {
    **dict.fromkeys(("T", "V", "H", "B", "S", "hidden_stride", "weight_stride", "splits", "tiles_per_split"), "i32"),
    **dict.fromkeys(("tiles", "programs", "responses"), "i32"),
    **dict.fromkeys(("c", "cap", "scale", "slope", "inverse", "least", "greatest"), "fp32"),
    **dict.fromkeys(("clip_low", "clip_high", "beta", "entropy_coef", "penalty"), "fp32"),
    **dict.fromkeys(("targets", "bounds", "group", "ends"), "*i64"),
    **dict.fromkeys(("mask", "penalised", "failed"), "*u8"),
}
"""Of arguments by their names; any other is a pointer to float32."""
ALIGNED = {"H", "V", "hidden_stride", "weight_stride"}


class Case(NamedTuple):
    """A kernel to compile."""

    name: str
    kernel: Any
    target: str
    constants: dict[str, Any]
    options: dict[str, Any]
    types: dict[str, str]  # of arguments, where `TYPES` does not tell


def compile_case(case: Case) -> dict[str, Any]:
    """Figures of one kernel: registers, spills, shared memory, matrix instructions."""
    _, kernel, target, constants, options, types = case
    names = kernel.arg_names
    signature = {n: "constexpr" if n in constants else types.get(n) or typed(n, kernel) or "*fp32" for n in names}
    aligned = [
        (i,) for i, n in enumerate(names) if signature[n].startswith("*") or (n in ALIGNED and signature[n] == "i32")
    ]
    attrs = {i: [["tt.divisibility", 16]] for i in aligned}
    constexprs = {(names.index(n),): v for n, v in constants.items()}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constexprs, attrs=attrs)
    compiled = triton.compile(source, target=TARGETS[target], options=options)
    figures = {"shared": compiled.metadata.shared, "spill_stores": 0, "spills": ""}
    if target == "gfx942":
        text = compiled.asm["amdgcn"]
        figures["registers"] = int(re.search(r"\.vgpr_count:\s+(\d+)", text)[1])
        figures["spill_stores"] = int(re.search(r"\.vgpr_spill_count:\s+(\d+)", text)[1])
        figures["matrix"] = len(re.findall(r"v_mfma", text))
        return figures
    figures["matrix"] = len(re.findall(r"wgmma\.mma_async|mma\.sync", compiled.asm["ptx"]))
    figures["wgmma"] = compiled.asm["ptx"].count("wgmma.mma_async")
    return figures | read_cubin(compiled.asm["cubin"])


def typed(name: str, kernel: Any) -> str | None:
    # The gradient's `slope` is by row, another kernel's is one number.
    return None if name == "slope" and kernel is logit_gradient else TYPES.get(name)


def read_cubin(cubin: bytes) -> dict[str, Any]:
    """Registers, and stores to and loads from local memory with the share of the code at which each lies."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        usage = subprocess.run(
            [NVIDIA_BIN / "cuobjdump", "--dump-resource-usage", file.name], capture_output=True, text=True, check=True
        ).stdout
        sass = subprocess.run([NVIDIA_BIN / "nvdisasm", "-c", file.name], capture_output=True, text=True, check=True)
    lines = [line for line in sass.stdout.splitlines() if re.search(r"/\*[0-9a-f]{4,}\*/", line)]
    stores = [i for i, line in enumerate(lines) if "STL" in line]
    loads = [i for i, line in enumerate(lines) if "LDL" in line]
    return {
        "registers": int(re.search(r"REG:(\d+)", usage)[1]),
        "spill_stores": len(stores),
        "spills": " ".join(
            f"{k}@{100 * i // len(lines)}%" for k, found in (("STL", stores), ("LDL", loads)) for i in found[:4]
        ),
        "instructions": len(lines),
    }


def operand_types(tile: Tile, dtype: str, descriptors: bool) -> dict[str, str]:
    """The types of the operands of a product, and of what it writes."""
    if not descriptors:
        return {"hidden": f"*{dtype}", "weight": f"*{dtype}", "out": f"*{dtype}"}
    return {
        "hidden": f"tensordesc<{dtype}[{tile.rows}, {tile.depth}]>",
        "weight": f"tensordesc<{dtype}[{tile.vocab}, {tile.depth}]>",
        "out": f"tensordesc<{dtype}[{tile.rows}, {tile.vocab}]>",
    }


def products(target: str, rows: int, descriptors: bool) -> Iterator[Case]:
    """The kernels that hold a matrix product, with the tile for that many rows; V is ragged, as Qwen2.5's is."""
    tile = tile_for(target, 2, rows, WIDTH)
    types = operand_types(tile, "bf16", descriptors)
    form = f"{tile.rows}x{tile.vocab}x{tile.depth} {'tma' if descriptors else 'pointer'}"
    shared = {**tile_constants(tile, 151936, WIDTH, descriptors), "CAP": False}
    written = {**shared, "DTYPE": tl.bfloat16, "OUT_DESCRIPTOR": descriptors}
    yield Case(f"forward {form}", logprob_partials, target, {**shared, "ENTROPY": True}, tile.options, types)
    yield Case(f"anchored {form}", anchored_exponentials, target, {**written, "SCALED": False}, tile.options, types)
    yield Case(f"gradient {form}", logit_gradient, target, {**written, "ENTROPY": True}, tile.options, types)


def others(target: str) -> Iterator[Case]:
    four, eight = ({"num_warps": n, **FUSED} for n in (4, 8))
    half = {"hidden": "*bf16", "weight": "*bf16", "exponentials": "*bf16"}
    loss = {"KL": 3, "HAS_REF": True, "WIDEN": False}
    yield Case("merge", logprob_merge, target, {**MERGE, "ENTROPY": True, "CAP": False}, four, half)
    yield Case("target logits", target_logits, target, {**MERGE, "CAP": False}, four, half)
    yield Case("anchored rows", anchored_rows, target, {**ROW_BLOCK, **loss}, four, half)
    yield Case("dense rows", softmax_rows, target, {"BLOCK": BLOCK, **loss, "CAP": False}, eight, {"out": "*bf16"})
    flags = ("RESPONSES", "MEAN", "SEQUENCE", "GIVEN_RATIOS", "HAS_REF", "HAS_MASK", "HAS_ENTROPY", "BONUS")
    grpo = {**dict.fromkeys(flags, True), "HAS_WEIGHTS": False, "BLOCK": 1024, "KL": 3}
    yield Case("grpo", grpo_partials, target, grpo, four, {})
    yield Case("grpo total", grpo_total, target, {"BLOCK": 64, "AGGREGATION": 1, "GIVEN": 0}, four, {})
    segments = {"BLOCK": 512, "STEPS": 12, "ESTIMATOR": 0}
    yield Case("segments", segment_advantages, target, segments, four, {"lengths": "*i64"})
    yield Case("expand", expand, target, {"BLOCK": 1024, "STEPS": 12}, four, {})


def cases() -> Iterator[Case]:
    """Everything that is compiled, at the tiles that are used."""
    yield from products("sm_90", ROWS, True)
    yield from products("sm_90", ROWS, False)
    yield from products("sm_90", 64, True)
    yield from products("sm_80", ROWS, False)
    yield from products("gfx942", ROWS, False)
    for target in TARGETS:
        yield from others(target)


def main() -> None:
    for case in cases():
        print(json.dumps({"name": case.name, "target": case.target, **compile_case(case)}), flush=True)


if __name__ == "__main__":
    main()
