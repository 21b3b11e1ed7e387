"""Which kinds of requests a catalogue allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from rerec_engine.data.knowledge import Knowledge
from rerec_engine.errors import UserError
from rerec_engine.worlds.catalogue.drafts import Picker
from rerec_engine.worlds.catalogue.kinds import KINDS, TURNS, kinds_of
from rerec_engine.worlds.catalogue.shelf import Shelf


def picker_of(knowledge: Knowledge, **changed: object) -> Picker:
    return Picker(Shelf(replace(knowledge, **changed)))  # type: ignore[arg-type]


def test_every_kind_has_its_turns() -> None:
    assert set(TURNS) == set(KINDS)


def test_all_that_the_catalogue_allows(games: Callable[..., Knowledge]) -> None:
    knowledge = games("chat")
    assert kinds_of(picker_of(knowledge), "") == TURNS
    for kind, changed in (
        ("years", {"years": [None] * 90}), ("numbers", {"numbers": {}}), ("demographics", {"profiles": []}),
    ):  # fmt: skip
        assert kinds_of(picker_of(knowledge, **changed), "") == [name for name in TURNS if name != kind]


def test_kinds_chosen_keep_their_turns(games: Callable[..., Knowledge]) -> None:
    chosen = kinds_of(picker_of(games("chat")), " several, explicit ,")
    assert chosen == [name for name in TURNS if name in ("explicit", "several")]


@pytest.mark.parametrize(
    ("kinds", "told"),
    [
        ("explict", "'explict' is none of explicit, exclusion"),
        ("years", "years needs years of items, and the catalogue has none"),
        ("explicit,numbers", "numbers needs numbers of items"),
        ("demographics", "demographics needs profiles of users"),
    ],
)
def test_kinds_that_cannot_be_are_told(games: Callable[..., Knowledge], kinds: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        kinds_of(picker_of(games("chat"), years=[None] * 90, numbers={}, profiles=[]), kinds)
