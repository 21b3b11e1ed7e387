"""By which relation a value is meant, what is claimed of titles, and names that nothing has: films with crews."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rerec_engine.assistant.conditions import Condition
from rerec_engine.assistant.mentions import Index, Reading
from rerec_engine.assistant.naming import Namer
from rerec_engine.assistant.negation import Target
from rerec_engine.data.dataset import Dataset
from rerec_engine.graph.attributes import AttributeGraph

TRIPLES = [
    (0, "Genre", "Crime"), (0, "Directed_by", "Michael Mann"), (0, "Starring", "Al Pacino"),
    (1, "Genre", "Drama"), (1, "Directed_by", "Michael Mann"), (1, "Written_by", "Michael Mann"),
    (1, "Starring", "Al Pacino"), (1, "Starring", "Russell Crowe"),
    (2, "Genre", "Crime"), (2, "Directed_by", "Michael Mann"), (2, "Starring", "Tom Cruise"),
    (6, "Genre", "Horror"), (6, "Directed_by", "Ridley Scott"), (6, "Music_by", "Jerry Goldsmith"),
    (7, "Genre", "Drama"), (7, "Directed_by", "Ridley Scott"), (7, "Starring", "Russell Crowe"),
    (8, "Set_in", "Paris"), (9, "Directed_by", "Tom Cruise"),
]  # fmt: skip


@pytest.fixture(scope="module")
def crews(films: Dataset) -> Dataset:
    return replace(films, attributes=AttributeGraph.from_triples(TRIPLES, films.item_count))


@pytest.fixture(scope="module")
def namer(crews: Dataset) -> Namer:
    return Namer(crews)


@pytest.fixture(scope="module")
def index(crews: Dataset) -> Index:
    return Index(crews)


def own_of(targets: list[Target]) -> list[Condition]:
    return [target.condition for target in targets if target.condition is not None]


def test_roles_are_those_of_the_dataset(namer: Namer) -> None:
    assert namer.roles == {
        "genre": ["Genre"],
        "director": ["Directed_by"],
        "starring": ["Starring"],
        "writer": ["Written_by"],
        "music": ["Music_by"],
        "place": ["Set_in"],
    }
    assert namer.role_words["composer"] == "music"
    assert "editor" not in namer.role_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("by Michael Mann", ["Directed by: Michael Mann"]),  # a director before a writer
        ("written by Michael Mann", ["Written by: Michael Mann"]),
        ("Michael Mann's screenplay", ["Written by: Michael Mann"]),
        ("Michael Mann as a writer", ["Written by: Michael Mann"]),
        ("Michael Mann", ["Michael Mann"]),  # either
        ("with Tom Cruise", ["Starring: Tom Cruise"]),
        ("by Tom Cruise", ["Directed by: Tom Cruise"]),
        ("directed by Tom Cruise", ["Directed by: Tom Cruise"]),
        ("a crime film with Al Pacino", ["Genre: Crime", "Starring: Al Pacino"]),
        ("set in Paris", ["Set in: Paris"]),
        ("the actor. Tom Cruise", ["Tom Cruise"]),  # another sentence
        ("I liked Heat (1995)", []),
        ("", []),
    ],
)
def test_words_beside_a_value_say_its_relation(namer: Namer, index: Index, text: str, expected: list[str]) -> None:
    targets, notes, _ = namer.values(index.read(text))
    assert [condition.text for condition in own_of(targets)] == expected
    assert notes == []


def test_the_word_of_a_role_is_used_up(namer: Namer, index: Index) -> None:
    assert namer.values(index.read("a film directed by Tom Cruise"))[2] == {2}
    assert namer.values(index.read("a film by Tom Cruise"))[2] == set()


def test_titles_are_targets_without_a_condition(namer: Namer, index: Index) -> None:
    targets, _, _ = namer.values(index.read("Heat (1995) or a drama"))
    assert [(t.condition is None, t.mention is not None and t.mention.is_title) for t in targets] == [
        (True, True),
        (False, False),
    ]


def test_a_role_that_the_value_has_not_is_told(namer: Namer, index: Index, crews: Dataset) -> None:
    targets, notes, _ = namer.values(index.read("directed by Russell Crowe"))
    (condition,) = own_of(targets)
    assert (condition.text, condition.relation, condition.attributes) == (
        "Directed by: Russell Crowe",
        "Directed_by",
        (),
    )
    assert condition.near == (crews.attributes.find("Starring", "Russell Crowe"),)
    assert not condition.mask(crews).any()
    assert notes == ["Russell Crowe is known here as Starring alone"]


def test_a_genre_is_one_whatever_stands_before_it(namer: Namer, index: Index) -> None:
    targets, notes, _ = namer.values(index.read("starring horror"))
    assert [condition.text for condition in own_of(targets)] == ["Genre: Horror"]
    assert notes == []


def test_names_of_attributes(namer: Namer, crews: Dataset) -> None:
    find = crews.attributes.find
    both = (find("Directed_by", "Michael Mann"), find("Directed_by", "Ridley Scott"))
    assert namer.named(both).text == "Directed by: Michael Mann or Ridley Scott"
    assert namer.named(both, "not ").text == "not Directed by: Michael Mann or Ridley Scott"
    mixed = (find("Directed_by", "Tom Cruise"), find("Starring", "Tom Cruise"))
    assert namer.named(mixed) == Condition("Tom Cruise", "Directed_by", mixed)
    everything = tuple(range(len(crews.attributes)))
    assert namer.named(everything).text == "Crime or Michael Mann or Al Pacino or Drama"  # four values at most
    assert namer.named(everything).attributes == everything


def unknown(namer: Namer, reading: Reading) -> list[Condition]:
    return namer.unknown(reading, namer.values(reading)[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("by Jane Nobody", ["Directed by: Jane Nobody"]),
        ("starring Jane Nobody", ["Starring: Jane Nobody"]),
        ("written by Jane Nobody", ["Written by: Jane Nobody"]),
        ("music by Jane Nobody", ["Music by: Jane Nobody"]),
        ("not by Jane Nobody", ["not Directed by: Jane Nobody"]),
        ("by Jane Nobody and Michael Mann", ["Directed by: Jane Nobody"]),
        ("by Jane, Nobody", ["Directed by: Jane"]),  # a comma ends the name
        ("by jane nobody", []),  # no capital
        ("by Ed", []),  # too short to be told from a word
        ("about Jane Nobody", []),
        ("by Michael Mann", []),
        ("a western", ["Genre: western"]),
        ("westerns and mysteries", ["Genre: westerns", "Genre: mysteries"]),
        ("no westerns", ["not Genre: westerns"]),
        ("Western Union", []),  # a name
        ("a horror film", []),
        ("western comedy romance fantasy mystery musical", ["Genre: western", "Genre: comedy", "Genre: romance",
                                                            "Genre: fantasy", "Genre: mystery"]),  # five at most
    ],
)  # fmt: skip
def test_names_that_nothing_has(namer: Namer, index: Index, crews: Dataset, text: str, expected: list[str]) -> None:
    found = unknown(namer, index.read(text))
    assert [condition.text for condition in found] == expected
    assert all(condition.mask(crews).any() == condition.excluded for condition in found)


def test_a_dataset_without_genres_has_no_unknown_one(films: Dataset) -> None:
    dataset = replace(films, attributes=AttributeGraph.from_triples([(0, "Directed_by", "Michael Mann")], 11))
    assert unknown(Namer(dataset), Index(dataset).read("a western")) == []


def correct(namer: Namer, reading: Reading) -> tuple[list[str], list[str]]:
    targets, notes, _ = namer.values(reading)
    own = namer.correct(reading, targets, own_of(targets), notes)
    return [condition.text for condition in own], notes


@pytest.mark.parametrize(
    "text",
    [
        "directed by Ridley Scott as in Heat (1995)",
        "directed by Ridley Scott in Heat (1995)",
        "I enjoyed Ridley Scott's directing in Heat (1995)",
        "I watched Heat (1995), directed by Ridley Scott",
    ],
)
def test_a_false_claim_gives_way_to_the_title(namer: Namer, index: Index, text: str) -> None:
    assert correct(namer, index.read(text)) == (
        ["Directed by: Michael Mann"],
        ["Heat (1995): Directed by: Michael Mann, not Ridley Scott"],
    )


@pytest.mark.parametrize(
    "text",
    [
        "I watched Heat (1995). Directed by Ridley Scott please",  # another sentence
        "I watched Heat (1995) but want one directed by Ridley Scott",  # a wish
        "Heat (1995), directed by Ridley Scott",  # nobody has seen it
        "directed by Ridley Scott as in Alien (1979)",  # true
        "directed by Ridley Scott as in Solaris (1972)",  # the graph does not know who directed it
        "directed by Ridley Scott",
    ],
)
def test_what_is_no_false_claim_stays(namer: Namer, index: Index, text: str) -> None:
    assert correct(namer, index.read(text)) == (["Directed by: Ridley Scott"], [])


def shared(namer: Namer, index: Index, text: str, used: set[int] | None = None) -> list[str]:
    reading = index.read(text)
    own = own_of(namer.values(reading)[0])
    return [condition.text for condition in namer.shared_roles(reading, reading.titles, own, used or set())]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the director of Heat (1995)", ["Directed by: Michael Mann"]),
        ("the same actor as in Heat (1995) and The Insider (1999)", ["Starring: Al Pacino"]),  # what both have
        ("the same director as Heat (1995) and Alien (1979)", ["Directed by: Michael Mann or Ridley Scott"]),
        ("the director and the cast of Heat (1995)", ["Directed by: Michael Mann", "Starring: Al Pacino"]),
        ("the same director as Heat (1995) and another cast", ["Directed by: Michael Mann"]),
        ("the composer of Heat (1995)", []),  # it has none
        ("the director", []),
        ("directed by Ridley Scott, like Heat (1995)", []),
        ("Heat (1995)", []),
    ],
)
def test_what_titles_have_in_a_role(namer: Namer, index: Index, text: str, expected: list[str]) -> None:
    assert shared(namer, index, text) == expected


def test_a_word_that_is_used_up_asks_for_nothing_more(namer: Namer, index: Index) -> None:
    assert shared(namer, index, "the director of Heat (1995)", {1}) == []
