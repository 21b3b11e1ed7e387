"""What the kernels share: units, tiles by architecture, memory bounds, matrix products with float32 results."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

import torch
import triton
import triton.language as tl

LOG2E = 1.4426950408889634
LN2 = 0.6931471805599453
MB = 2**20
WORKSPACE_MB = 1024.0
"""Every chunk reads and writes the float32 [V, H] gradient: chunks of fewer than some 2,000 rows wait for memory."""
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
"""Read once, like Triton does. The interpreter's 16-bit arithmetic is wrong; kernels widen their operands there."""


FUSED = {"enable_fp_fusion": True}
"""An option of every launch: Triton 3.10 changes the default."""


@dataclass(frozen=True)
class Tile:
    """How a matrix product over [rows, vocabulary] is cut, and what it is compiled with."""

    rows: int
    vocab: int
    depth: int
    warps: int
    stages: int
    group: int = 32  # row blocks that run side by side, so that their hidden states stay in the second-level cache
    descriptors: bool = False  # loads by TMA

    @property
    def options(self) -> dict[str, int | bool]:
        return {"num_warps": self.warps, "num_stages": self.stages, **FUSED}


TYPES = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}

_TILES = {  # (architecture, bytes of an element) -> tiles for few rows and for many
    ("sm_90", 2): (Tile(64, 256, 64, 4, 4, descriptors=True), Tile(128, 256, 64, 8, 3, descriptors=True)),
    ("sm_80", 2): (Tile(64, 128, 64, 4, 3), Tile(128, 128, 64, 8, 3)),
    ("gfx942", 2): (Tile(64, 128, 32, 4, 2), Tile(128, 128, 64, 8, 2)),
    ("sm_90", 4): (Tile(32, 64, 32, 4, 3), Tile(64, 64, 32, 4, 3)),
    ("sm_80", 4): (Tile(32, 64, 32, 4, 3), Tile(64, 64, 32, 4, 3)),
    ("gfx942", 4): (Tile(32, 64, 32, 4, 2), Tile(64, 64, 32, 4, 2)),
    ("interpreter", 2): (Tile(16, 128, 32, 4, 1, 2), Tile(32, 256, 64, 4, 1, 2, descriptors=True)),
    ("interpreter", 4): (Tile(16, 128, 32, 4, 1, 2), Tile(32, 256, 64, 4, 1, 2, descriptors=True)),
}
_FEW_ROWS = {"interpreter": 16}


def tile_for(arch: str, itemsize: int, rows: int, hidden: int) -> Tile:
    """The tile for `rows` rows of `hidden` elements of `itemsize` bytes."""
    few, many = _TILES[arch, itemsize]
    tile = few if rows <= _FEW_ROWS.get(arch, 64) else many
    depth = min(tile.depth, max(16, triton.next_power_of_2(hidden)))
    return Tile(tile.rows, tile.vocab, depth, tile.warps, tile.stages, tile.group, tile.descriptors)


@cache
def arch_of(device: torch.device) -> str:
    """The row of the tile table for a device; newer NVIDIA cards take sm_90's, older and unknown ones sm_80's."""
    if device.type != "cuda":
        return "interpreter"
    if torch.version.hip:
        return "gfx942"
    return "sm_90" if torch.cuda.get_device_capability(device)[0] >= 9 else "sm_80"


def operands(tile: Tile, hidden: torch.Tensor, weight: torch.Tensor) -> tuple[object, object, bool]:
    """The two operands as a kernel takes them, and whether they are descriptors (what TMA cannot address is not)."""
    fits = all(x.data_ptr() % 16 == 0 and x.stride(0) * x.element_size() % 16 == 0 for x in (hidden, weight))
    if not (tile.descriptors and fits):
        return hidden, weight, False
    from triton.tools.tensor_descriptor import TensorDescriptor

    blocks = [tile.rows, tile.depth], [tile.vocab, tile.depth]
    return *(TensorDescriptor.from_tensor(x, block) for x, block in zip((hidden, weight), blocks, strict=True)), True


def output(tile: Tile, out: torch.Tensor) -> tuple[object, dict[str, object]]:
    """A [T, V] buffer as a kernel writes it with `store_tile`, and that function's compile-time arguments."""
    fits = tile.descriptors and out.data_ptr() % 16 == 0 and out.stride(0) * out.element_size() % 16 == 0
    constants = {"DTYPE": TYPES[out.dtype], "OUT_DESCRIPTOR": fits}
    if not fits:
        return out, constants
    from triton.tools.tensor_descriptor import TensorDescriptor

    return TensorDescriptor.from_tensor(out, [tile.rows, tile.vocab]), constants


