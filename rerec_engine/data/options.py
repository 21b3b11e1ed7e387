"""The options of `prepare`'s sources, apart from the code that follows them: a command's help needs nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

EmbeddingKind = Literal["lightgcn", "als", "attributes"]
TextKind = Literal["situational", "direct"]


@dataclass(frozen=True)
class EmbeddingOptions:
    """How items are embedded for PAS."""

    embeddings: EmbeddingKind = "lightgcn"
    """Learn from the interactions (lightgcn, als), or take the SVD of the item-attribute matrix (attributes)."""
    dim: int = 64
    """Numbers of an item's embedding."""
    epochs: int = 30
    """Passes of LightGCN over the interactions."""
    batch: int = 0
    """Triples of a LightGCN step; 0: 2048, or a hundredth of the interactions where that is more."""
    threads: int = 0
    """CPU threads; 0: all cores."""


@dataclass(frozen=True)
class MovieLensOptions:
    """Which requests are made."""

    max_queries: int = 10_000
    """Draw at most so many queries a split, by seed."""
    history: int = 10
    """Items of the user's past in a prompt at most."""
    skip_bad: bool = False
    """Leave broken rows out, and count them."""
    seed: int = 0
    """Seed of what is drawn."""


@dataclass(frozen=True)
class SequenceOptions:
    """What users take next, with --task next-item."""

    history: int = 10
    """Items of the user's past in a prompt at most."""
    listed: int = 1
    """Items that a query asks for, the likeliest first, and that the answers for a warm start name: the right one, then
    what most often followed the user's last item, then what is popular."""


@dataclass(frozen=True)
class RecBenchOptions:
    """How queries become prompts."""

    text: TextKind = "situational"
    """Take this description of a condition query as the request."""
    open: bool = False
    """Leave the candidates out: the ground truth is then the whole list."""
    history: int = 10
    """Items of the source user, ground truth left out, in a prompt at most."""
    facts: Literal["none", "asked", "all"] = "none"
    """What a prompt tells of candidates, of items named and of the history: nothing, what the request is about as the
    assistant reads it, or all that is known."""
    skip_bad: bool = False
    """Leave broken rows out, and count them."""
    seed: int = 0
    """Seed of what is drawn."""


@dataclass(frozen=True)
class ParquetOptions:
    """How rows become prompts."""

    open: bool = False
    """Take every query as an open one, without looking for candidates in its prompt."""
    skip_bad: bool = False
    """Leave broken rows out, and count them."""
    seed: int = 0
    """Seed of what is drawn."""


@dataclass(frozen=True)
class FilesOptions:
    """What the items are called, and what the columns are. Columns that are not named are guessed from their names."""

    noun: str = "item"
    """What an item is called: "board game"."""
    plural: str = ""
    """Its plural, where it is no regular one."""
    item_columns: tuple[str, ...] = ()
    """Of the items: id, title, year, text (a description), such as id=asin title=name; another name renames a column.
    A number is a column's place in a file without a header."""
    interaction_columns: tuple[str, ...] = ()
    """Of the interactions: user, item, time."""
    attribute_columns: tuple[str, ...] = ()
    """Of the attributes: item, relation, value."""
    user_columns: tuple[str, ...] = ()
    """Of the users: id, age, gender, occupation, country."""
    split: tuple[str, ...] = ()
    """Columns of the items whose cells hold several values, and what stands between them: tags=/ themes=;"""
    whole: tuple[str, ...] = ()
    """Columns whose cells are not split."""
    ignore: tuple[str, ...] = ()
    """Columns to leave out."""
    form: Literal["sentences", "chat"] = "sentences"
    """Of the prompts: sentences for a small model made on the spot, chat for a pretrained one."""
    facts: Literal["none", "asked", "all"] = "asked"
    """What a prompt tells of candidates, of items named and of the history: nothing, what the request is about, or all
    that is known."""
    order: Literal["fixed", "fresh"] = "fresh"
    """Of the candidates: as they lie in the file, or drawn each time a query is asked."""
    skip_bad: bool = False
    """Leave broken rows out, and count them."""
