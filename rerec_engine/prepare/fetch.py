"""`prepare fetch`: public data whose terms allow it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rerec_engine.cli import waiting

SourceName = Literal["ml-1m"]


@dataclass(frozen=True)
class Fetch:
    """Download public data, check its SHA-256 and unpack it. The terms are shown first; --agree accepts them."""

    name: SourceName
    """What to fetch: ml-1m."""
    output: Path
    """Folder for its files."""
    agree: bool = False
    """You have read the terms, and agree to them."""
    address: str = ""
    """A mirror's address of the same file."""

    def run(self) -> str:
        """Fetch, or tell the terms. Raises UserError."""
        from rerec_engine.data.files.fetching import ARCHIVES, fetch

        archive = ARCHIVES[self.name]
        told = f"{archive.address} ({archive.megabytes:g} MB, SHA-256 {archive.sha256})\nterms: {archive.terms}"
        if not self.agree:
            return f"{told}\nnothing was fetched; if you agree, add --agree"
        print(told)
        with waiting(f"fetching {self.name}"):
            names = fetch(archive, self.output, self.address)
        return f"{', '.join(names)} written to {self.output}"
