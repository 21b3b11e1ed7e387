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


def test_groups_like_what_they_choose_more_than_others_do(games: Callable[..., Knowledge]) -> None:
    """By parts and pairs of parts of the profiles, compared with counts one by one."""
    knowledge = games("chat")
    shelf = Shelf(knowledge)
    groups = {group.name: group for group in find_groups(shelf)}
    assert set(groups) == {
        "25 to 34 years old", "a woman", "a programmer", "a woman, 25 to 34 years old", "a female programmer",
        "a programmer, 25 to 34 years old", "56 or more years old", "a man", "retired", "a man, 56 or more years old",
        "a man and retired", "retired, 56 or more years old",
    }  # fmt: skip
    fit = [a for a in range(len(shelf.graph.values)) if shelf.fit[a] and shelf.counts[a] > 1]
    chosen = [set(shelf.graph.ids_of(i).tolist()) for own in knowledge.histories for i in own]
    for group in groups.values():
        assert group.members.tolist() == [u for u in range(60) if u % 2 == (group.members[0] % 2)]
        own = [set(shelf.graph.ids_of(i).tolist()) for u in group.members for i in knowledge.histories[u]]
        shares = {a: sum(a in item for item in own) / len(own) for a in fit}
        lift = {a: shares[a] / np.mean([a in item for item in chosen]) for a in fit if shares[a] >= OFTEN}
        assert lift[group.attribute] == pytest.approx(max(lift.values()))
        assert lift[group.attribute] > 1


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (("under 18 years old", "female"), "a woman, not yet 18 years old"),
        (("male",), "a man"),
        (("25-34 years old",), "25 to 34 years old"),
        (("56 or more years old", "male"), "a man, 56 or more years old"),
        (("25-34 years old", "academic or educator"), "an academic or educator, 25 to 34 years old"),
        (("female", "artist"), "a female artist"),
        (("female", "sales or marketing"), "a woman in sales or marketing"),
        (("doctor or health care",), "in health care"),
        (("unemployed",), "unemployed"),
        (("male", "retired"), "a man and retired"),
        (("engineer",), "an engineer"),
        (("male", "from Italy"), "a man from Italy"),
        (("from Italy",), "from Italy"),
        (("engineer", "from Italy"), "an engineer from Italy"),
    ],
)
def test_words(parts: tuple[str, ...], said: str) -> None:
    assert said_of(parts) == said
