"""Public data fetched: terms first, a broken download goes on where it ended, the file is what it was when pinned."""

from __future__ import annotations

import hashlib
import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rerec_engine.errors import UserError, file_error
from rerec_engine.files import replacing

CHUNK = 1 << 20
SECONDS = 60
"""Without a byte, after which a download is given up."""


@dataclass(frozen=True)
class Archive:
    """A zip archive at an address, with its SHA-256 and the terms it comes under."""

    address: str
    sha256: str
    megabytes: float
    terms: str


ARCHIVES = {
    "ml-1m": Archive(
        "https://files.grouplens.org/datasets/movielens/ml-1m.zip",
        "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
        5.9,
        "MovieLens 1M, GroupLens: for research; to be acknowledged in publications; no redistribution and no "
        "commercial use without permission; no endorsement may be implied. The whole text is in its README.",
    ),
}
"""By name."""


def fetch(archive: Archive, output: Path, address: str = "") -> list[str]:
    """Download, check and unpack into a folder; the names of its files. address: of a mirror.

    Raises UserError where the server, the sum or the disk refuses; what was received stays, and the next call goes on.
    """
    output.mkdir(parents=True, exist_ok=True)
    part = output / "download.part"
    for chunk in _received(address or archive.address, part):
        try:
            with part.open("ab") as file:
                file.write(chunk)
        except OSError as error:
            told = f"cannot write: {error.strerror or error}; the same command goes on from there"
            raise file_error(part, told) from None
    found = _sum(part)
    if found != archive.sha256:
        part.unlink()
        raise file_error(
            address or archive.address, f"is not the file that is known: SHA-256 {found}, expected {archive.sha256}"
        )
    names = _unpack(part, output)
    part.unlink()
    return names


def _received(address: str, part: Path) -> Iterator[bytes]:
    """What is still missing in `part`, which is emptied where the server begins anew."""
    start = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            if start and answer.status != 206:
                part.unlink()
            told = answer.headers.get("Content-Length")  # files have no `length`, but this
            wanted, size = None if told is None else int(told), 0
            while chunk := answer.read(CHUNK):
                size += len(chunk)
                yield chunk
            if wanted is not None and size < wanted:
                raise UserError(f"{address}: the connection ended early; the same command goes on from there")
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing is missing
            raise UserError(f"{address}: the server answers {error.code} {error.reason}") from None
    except (OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{address}: cannot be fetched: {getattr(error, 'reason', error)}") from None


def _sum(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _unpack(path: Path, output: Path) -> list[str]:
    """The archive's files, without its folders."""
    names = []
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                name = PurePosixPath(entry.filename).name
                if entry.is_dir() or name.startswith("."):
                    continue
                with archive.open(entry) as source, replacing(output / name) as temporary, temporary.open("wb") as file:
                    shutil.copyfileobj(source, file)
                names.append(name)
    except zipfile.BadZipFile as error:
        raise file_error(path, f"cannot be unpacked: {error}") from None
    return names
