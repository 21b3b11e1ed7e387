"""What is asked for, put together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.worlds.catalogue.english import joined
from rerec_engine.worlds.catalogue.noun_phrase import NounPhrase


def phrase(values: str = "", spans: str = "", tail: str = "", outs: str = "", before: str = "") -> NounPhrase:
    """Parts separated by bars."""
    split = [[part.split() for part in own.split("|") if part.strip()] for own in (values, spans, outs)]
    return NounPhrase(before=before.split(), values=split[0], spans=split[1], outs=split[2], tail=tail.split())


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (phrase(), "an art film"),
        (phrase(before="war"), "a war art film"),
        (phrase("directed by X|starring Y|with music by Z"),
         "an art film directed by X, starring Y and with music by Z"),
        (phrase("that was directed by X|that was edited by Y"), "an art film that was directed by X and edited by Y"),
        (phrase("that shares a star with T|that was edited by Y"),
         "an art film that was edited by Y and that shares a star with T"),
        (phrase("that was edited by Y|that was cut by Z|that has the same star as T"),
         "an art film that was edited by Y and cut by Z and that has the same star as T"),
        (phrase("starring X|of the genre Y"), "an art film of the genre Y starring X"),
        (phrase("directed by X", "from the nineties"), "an art film from the nineties directed by X"),
        (phrase("directed by X", "made after 1990"), "an art film made after 1990 and directed by X"),
        (phrase("that was directed by X", "made after 1990"), "an art film made after 1990 that was directed by X"),
        (phrase("with the theme X", "newer than 1990"), "an art film newer than 1990 with the theme X"),
        (phrase("directed by X", "that costs 3 euros"), "an art film directed by X that costs 3 euros"),
        (phrase("that stars X", "that costs 3 euros"), "an art film that stars X and that costs 3 euros"),
        (phrase("", "for two|under 3 euros"), "an art film for two under 3 euros"),
        (phrase("", "made after 1990|cheaper than 3 euros"), "an art film made after 1990 and cheaper than 3 euros"),
        (phrase("that was made by X", tail="that fits me"), "an art film that was made by X and that fits me"),
        (phrase("by X", tail="like them"), "an art film by X like them"),
        (phrase("by X", outs="but nothing by Y"), "an art film by X, but nothing by Y"),
    ],
)  # fmt: skip
def test_nothing_seems_to_belong_to_a_name_before_it(own: NounPhrase, expected: str) -> None:
    assert joined(own.words("art film", "art films", 1)) == expected


def test_several_are_counted() -> None:
    own = phrase("by X")
    assert joined(own.words("box", "boxes", 3)) == "three boxes by X"
    own.lead = ["the", "cheapest"]
    assert joined(own.words("box", "boxes", 1)) == "the cheapest box by X"
    assert joined(own.words("box", "boxes", 3)) == "the three boxes by X"


def test_something_stands_for_the_noun_where_more_follows() -> None:
    assert joined(phrase("by X").words("box", "boxes", 1, something=True)) == "something by X"
    assert joined(phrase().words("box", "boxes", 1, something=True)) == "a box"
    assert joined(phrase("by X", before="red").words("box", "boxes", 1, something=True)) == "a red box by X"


@pytest.mark.parametrize(
    ("own", "bare", "long"),
    [
        (phrase(), True, False),
        (phrase(before="war"), True, False),
        (phrase("by X"), False, False),
        (phrase("by X", "under 3"), False, True),
        (phrase(outs="but no Y"), False, True),
        (phrase(tail="like them"), False, False),
    ],
)
def test_bare_and_long(own: NounPhrase, bare: bool, long: bool) -> None:
    assert (own.bare, own.long) == (bare, long)


WAYS = ["by V{}", "that was made by V{}", "whose role is V{}", "of the kind V{}", "starring V{}", "that has V{}"]
SPANS = ["made after 19{}", "that costs 19{}", "under 19{}", "for 19{}", "newer than 19{}"]


@given(st.lists(st.sampled_from(WAYS), max_size=4), st.lists(st.sampled_from(SPANS), max_size=2))
def test_every_part_is_said_once(values: list[str], spans: list[str]) -> None:
    own = NounPhrase(
        values=[way.format(i).split() for i, way in enumerate(values)],
        spans=[way.format(i).split() for i, way in enumerate(spans)],
    )
    said = own.words("box", "boxes", 1)
    names = [f"V{i}" for i in range(len(values))] + [f"19{i}" for i in range(len(spans))]
    assert sorted(piece for piece in said if piece[:1] == "V" or piece[:2] == "19") == sorted(names)
    assert "and and" not in " ".join(said)
