"""What a wheel and a source distribution hold, built from a copy of the sources. The C++ module is not built again."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the build reads, with a kernel and its neighbour that import one another."""
    root = tmp_path_factory.mktemp("sources")
    no_builds = shutil.ignore_patterns("__pycache__", "*.so")
    for folder in ("rerec_engine", "kernels", "csrc", "tests"):
        shutil.copytree(ROOT / folder, root / folder, symlinks=True, ignore=no_builds)
    for name in ("pyproject.toml", "setup.py", "CMakeLists.txt", "MANIFEST.in", "LICENSE", "CHANGELOG.md", "README.md"):
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, root)
    (root / "kernels" / "probe.py").write_text("from .probe_neighbour import ANSWER\n")
    (root / "kernels" / "probe_neighbour.py").write_text("ANSWER = 42\n")
    return root


def setup(sources: Path, *arguments: str) -> None:
    command = [sys.executable, "setup.py", "--quiet", *arguments]
    result = subprocess.run(command, cwd=sources, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def files_of(root: Path, *suffixes: str) -> set[str]:
    return {str(p.relative_to(root)) for p in root.rglob("*") if p.suffix in suffixes and "__pycache__" not in p.parts}


def test_wheel_holds_package_kernels_and_data(sources: Path, tmp_path: Path) -> None:
    setup(sources, "build_py", "--build-lib", str(tmp_path))
    built = tmp_path / "rerec_engine"
    kept = (".py", ".pyi", ".yaml", ".html", ".js", ".css")
    kernels = {f"kernels/{name}" for name in files_of(sources / "kernels", ".py")}
    assert files_of(built, *kept) == files_of(sources / "rerec_engine", *kept) | kernels
    assert (built / "py.typed").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"rerec_engine"}


def test_wheel_is_imported_from_elsewhere(sources: Path, tmp_path: Path) -> None:
    setup(sources, "build_py", "--build-lib", str(tmp_path))
    spec = importlib.util.find_spec("rerec_engine._core")
    assert spec is not None, "the C++ module is not built: pip install -e ."
    assert spec.origin is not None
    shutil.copy(spec.origin, tmp_path / "rerec_engine")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import rerec_engine, rerec_engine._core, rerec_engine.config\n"
        "from rerec_engine.kernels.probe import ANSWER\n"
        "print(rerec_engine._core.__file__, ANSWER)\n"
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    result = subprocess.run([sys.executable, "-c", code], cwd=elsewhere, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(str(tmp_path))
    assert result.stdout.endswith(" 42\n")


def test_source_distribution_holds_what_a_build_needs(sources: Path, tmp_path: Path) -> None:
    setup(sources, "sdist", "--dist-dir", str(tmp_path))
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    native = {f"csrc/{path.relative_to(sources / 'csrc')}" for path in (sources / "csrc").rglob("*") if path.is_file()}
    needed = {"setup.py", "pyproject.toml", "CMakeLists.txt", "LICENSE", "rerec_engine/kernels/probe.py"}
    assert native | needed <= names
    assert not [name for name in names if name.startswith("tests")]
