"""Small made worlds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rerec_engine.worlds.world import World, make_world

SEED = 5
GROUP = 10  # users 1 to 10 of `folder` are of one group, the others of another
SMALL: dict[str, Any] = {"short_traces": 5, "medium_traces": 5, "full_traces": 5, "biased_traces": 5} | {
    "embedding_epochs": 1, "candidates": 8, "train_queries": 30, "val_queries": 12, "test_queries": 24
}  # fmt: skip


@pytest.fixture
def small() -> dict[str, Any]:
    """Options of every made dataset that make it a small one."""
    return dict(SMALL)


@pytest.fixture(scope="session")
def world() -> World:
    """The demo's of seed 5."""
    return make_world(SEED)


HEADERS = {
    "inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n",
    "item": "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n",
    "user": "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n",
}
GENRES = ("War", "Drama Romance", "Comedy", "Crime Drama Horror")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 films and one without a year; users 1..24 met twelve of them each, user 25 four, user 26 six."""
    path = tmp_path_factory.mktemp("small")
    items = [f"{i}\tFilm {i}\t{1950 + i // 6}\t{GENRES[i % 4]}" for i in range(1, 61)] + ["61\tUnknown\tV\tDrama"]
    sizes = dict.fromkeys(range(1, 25), 12) | {25: 4, 26: 6}
    rows = [
        f"{u}\t{(u * 7 + k * 5) % 60 + 1}\t3\t{1000 * u - k}"  # in falling order of time
        for u, size in sizes.items()
        for k in range(size)
    ] + ["1\t61\t5\t1"]
    jobs = {u: "writer" if u <= GROUP else "retired" for u in sizes}
    users = [f"{u}\t{24 if u <= GROUP else 61}\tM\t{job}\t8" for u, job in jobs.items()]
    for suffix, lines in {"item": items, "inter": rows, "user": users}.items():
        (path / f"small.{suffix}").write_text(HEADERS[suffix] + "\n".join(lines) + "\n")
    return path