def tile_constants(tile: Tile, vocab: int, width: int, descriptors: bool) -> dict[str, int | bool]:
    """The compile-time arguments of every kernel that forms logit tiles."""
    return dict(
        ROWS=tile.rows,
        VOCAB=tile.vocab,
        DEPTH=tile.depth,
        GROUP=tile.group,
        RAGGED=vocab % tile.vocab != 0,
        EVEN=width % tile.depth == 0,
        DESCRIPTORS=descriptors,
        WIDEN=INTERPRETED,
    )


def rows_within(workspace_mb: float | None, row_bytes: int, rows: int) -> int:
    """Rows of a chunk whose buffers take `row_bytes` each, at most `rows`; ValueError where not one fits.

    A multiple of 128 where it can be, so that no chunk but the last has a partial block.
    """
    most = int((WORKSPACE_MB if workspace_mb is None else workspace_mb) * MB) // row_bytes
    if most < 1:
        raise ValueError(f"workspace_mb must hold a row of logits, here {row_bytes / MB:.4f} MB, got {workspace_mb}")
    if most < rows and most > 128:
        most -= most % 128
    return max(1, min(most, rows))


def chunks(count: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def take(x: torch.Tensor, index: torch.Tensor | None, part: slice) -> torch.Tensor:
    """Rows `index[part]` of x, or x[part] where there is no index."""
    return x[part] if index is None else x.index_select(0, index[part])


def put(out: torch.Tensor, index: torch.Tensor | None, part: slice, x: torch.Tensor) -> None:
    """The inverse of `take`."""
    if index is None:
        out[part] = x
    else:
        out.index_copy_(0, index[part], x.to(out.dtype))


@cache
def _widens(op: str, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether torch's `op` (mm or addmm) multiplies `dtype` into a float32 buffer here. Tried, not looked up."""
    if device.type != "cuda" or dtype == torch.float32:
        return False
    a = torch.ones(16, 16, dtype=dtype, device=device)
    out = torch.ones(16, 16, dtype=torch.float32, device=device)
    try:
        if op == "mm":
            torch.mm(a, a, out_dtype=torch.float32, out=out)
        else:
            torch.addmm(out, a, a, out_dtype=torch.float32, out=out)
    except (RuntimeError, TypeError):
        return False
    return bool((out == (16 if op == "mm" else 17)).all())


def mm_float(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
    """a @ b in float32, of operands of any supported dtype."""
    if out is None:
        out = torch.empty(a.shape[0], b.shape[1], dtype=torch.float32, device=a.device)
    with torch.autocast(a.device.type, enabled=False):
        if _widens("mm", a.device, a.dtype):
            return torch.mm(a, b, out_dtype=torch.float32, out=out)
        return torch.mm(a.float(), b.float(), out=out)


def add_mm(out: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> None:
    """out += a @ b, `out` being float32."""
    with torch.autocast(a.device.type, enabled=False):
        if _widens("addmm", a.device, a.dtype):
            torch.addmm(out, a, b, out_dtype=torch.float32, out=out)
        elif _widens("mm", a.device, a.dtype):
            for part in chunks(out.shape[0], 8192):
                out[part].add_(mm_float(a[part], b))
        else:
            out.addmm_(a.float(), b.float())


def add_weight_gradient(
    d_weight: torch.Tensor,  # [V, H] float32
    d_logits: torch.Tensor,  # [C, V]
    states: torch.Tensor,  # [C, H]
    scale: torch.Tensor | None,  # [C] float32
) -> None:
    """d_weight += d_logits^T diag(scale) states.

    float16 cannot hold scales of 1e-6 and less: there the largest one is kept outside the product.
    """
    if scale is None:
        add_mm(d_weight, d_logits.t(), states)
    elif states.dtype != torch.float16:
        add_mm(d_weight, d_logits.t(), (states * scale[:, None]).to(states.dtype))
    else:
        largest = scale.abs().amax().clamp(min=1e-37)
        scaled = (states * (scale / largest)[:, None]).to(states.dtype)
        for part in chunks(d_weight.shape[0], 8192):
            d_weight[part].add_(mm_float(d_logits[:, part].t(), scaled).mul_(largest))
