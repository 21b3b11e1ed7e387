"""Names of a package that are looked up when they are first used."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from rerec_engine.cli.lazy import on_demand

ROOT = Path(__file__).resolve().parents[2]


def test_a_name_is_that_of_its_module() -> None:
    find = on_demand("pack", Fraction="fractions", dumps="json")
    assert find("Fraction") is Fraction
    assert find("dumps")([1]) == "[1]"


def test_a_module_is_imported_when_it_is_asked_for() -> None:
    find = on_demand("pack", Fraction="fractions", gone="rerec_engine.no_such_module")
    assert find("Fraction") is Fraction
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        find("gone")


def test_an_unknown_name_is_told_as_python_tells_it() -> None:
    find = on_demand("pack", Fraction="fractions")
    with pytest.raises(AttributeError, match=r"^module 'pack' has no attribute 'Fractions'$"):
        find("Fractions")


def test_a_name_that_its_module_lacks_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="fractions"):
        on_demand("pack", Whole="fractions")("Whole")


@pytest.mark.parametrize("package", ["report", "share", "experiment"])
def test_packages_with_a_command_load_without_torch(package: str) -> None:
    code = f"import sys, rerec_engine.{package} as p; print('torch' in sys.modules, *p.__all__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded, *names = done.stdout.split()
    assert loaded == "False"
    assert names
