"""Every kernel compiled for the processors it is meant for: registers, spills, shared memory, matrix instructions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("triton", reason="Triton is not installed")

SHARED = {"sm_90": 227 * 1024, "sm_80": 163 * 1024, "gfx942": 64 * 1024}
REGISTERS = {"sm_90": 255, "sm_80": 255, "gfx942": 512}
PRODUCTS = ("forward", "anchored", "gradient")


@pytest.fixture(scope="module")
def compiled(figures: list[str]) -> list[dict[str, Any]]:
    """The figures of every kernel, from a process in which Triton compiles."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    script = Path(__file__).with_name("aot.py")
    done = subprocess.run([sys.executable, "-W", "ignore", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    columns = ("target", "name", "registers", "spill_stores", "shared", "matrix", "wgmma", "instructions", "spills")
    figures += ["  ".join(f"{c:>{27 if c == 'name' else 12}}" for c in columns)]
    figures += ["  ".join(f"{x.get(c, ''):>{27 if c == 'name' else 12}}" for c in columns) for x in found]
    print("\n".join(figures))
    return found


def test_registers_and_shared_memory_suffice(compiled: list[dict[str, Any]]) -> None:
    for x in compiled:
        assert x["shared"] <= SHARED[x["target"]], x
        assert x["registers"] <= REGISTERS[x["target"]], x
    assert {x["target"] for x in compiled} == set(SHARED)


def test_no_product_spills(compiled: list[dict[str, Any]]) -> None:
    products = [x for x in compiled if x["name"].startswith(PRODUCTS) and "rows" not in x["name"]]
    assert [x for x in products if x["spill_stores"]] == []


def test_products_use_the_matrix_units(compiled: list[dict[str, Any]]) -> None:
    products = [x for x in compiled if x["name"].startswith(PRODUCTS) and "rows" not in x["name"]]
    assert len(products) == 15
    assert all(x["matrix"] > 0 for x in products)
    assert all(x["wgmma"] > 0 for x in products if x["target"] == "sm_90")
