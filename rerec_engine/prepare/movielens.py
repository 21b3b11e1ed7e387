"""`prepare movielens`: one copy of MovieLens."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rerec_engine.data.options import EmbeddingOptions, MovieLensOptions
from rerec_engine.errors import UserError
from rerec_engine.prepare.places import Shares, folder, write

if TYPE_CHECKING:
    from rerec_engine.data.movielens import MovieLensSources


@dataclass(frozen=True)
class MovieLens:
    """MovieLens-100K (RecBole atomic files) or MovieLens-1M (.dat) as next-item requests."""

    output: Path
    """Dataset directory to write."""
    source: Path | None = None
    """The folder of one MovieLens copy, in which the files below are found, where they are not given."""
    catalogue: Path | None = None
    """movies.dat, a RecBole .item file, or tab-separated id, title[, year]."""
    interactions: Path | None = None
    """ratings.dat, a RecBole .inter file, or train.txt with test.txt, item_map.txt and user_map.txt beside it."""
    attributes: Path | None = None
    """Tab-separated item id, relation, value, or a RecBole .kg file with the .link of its name beside it."""
    users: Path | None = None
    """users.dat, or a RecBole .user file."""
    embedding: EmbeddingOptions = field(default_factory=EmbeddingOptions)
    options: MovieLensOptions = field(default_factory=MovieLensOptions)
    shares: Shares = field(default_factory=Shares)

    def run(self) -> str:
        """Write the dataset directory; the report as text. Raises UserError."""
        from rerec_engine.data.movielens import prepare_movielens

        sources = _sources(self)
        read = partial(prepare_movielens, sources, self.options)
        return write(self.output, sources, read, self.options, self.embedding, self.shares)


def _sources(task: MovieLens) -> MovieLensSources:
    from rerec_engine.data.movielens import MovieLensSources, find_movielens

    source = folder(task.source)
    if source is not None:
        found = find_movielens(source)
    elif task.catalogue and task.interactions:
        found = MovieLensSources(task.catalogue, task.interactions)
    else:
        raise UserError("give --source DIR, or --catalogue and --interactions")
    return MovieLensSources(
        task.catalogue or found.catalogue,
        task.interactions or found.interactions,
        task.attributes or found.attributes,
        task.users or found.users,
    )
