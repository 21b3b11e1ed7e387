"""Builds `rerec_engine._core` with CMake; everything else about the package is in `pyproject.toml`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import SetupError

ROOT = Path(__file__).resolve().parent


class CMakeExtension(Extension):
    """An extension whose sources CMakeLists.txt knows."""

    def __init__(self, name: str) -> None:
        super().__init__(name, sources=[])


def check_tools() -> None:
    """One line for what is missing, instead of CMake's page."""
    if shutil.which("cmake") is None:
        raise SetupError("cmake is missing: pip install cmake, then run this again")
    if sys.platform != "win32":
        compilers = [os.environ["CXX"].split()[0]] if os.environ.get("CXX", "").strip() else ["c++", "g++", "clang++"]
        if not any(shutil.which(compiler) for compiler in compilers):
            raise SetupError(f"no C++17 compiler ({', '.join(compilers)}): install one, e.g. apt install g++")
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.is_file():
        raise SetupError(f"{header} is missing: install Python's headers, e.g. apt install python3-dev")
    try:
        import pybind11  # noqa: F401
    except ImportError:
        raise SetupError("pybind11 is missing: pip install 'pybind11>=3', then run this again") from None


class CMakeBuild(build_ext):
    """Runs CMake; `pip install -e .` then finds the module inside the package, a wheel carries it."""

    def build_extension(self, ext: Extension) -> None:
        if not isinstance(ext, CMakeExtension):
            super().build_extension(ext)
            return
        check_tools()
        import pybind11

        output = Path(self.get_ext_fullpath(ext.name)).resolve().parent
        ninja = None if "CMAKE_GENERATOR" in os.environ else shutil.which("ninja")
        build = Path(self.build_temp).resolve() / ("cmake-ninja" if ninja else "cmake")
        build.mkdir(parents=True, exist_ok=True)
        configure = [
            "cmake",
            str(ROOT),
            f"-DCMAKE_BUILD_TYPE={'Debug' if self.debug else 'Release'}",
            f"-DREREC_OUTPUT_DIR={output.as_posix()}",
            f"-DPython_EXECUTABLE={Path(sys.executable).as_posix()}",
            f"-Dpybind11_DIR={Path(pybind11.get_cmake_dir()).as_posix()}",
        ]
        if ninja:  # named, since an isolated build's ninja is gone by the next one
            configure += ["-GNinja", f"-DCMAKE_MAKE_PROGRAM={Path(ninja).as_posix()}"]
        for step, command in (("configure", configure), ("build", ["cmake", "--build", ".", "--config", "Release"])):
            try:
                subprocess.run(command, cwd=build, check=True)
            except subprocess.CalledProcessError as error:
                raise SetupError(f"the C++ module failed to {step} (exit {error.returncode}); see above") from None


setup(ext_modules=[CMakeExtension("rerec_engine._core")], cmdclass={"build_ext": CMakeBuild})
