from __future__ import annotations

import doctest
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.data import facts as module
from rerec_engine.data.description import DatasetDescription, Number, Wording
from rerec_engine.data.facts import YEAR, Facts, asked_order, clean_names
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.graph.numbers import ItemNumbers

nan = np.nan
TRIPLES = [
    (0, "starring", "Ann Able"),
    (0, "starring", "Bo Bent (actor)"),
    (0, "set_in", "Rome"),
    (0, "genre", "War"),
    (1, "genre", "War"),
    (1, "genre", "Drama"),
]
NUMBERS = {
    "price": ItemNumbers(np.array([24.95, 30.0, nan]), np.array([24.95, 30.0, nan])),
    "players": ItemNumbers(np.array([2.0, 1.0, nan]), np.array([4.0, 1.0, nan])),
}


def known(*, titles: tuple[str, ...] = ("Heat (1995)", "Pax", "Ra"), **fields: Any) -> Knowledge:
    """Three items; `fields` are those of the description, and texts."""
    texts = fields.pop("texts", ())
    said: dict[str, Any] = {
        "facts": "all",
        "numbers": {"price": Number("euros", "price"), "players": Number("players", "players")},
        "relations": {"genre": Wording("", "genre"), "starring": Wording("starring", "star")},
    }
    graph = AttributeGraph.from_triples(TRIPLES, 3)
    return Knowledge(titles, (1995, 1994, None), graph, DatasetDescription(**{**said, **fields}), NUMBERS, texts)


def test_all_that_is_known_in_the_order_of_a_sentence() -> None:
    facts = Facts(known(texts=(None, "A  quick\ngame", "")))
    assert facts.of(0) == "War; starring Ann Able, Bo Bent; set in Rome; 24.95 euros; 2 to 4 players"
    assert facts.of(1) == "War, Drama; 30 euros; 1 player; of 1994; A quick game"  # no title tells that year
    assert facts.of(2) == ""


def test_only_what_is_asked_and_nothing_where_nothing_is_known_of_it() -> None:
    facts = Facts(known(facts="asked", texts=("A game", "A game", "A game")))
    assert facts.of(0, ("starring", "price")) == "starring Ann Able, Bo Bent; 24.95 euros"
    assert facts.of(1, ("starring",)) == facts.of(2, ("genre", "players", YEAR)) == facts.of(0, ("unheard of",)) == ""
    assert facts.of(0, (YEAR,)) == "of 1995"  # though its title tells it
    assert facts.of(0) == ""


def test_relations_are_told_in_the_order_asked() -> None:
    facts = Facts(known(facts="asked"))
    assert facts.of(0, ("set_in", "price", "starring")) == "set in Rome; starring Ann Able, Bo Bent; 24.95 euros"
    assert facts.of(0, ("starring", "set_in")) == "starring Ann Able, Bo Bent; set in Rome"


def test_what_narrows_the_choice_most_is_asked_first_and_what_is_excluded_last() -> None:
    graph = AttributeGraph.from_triples([*TRIPLES, (2, "starring", "Cy")], 3)  # starring 3 values, genre 2, set_in 1
    assert asked_order(graph, ["set_in", "genre", "starring"]) == ("starring", "genre", "set_in")
    assert asked_order(graph, ["price", "set_in"], ["starring", "genre"]) == ("set_in", "price", "starring", "genre")
    assert asked_order(graph, ["genre"], ["genre"]) == ("genre",)
    assert asked_order(graph, []) == ()


def test_nothing_where_the_dataset_shows_none() -> None:
    assert Facts(known(facts="none")).of(0, ("genre",)) == ""


def test_sentences_stand_their_commas_alone() -> None:
    assert Facts(known(form="sentences", facts="asked")).of(0, ("starring", "genre")) == (
        "starring Ann Able , Bo Bent ; War"
    )


