"""What a negation excludes and what "or" joins, on targets that are marked by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.assistant.conditions import YEAR, Condition
from rerec_engine.assistant.mentions import Mention, Reading, Word
from rerec_engine.assistant.negation import Target, alternatives, exclude, negated, without_overlap
from rerec_engine.graph.titles import words as title_words

VALUES = {"crime": "Genre", "drama": "Genre", "horror": "Genre", "mann": "Director", "scott": "Director"}
YEARS = {"seventies": (1970, 1979), "nineties": (1990, 1999)}


def read(text: str) -> tuple[Reading, list[Target]]:
    """Words with their places; the known ones among them as targets, `heat` as a title."""
    words, at = [], 0
    for word in title_words(text):
        start = text.lower().index(word.text, at)
        at = start + len(word.text)
        words.append(Word(word.text, word.stem, start, at, word.upper))
    targets = []
    for i, word in enumerate(words):
        if word.text in VALUES:
            relation = VALUES[word.text]
            targets.append(
                Target(i, i + 1, Condition(f"{relation}: {word.text}", relation, (list(VALUES).index(word.text),)))
            )
        elif word.text in YEARS:
            targets.append(Target(i, i + 1, Condition(word.text, YEAR, years=(YEARS[word.text],))))
        elif word.text == "heat":
            targets.append(Target(i, i + 1, None, Mention(i, i + 1, True, (0,))))
    return Reading(text, words, []), targets


def excluded(text: str) -> list[str]:
    reading, targets = read(text)
    pairs = zip(targets, negated(reading, targets), strict=True)
    return [reading.words[target.first].text for target, no in pairs if no]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not crime", ["crime"]),
        ("without any more drama", ["drama"]),
        ("anything but horror", ["horror"]),
        ("other than crime", ["crime"]),
        ("not directed by Mann", ["mann"]),
        ("no crime, drama or horror", ["crime", "drama", "horror"]),
        ("neither crime nor drama", ["crime", "drama"]),
        ("no crime and drama", ["crime", "drama"]),
        ("no crime, drama", ["crime"]),  # a list needs its "or"
        ("no crime but drama", ["crime"]),
        ("not today, crime", []),  # a comma ends what it excludes
        ("no. crime", []),
        ("why not crime", []),
        ("not the slow crime", []),  # a word of weight between
        ("not a a a a a a crime", []),  # too far
        ("not heat", ["heat"]),
        ("crime", []),
        ("drama without Scott", ["scott"]),
        ("not by Mann or something by Scott", ["mann", "scott"]),
        ("nothing from the seventies", ["seventies"]),
    ],
)
def test_what_is_excluded(text: str, words: list[str]) -> None:
    assert excluded(text) == words


def test_the_condition_turned_round() -> None:
    condition = Condition("Genre: Crime", "Genre", (3,), parts=(Condition("x", "Genre"),))
    assert exclude(condition) == Condition("not Genre: Crime", "Genre", (3,), excluded=True)
    near = Condition("Writer: Mann", "Writer", near=(4, 5))
    assert exclude(near).attributes == (4, 5)
    assert exclude(Condition("1990", YEAR, years=((1990, 1990),))).years == ((1990, 1990),)


def test_of_those_that_overlap_the_first_is_kept() -> None:
    targets = [Target(2, 5, None), Target(4, 6, None), Target(0, 2, None), Target(5, 6, None), Target(1, 3, None)]
    assert without_overlap(targets) == [targets[0], targets[2], targets[3]]
    assert without_overlap([]) == []


def joined(text: str) -> list[str]:
    reading, targets = read(text)
    return [target.condition.text if target.condition else "a title" for target in alternatives(reading, targets)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("crime or drama", ["Genre: crime or drama"]),
        ("crime, drama or horror", ["Genre: crime or drama or horror"]),
        ("a crime film or even a drama", ["Genre: crime or drama"]),
        ("crime and/or drama", ["Genre: crime or drama"]),
        ("crime and drama", ["Genre: crime", "Genre: drama"]),
        ("crime, drama", ["Genre: crime", "Genre: drama"]),
        ("crime or crime", ["Genre: crime"]),
        ("drama or something by Scott", ["Genre: drama or Director: scott"]),
        ("a drama, Mann or Scott", ["Genre: drama", "Director: mann or scott"]),
        ("seventies or nineties", ["seventies or nineties"]),
        ("seventies or crime", ["seventies", "Genre: crime"]),
        ("heat or crime", ["a title", "Genre: crime"]),
        ("not crime or drama", ["Genre: crime", "Genre: drama"]),
        ("crime or no drama", ["Genre: crime", "Genre: drama"]),
        ("crime or maybe slow drama", ["Genre: crime", "Genre: drama"]),
    ],
)
def test_what_is_wanted_as_one(text: str, found: list[str]) -> None:
    assert joined(text) == found


def test_alternatives_hold_all_that_each_has() -> None:
    reading, targets = read("crime, drama or horror")
    (both,) = alternatives(reading, targets)
    assert (both.first, both.stop) == (0, 4)
    assert both.condition is not None
    assert both.condition.attributes == (0, 1, 2)
    assert both.condition.parts == tuple(target.condition for target in targets)
    reading, targets = read("nineties or seventies")
    (both,) = alternatives(reading, targets)
    assert both.condition is not None
    assert both.condition.years == (YEARS["nineties"], YEARS["seventies"])


WORDS = [*VALUES, *YEARS, "heat", "or", "and", "not", "no", "nor", ",", ".", "a", "film", "by", "slow", "but"]


@given(st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join))
def test_nothing_is_lost_or_turned_and_the_order_stays(text: str) -> None:
    reading, targets = read(text)
    no = negated(reading, targets)
    assert len(no) == len(targets)
    found = alternatives(reading, targets)
    assert all(a.stop <= b.first for a, b in pairwise(found))

    def attributes(targets: list[Target]) -> set[int]:
        return {a for target in targets if target.condition for a in target.condition.attributes}

    assert attributes(found) == attributes(targets)
    kept = [t for t, is_no in zip(targets, no, strict=True) if is_no or t.condition is None]
    assert all(target in found for target in kept)
    if not any(word in text.split() for word in ("not", "no", "nor")):
        assert not any(no)
    if "or" not in text.split():
        assert found == targets
