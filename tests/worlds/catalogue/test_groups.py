"""Groups of users, and what they like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from rerec_engine.data.knowledge import Knowledge
from rerec_engine.worlds.catalogue.groups import FEWEST, OFTEN, find_groups, said_of
from rerec_engine.worlds.catalogue.shelf import Shelf


def liking(knowledge: Knowledge, profiles: list[str], attribute: int) -> Knowledge:
    """The first half of the users takes what has the attribute, the others what has it not."""
    have = knowledge.attributes.item_attributes[:, attribute].toarray().ravel() > 0
    rng = np.random.default_rng(0)
    pools = np.flatnonzero(have), np.flatnonzero(~have)
    users = range(len(profiles))
    histories = [rng.choice(pools[user >= len(profiles) // 2], 8, replace=False) for user in users]
    return replace(knowledge, profiles=profiles, histories=histories)


def test_a_group_likes_what_its_members_take(games: Callable[..., Knowledge]) -> None:
    """Ages of one year are joined to groups; parts are groups alone, and in pairs."""
    own = games("chat")
    attribute = int(own.attributes.item_attributes.sum(0).argmax())
    profiles = [f"{25 + user % 9} years old, female" for user in range(FEWEST)] + ["61 years old, male"] * FEWEST
    groups = {group.name: group for group in find_groups(Shelf(liking(own, profiles, attribute)))}
    women = groups["a woman, 25 to 34 years old"]
    assert women.attribute == attribute
    assert women.members.tolist() == list(range(FEWEST))
    assert {"a woman", "25 to 34 years old", "a man, 56 or more years old"} <= {*groups}
    assert groups["a man"].attribute != attribute


def test_small_groups_and_those_of_nobody_are_none(games: Callable[..., Knowledge]) -> None:
    own = games("chat")
    few = liking(own, ["female"] * (FEWEST - 1) + ["", ""], 0)
    assert find_groups(Shelf(few)) == []
    assert find_groups(Shelf(replace(own, profiles=[]))) == []
    assert find_groups(Shelf(replace(own, histories=[np.zeros(0, np.int64)] * 60))) == []


def test_what_a_group_likes_is_common_in_it(games: Callable[..., Knowledge]) -> None:
    shelf = Shelf(games("chat"))
    groups = find_groups(shelf)
    assert groups
    for group in groups:
        taken = np.concatenate([shelf.knowledge.histories[user] for user in group.members])
        everything = np.concatenate(shelf.knowledge.histories)
        own, overall = (np.isin(items, shelf.holders(group.attribute)).mean() for items in (taken, everything))
        assert own >= OFTEN
        assert own > overall


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (("under 18 years old", "female"), "a woman, not yet 18 years old"),
        (("male", "retired"), "a man and retired"),
        (("engineer",), "an engineer"),
        (("male", "from Italy"), "a man from Italy"),
        (("from Italy",), "from Italy"),
        (("engineer", "from Italy"), "an engineer from Italy"),
    ],
)
def test_words(parts: tuple[str, ...], said: str) -> None:
    assert said_of(parts) == said
