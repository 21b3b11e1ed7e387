"""`prepare demo`, `world` and `next-item`: made requests over an invented or a real catalogue."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rerec_engine.cli import waiting
from rerec_engine.worlds.options import DemoOptions, FilmOptions, NextItemOptions

MAKING = "making the requests, their traces, and the items' embeddings"


@dataclass(frozen=True)
class Demo:
    """The demo: an invented world of films, books and users, with requests and reasoning traces."""

    output: Path
    """Dataset directory to write."""
    options: DemoOptions = field(default_factory=DemoOptions)

    def run(self) -> str:
        """Write the dataset directory and say where. Raises UserError."""
        from rerec_engine.worlds.demo import write_demo

        with waiting(MAKING):
            write_demo(self.output, self.options)
        return f"written to {self.output}"


@dataclass(frozen=True)
class World:
    """The demo's kinds of requests over real films, genres, years and users of MovieLens."""

    output: Path
    """Dataset directory to write."""
    options: FilmOptions

    def run(self) -> str:
        """Write the dataset directory and say where. Raises UserError."""
        from rerec_engine.worlds.movielens import write_film_requests

        with waiting(MAKING):
            write_film_requests(self.output, self.options)
        return f"written to {self.output}"


@dataclass(frozen=True)
class NextItem:
    """Requests for what a user of MovieLens takes next, in the demo's sentences."""

    output: Path
    """Dataset directory to write."""
    options: NextItemOptions

    def run(self) -> str:
        """Write the dataset directory and say where. Raises UserError."""
        from rerec_engine.worlds.movielens import write_next_item

        with waiting(MAKING):
            write_next_item(self.output, self.options)
        return f"written to {self.output}"
