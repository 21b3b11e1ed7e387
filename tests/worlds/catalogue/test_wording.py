"""Requests in words."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rerec_engine.data.description import DatasetDescription, Number, Wording
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.errors import UserError
from rerec_engine.worlds.catalogue import make_requests, phrases
from rerec_engine.worlds.catalogue.conditions import Span
from rerec_engine.worlds.catalogue.english import in_words, joined, listed, pieces_of, sentences
from rerec_engine.worlds.catalogue.grammar import FRAMES, seen
from rerec_engine.worlds.options import CatalogueRequestOptions

SAID = DatasetDescription(
    noun="film", relations={"by": Wording("directed by", "director"), "of": Wording("", "genre")}
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "values", "plural", "expected"),
    [
        ("by", ["A B"], False, ("", "directed by A B", "that was directed by A B", "It should be directed by A B")),
        ("by", ["A", "B"], True, ("", "directed by A and B", "that were directed by A and B",
                                  "They should be directed by A and B")),
        ("of", ["War"], False, ("war", "", "that is of the genre war", "It should be a war film")),
        ("of", ["Pens & Refills"], False, ("", "of the genre Pens & Refills", "that is of the genre Pens & Refills",
                                           "It should be of the genre Pens & Refills")),
        ("theme", ["X"], False, ("", "with the theme X", "whose theme is X", "The theme should be X")),
    ],
)  # fmt: skip
def test_values_are_said(name: str, values: list[str], plural: bool, expected: tuple[str, ...]) -> None:
    assert tuple(map(joined, phrases.wanted(SAID, name, values, plural))) == expected


@pytest.mark.parametrize(
    ("name", "values", "inline", "alone"),
    [
        ("by", ["A", "B"], "but not directed by A or B", "But nothing directed by A or B"),
        ("of", ["War"], "but no war films", "But no war films"),
    ],
)
def test_exclusions_are_said(name: str, values: list[str], inline: str, alone: str) -> None:
    assert tuple(map(joined, phrases.unwanted(SAID, name, values, 1))) == (inline, alone)


@pytest.mark.parametrize(
    ("field", "number", "span", "expected"),
    [
        ("year", Number("", "year"), Span("decade", 1990, 1999), "from the 1990s"),
        ("year", Number("", "year"), Span("decade", 1900, 1909), "from 1900 to 1909"),
        ("year", Number("", "year"), Span("after", 2005), "made after 2005"),
        ("price", Number("euros", "price"), Span("under", 30), "under 30 euros"),
        ("price", Number("euros", "price"), Span("between", 20, 30), "between 20 and 30 euros"),
        ("players", Number("players", "players"), Span("exactly", 4, 4), "for 4 players"),
        ("players", Number("players", "players"), Span("exactly", 1, 1), "for 1 player"),
        ("pages", Number("pages", "pages"), Span("under", 300), "with fewer than 300 pages"),
        ("time", Number("minutes", "age"), Span("over", 60), "with an age over 60 minutes"),
    ],
)
def test_numbers_are_said(field: str, number: Number, span: Span, expected: str) -> None:
    assert joined(phrases.spanned(field, number, span, plural=False)[0]) == expected


def test_pieces_become_a_text() -> None:
    pieces = sentences([*pieces_of("find me a film, please? thanks."), *listed([["a"], ["b"], ["c"]])])
    assert joined(pieces) == "Find me a film, please? Thanks. A, b and c"
    assert joined(pieces, spaced=True) == "Find me a film , please ? Thanks . A , b and c"
    assert (in_words(4), in_words(24.5)) == ("four", "24.5")


def test_unseen_openings_are_in_no_query_of_train(games: Callable[..., Knowledge]) -> None:
    made = make_requests(games("chat"), CatalogueRequestOptions(kinds="explicit", train_queries=300, traces=0))
    held_out = [frame.partition("{np}")[0] for frame in seen(FRAMES)[1]]
    own = {split: [made.extra_info[q.id]["unseen_wording"] for q in made.splits[split]] for split in made.splits}
    assert not any(own["train"])
    assert 0.4 < sum(own["test"]) / len(own["test"]) < 0.6
    for query in made.splits["test"]:
        if made.extra_info[query.id]["unseen_wording"]:
            assert any(opening in query.request for opening in held_out)


@pytest.mark.parametrize(
    ("kinds", "told"),
    [("explict", "'explict' is none of explicit"), ("demographics", "demographics needs profiles of users")],
)
def test_kinds_that_cannot_be_are_told(games: Callable[..., Knowledge], kinds: str, told: str) -> None:
    knowledge = games("chat")
    bare = Knowledge(knowledge.titles, knowledge.years, knowledge.attributes)
    with pytest.raises(UserError, match=told):
        make_requests(bare, CatalogueRequestOptions(kinds=kinds))