def test_a_number_without_a_unit_of_its_own_is_told_with_its_role() -> None:
    assert Facts(known(numbers={"price": Number("", "price")})).of(1).split("; ")[1:3] == ["price 30", "players 1"]
    same = {"price": Number("minutes", "set-up"), "players": Number("minutes", "playing time")}
    assert Facts(known(numbers=same)).of(1).split("; ")[1:3] == ["set-up 30 minutes", "playing time 1 minute"]


def crowded(values: dict[str, list[str]], tokens: int, text: str = "", facts: str = "all") -> str:
    """What is told of an item with these values, within so many tokens."""
    triples = [(0, relation, value) for relation, own in values.items() for value in own]
    said = DatasetDescription(facts=facts, fact_tokens=tokens, relations={r: Wording(r, r) for r in values})
    graph = AttributeGraph.from_triples(triples, 1)
    return Facts(Knowledge(("T",), (None,), graph, said, texts=(text,))).of(0, tuple(values))


def test_a_long_relation_leaves_the_others_their_share() -> None:
    cast = [f"Actor Number{i}" for i in range(30)]
    told = crowded({"starring": cast, "by": ["Jo Roe"], "in": ["Rome", "Paris"]}, 20)
    assert told == "starring Actor Number0, Actor Number1, ...; by Jo Roe; in Rome, Paris"
    assert len(told) <= 80


def test_a_value_that_is_too_long_for_its_share_takes_what_the_others_leave() -> None:
    long = "x" * 50
    assert crowded({"by": [long, "Jo"], "in": ["Rome"]}, 16) == "by Jo, ...; in Rome"
    assert crowded({"by": [long], "in": ["Rome"]}, 17) == f"by {long}; in Rome"
    assert crowded({"by": [long], "in": ["Rome"]}, 10) == "in Rome"


def test_the_description_takes_what_is_left_in_whole_words() -> None:
    told = crowded({"by": ["Jo Roe"]}, 10, "A quick card game for two to four players and their dogs")
    assert told == "by Jo Roe; A quick card game for two ..."
    cast = [f"Actor Number{i}" for i in range(30)]
    shared = crowded({"starring": cast}, 20, "A quick card game for two to four players and their dogs")
    assert shared == "starring Actor Number0, ...; A quick card game for two to four players and ..."
    assert crowded({}, 2, "incomprehensibilities") == ""


@given(
    st.dictionaries(
        st.sampled_from(["by", "starring", "in"]),
        st.lists(st.text("ab ", min_size=1, max_size=30).filter(str.strip), min_size=1, max_size=12),
    ),
    st.integers(1, 60),
    st.text("ab ", max_size=80),
)
def test_facts_keep_to_their_tokens_and_names_stay_whole(values: dict[str, list[str]], tokens: int, text: str) -> None:
    told = crowded(values, tokens, text)
    assert len(told) <= 4 * tokens
    short = crowded(values, tokens, facts="asked")
    names = {" ".join(value.split()) for own in values.values() for value in own} | {"..."}
    for part in short.split("; ") if short else []:
        relation, _, rest = part.partition(" ")
        assert relation in values
        assert set(rest.split(", ")) <= names


def test_names_are_shown_clean() -> None:
    assert doctest.testmod(module).failed == 0
    assert clean_names(["Kit (blue)", "Kit (red)", "A4 (80 g)", "dbr:Jo_Roe_(actor)", "(odd)", "a_b"]) == (
        "Kit (blue)",
        "Kit (red)",
        "A4 (80 g)",
        "Jo Roe",
        "(odd)",
        "a_b",
    )
    assert clean_names(["Seven (part one)", "Six (part one)"], ["Seven (part one)"]) == ("Seven (part one)", "Six")
    assert Facts(known()).names[1] == "Bo Bent"


def test_values_that_look_alike_once_clean_are_told_once() -> None:
    graph = AttributeGraph.from_triples([(0, "by", "dbr:Jo_Roe"), (0, "by", "Jo Roe")], 1)
    said = DatasetDescription(facts="all", relations={"by": Wording("by", "maker")})
    assert Facts(Knowledge(("T",), (None,), graph, said)).of(0) == "by Jo Roe"
