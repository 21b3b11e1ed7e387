"""The options of made datasets, each once: for the functions that write them, and for `prepare`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class TraceOptions:
    """Reasoning traces by a teacher that knows the catalogue: short lists first, since the skill is learned several
    times faster so."""

    short_traces: int = 14000
    """Reasoning traces for the warm start over about 5 candidates."""
    medium_traces: int = 3000
    """Traces over about 10 candidates."""
    full_traces: int = 7000
    """Traces over all candidates."""
    biased_traces: int = 2000
    """Traces over all candidates, of a teacher that is wrong about a share of the items, in a share of its mentions."""
    belief_share: float = 0.6
    """Share of the genres that this teacher takes for another."""
    belief_rate: float = 0.65
    """Share of its mentions of such an item that are wrong."""
    listed: int = 1
    """Items that requests ask for and traces name, the teacher's choice first; at most as many as candidates."""


@dataclass(frozen=True, kw_only=True)
class SizeOptions:
    """Size and seed of made queries."""

    seed: int = 0
    """Seed of everything that is drawn."""
    train_queries: int = 960
    """Queries to train on. No condition set of val or test occurs in them or in a trace."""
    val_queries: int = 200
    """Queries of the val split."""
    test_queries: int = 500
    """Queries of the test split."""
    candidates: int = 20
    """Candidates of each query, the right one among them."""

    @property
    def counts(self) -> dict[str, int]:
        """Queries by split."""
        return {"train": self.train_queries, "val": self.val_queries, "test": self.test_queries}


@dataclass(frozen=True, kw_only=True)
class CatalogueRequestOptions(SizeOptions):
    """Requests over any catalogue."""

    kinds: str = ""
    """Kinds of requests, separated by commas, of: explicit, exclusion, years, numbers, several, implicit, misinformed,
    interest, demographics. Empty: all that the catalogue allows."""
    traces: int = -1
    """Reasoning traces for a warm start; -1: 800 in the form chat, 24,000 in sentences. With --task next-item answers
    without reasoning; -1: to all of train."""
    llm: str = ""
    """Address of an OpenAI-compatible server (http://localhost:8000/v1) that says the requests in other words."""
    llm_model: str = ""
    """Name of the model there; empty: the first that the server names."""


@dataclass(frozen=True, kw_only=True)
class MadeOptions(SizeOptions, TraceOptions):
    """Size and seed of a made dataset."""

    embedding_epochs: int = 30
    """Epochs of LightGCN on the users' histories, which embeds the items."""


@dataclass(frozen=True, kw_only=True)
class RequestOptions(MadeOptions):
    """Requests of the five kinds over a world."""

    taste: Literal["", "told", "untold"] = ""
    """told or untold: all queries ask for something like two liked items, among candidates that satisfy the words
    alone; untold leaves the liked items out of the prompt. Empty: requests of all five kinds."""


@dataclass(frozen=True, kw_only=True)
class DemoOptions(RequestOptions):
    """The demo's invented world."""

    films: int = 200
    """Films in the catalogue."""
    books: int = 100
    """Books in the catalogue."""
    users: int = 300
    """Users with a history."""
    domain: Literal["", "film", "book"] = ""
    """Kind of item that all queries ask for; empty: both."""


@dataclass(frozen=True, kw_only=True)
class FilmOptions(RequestOptions):
    """Requests of the five kinds over real films."""

    movielens: Path
    """A folder of MovieLens, with times: its films, users and what they watched."""
    min_ratings: int = 50
    """Ratings that a film needs to be in the catalogue."""


@dataclass(frozen=True, kw_only=True)
class NextItemOptions(MadeOptions):
    """Requests for what a user takes next."""

    movielens: Path
    """A folder of MovieLens, with times: its films, users and what they watched."""
    min_ratings: int = 50
    """Ratings that a film needs to be in the catalogue."""
    history: int = 10
    """Films that the user took before, as the request names them."""
