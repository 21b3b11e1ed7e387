"""Compiles kernels ahead of time, with no GPU, and reads what came out: `python aot.py` prints one JSON line a kernel.

Run in a process of its own, without `TRITON_INTERPRET`: an interpreted kernel cannot be compiled.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from rerec_engine.kernels.common import FUSED, Tile, tile_for
from rerec_engine.kernels.logprob import logit_gradient
from rerec_engine.kernels.logprob_forward import MERGE, logprob_merge, logprob_partials

TARGETS = {
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_80": GPUTarget("cuda", 80, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
NVIDIA_BIN = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
WIDTH, ROWS = 2048, 8192  # the hidden size and the rows of a chunk at a Qwen2.5-3B shape
TYPES = {"T": "i32", "V": "i32", "H": "i32", "c": "fp32", "cap": "fp32", "splits": "i32", "tiles_per_split": "i32",
         "hidden_stride": "i32", "weight_stride": "i32", "targets": "*i64"}  # fmt: skip
ALIGNED = {"H", "hidden_stride", "weight_stride", "V"}


def compile_kernel(
    kernel: Any, target: str, constants: dict[str, Any], options: dict[str, int], types: dict[str, str]
) -> dict[str, Any]:
    """Figures of one kernel: registers, spills, shared memory, matrix instructions."""
    names = kernel.arg_names
    signature = {n: "constexpr" if n in constants else types.get(n) or TYPES.get(n) or "*fp32" for n in names}
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


def tile_constants(tile: Tile, **flags: Any) -> dict[str, Any]:
    return {"ROWS": tile.rows, "VOCAB": tile.vocab, "DEPTH": tile.depth, "GROUP": tile.group, "RAGGED": True,
            "EVEN": True, "DESCRIPTORS": False, "WIDEN": False, "CAP": False, **flags}  # fmt: skip


def operand_types(tile: Tile, dtype: str, descriptors: bool) -> dict[str, str]:
    if not descriptors:
        return {"hidden": f"*{dtype}", "weight": f"*{dtype}"}
    return {
        "hidden": f"tensordesc<{dtype}[{tile.rows}, {tile.depth}]>",
        "weight": f"tensordesc<{dtype}[{tile.vocab}, {tile.depth}]>",
    }


def cases() -> list[tuple[str, Any, str, dict[str, Any], dict[str, int], dict[str, str]]]:
    """(name, kernel, target, constants, options, types) of everything that is compiled."""
    found = []
    for target in TARGETS:
        tile = tile_for(target, 2, ROWS, WIDTH)
        for descriptors in (True, False) if tile.descriptors else (False,):
            form = "tma" if descriptors else "pointer"
            types = operand_types(tile, "bf16", descriptors)
            constants = tile_constants(tile, DESCRIPTORS=descriptors, ENTROPY=True)
            found.append((f"forward {form}", logprob_partials, target, constants, tile.options, types))
            types = {**types, "out": "*bf16"}
            found.append((f"gradient {form}", logit_gradient, target, constants, tile.options, types))
        merge = {**MERGE, "ENTROPY": True, "CAP": False}
        found.append(
            ("merge", logprob_merge, target, merge, {"num_warps": 4, **FUSED}, operand_types(tile, "bf16", False))
        )
    return found


def main() -> None:
    for name, kernel, target, constants, options, types in cases():
        figures = compile_kernel(kernel, target, constants, options, types)
        print(json.dumps({"name": name, "target": target, **figures}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
