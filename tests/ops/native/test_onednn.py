"""Who multiplies float32 matrices, and that it stays exact."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from rerec_engine.ops.native import onednn


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stands for torch's own."""
    kept = SimpleNamespace(fp32_precision="none")
    monkeypatch.setattr(onednn, "_setting", lambda: kept)
    return kept


@pytest.mark.parametrize(
    ("vendor", "capability", "amx", "expected"),
    [
        ("AuthenticAMD", "AVX512", False, True),
        ("AuthenticAMD", "AVX2", False, False),
        ("AuthenticAMD", "AVX512", True, False),
        ("GenuineIntel", "AVX512", False, False),
        ("", "AVX512", False, False),
    ],
)
def test_where_onednn_beats_mkl(
    vendor: str, capability: str, amx: bool, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nvendor_id\t: {vendor}\n" if vendor else "")
    monkeypatch.setattr(onednn, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    assert onednn.beats_mkl.__wrapped__() is expected


@pytest.mark.parametrize("beats", [False, True])
@pytest.mark.parametrize("exact", [False, True])
def test_it_multiplies_where_it_is_faster_and_exact(
    beats: bool, exact: bool, setting: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onednn, "beats_mkl", lambda: beats)
    monkeypatch.setattr(onednn, "_exact", lambda: exact)
    assert onednn.multiply_with_onednn() is onednn.with_onednn() is (beats and exact)
    assert setting.fp32_precision == ("bf16" if beats and exact else "none")
    assert onednn.multiply_with_onednn() is (beats and exact)


def test_an_older_torch_stays_with_mkl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "_setting", lambda: None)
    monkeypatch.setattr(onednn, "beats_mkl", lambda: True)
    assert not onednn.multiply_with_onednn()


def test_a_rounded_product_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert onednn._exact()
    draw = torch.randn
    monkeypatch.setattr(torch, "randn", lambda *shape, **more: draw(*shape, **more).as_subclass(Rounding))
    assert not onednn._exact()


class Rounding(torch.Tensor):
    """Its products are of operands in bfloat16; their doubles are plain."""

    def __matmul__(self, other: torch.Tensor) -> torch.Tensor:
        return (self.as_subclass(torch.Tensor).bfloat16() @ other.as_subclass(torch.Tensor).bfloat16()).float()

    def double(self) -> torch.Tensor:  # type: ignore[override]
        return self.as_subclass(torch.Tensor).double()
