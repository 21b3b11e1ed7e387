"""What the doors of raw data share: shares of the splits, files found in folders, the way from reading to writing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rerec_engine.cli import waiting
from rerec_engine.data.options import EmbeddingOptions, MovieLensOptions, ParquetOptions, RecBenchOptions
from rerec_engine.errors import UserError

if TYPE_CHECKING:
    from rerec_engine.data.assemble import Prepared


@dataclass(frozen=True)
class Shares:
    """Shares of the queries that are held out; queries with the same ground truth stay on one side."""

    val: float = 0.1
    """Share of the queries in the val split."""
    test: float = 0.1
    """Share of the queries in the test split."""


def folder(path: Path | None) -> Path | None:
    """The path, which is a folder where it is given."""
    if path is not None and not path.is_dir():
        raise UserError(f"{path}: no such directory")
    return path


def found(roots: list[Path], folders: tuple[str, ...], names: tuple[str, ...]) -> Path | None:
    """The first of the files that is there, under any of the roots and folders."""
    paths = [root / folder / name for root in roots for folder in folders for name in names]
    return next((path for path in paths if path.is_file()), None)


def write(
    output: Path,
    sources: object,
    read: Callable[[dict[str, float]], Prepared],
    options: MovieLensOptions | ParquetOptions | RecBenchOptions,
    embedding: EmbeddingOptions,
    shares: Shares,
) -> str:
    """Read, embed and write; the report as text. read: from the shares of the splits. Raises UserError."""
    from rerec_engine.data.assemble import check_shares, finish
    from rerec_engine.prepare.long_prompts import told_long

    checked = check_shares(shares.val, shares.test)
    with waiting("reading the sources"):
        prepared = read(checked)
    settings = {"sources": str(sources), **asdict(options), **asdict(shares)}
    with waiting(f"embedding {len(prepared.items.titles)} items ({embedding.embeddings})"):
        told = finish(output, prepared, embedding, options.seed, settings)
    return told + told_long(prepared.splits.get("train", ()), prepared.files)
