"""Values of relations in words: wanted, not wanted, and those of another item."""

from __future__ import annotations

import pytest

from rerec_engine.data.description import DatasetDescription, Wording
from rerec_engine.worlds.catalogue.english import joined
from rerec_engine.worlds.catalogue.phrases import claim, hop, said_value, stands_before, unwanted, wanted

SAID = DatasetDescription(
    noun="film",
    relations={
        "by": Wording("directed by", "director"),
        "of": Wording("", "genre"),
        "maker": Wording("with the designer", "designer"),
        "place": Wording("set in", "set in"),
    },
)


@pytest.mark.parametrize(
    ("name", "values", "plural", "expected"),
    [
        ("by", ["A B"], False, ("", "directed by A B", "that was directed by A B", "It should be directed by A B")),
        ("by", ["A", "B"], True, ("", "directed by A and B", "that were directed by A and B",
                                  "They should be directed by A and B")),
        ("of", ["War"], False, ("war", "", "that is of the genre war", "It should be a war film")),
        ("of", ["Epic"], False, ("epic", "", "that is of the genre epic", "It should be an epic film")),
        ("of", ["War"], True, ("war", "", "that are of the genre war", "They should be war films")),
        ("of", ["Pens & Refills"], False, ("", "of the genre Pens & Refills", "that is of the genre Pens & Refills",
                                           "It should be of the genre Pens & Refills")),
        ("of", ["Art Film"], False, ("", "of the genre art film", "that is of the genre art film",
                                     "It should be of the genre art film")),
        ("of", ["War", "Drama"], False, ("", "of the genres war and drama", "that is of the genres war and drama",
                                         "It should be of the genres war and drama")),
        ("theme", ["X"], False, ("", "with the theme X", "whose theme is X", "The theme should be X")),
        ("theme", ["X", "Y"], False, ("", "with the themes X and Y", "with the themes X and Y", "")),
        ("starring", ["X"], False, ("", "starring X", "that stars X", "It should star X")),
        ("starring", ["X", "Y"], True, ("", "starring X and Y", "that star X and Y", "They should star X and Y")),
        ("brand", ["X"], False, ("", "by X", "whose brand is X", "It should be by X")),
        ("musicComposer", ["X"], False, ("", "with music by X", "that has music by X", "It should have music by X")),
        ("musicComposer", ["X"], True, ("", "with music by X", "that have music by X", "They should have music by X")),
        ("distributor", ["X"], False, ("", "distributed by X", "that was distributed by X",
                                       "It should be distributed by X")),
        ("place", ["X"], False, ("", "set in X", "that is set in X", "It should be set in X")),
        ("maker", ["X"], False, ("", "with the designer X", "whose designer is X", "The designer should be X")),
    ],
)  # fmt: skip
def test_what_is_wanted(name: str, values: list[str], plural: bool, expected: tuple[str, ...]) -> None:
    assert tuple(map(joined, wanted(SAID, name, values, plural))) == expected


def test_who_did_it_may_be_said_as_what_was_done() -> None:
    assert joined(wanted(SAID, "maker", ["X"], False, choice=1).after) == "designed by X"
    assert joined(unwanted(SAID, "maker", ["X"], False, choice=2).inline) == "but not one designed by X"


@pytest.mark.parametrize(
    ("name", "values", "plural", "choice", "inline", "alone", "relative"),
    [
        ("by", ["A", "B"], False, 1, "but nothing directed by A or B", "But nothing directed by A or B",
         "that was not directed by A or B"),
        ("by", ["A"], False, 0, "but not one directed by A", "Nothing directed by A, please",
         "that was not directed by A"),
        ("by", ["A"], True, 0, "but none directed by A", "Nothing directed by A, please",
         "that were not directed by A"),
        ("of", ["War"], False, 1, "but no war films", "But no war films", ""),
        ("of", ["War", "Epic"], True, 0, "but no war or epic films", "No war or epic films, please", ""),
        ("of", ["Art Film"], False, 0, "but not one of the genre art film", "Nothing of the genre art film, please",
         "that is not of the genre art film"),
        ("theme", ["X"], False, 1, "but nothing with the theme X", "But nothing with the theme X",
         "without the theme X"),
        ("starring", ["X"], False, 1, "but nothing starring X", "But nothing starring X", "that does not star X"),
        ("starring", ["X"], True, 1, "but nothing starring X", "But nothing starring X", "that do not star X"),
        ("brand", ["X"], False, 1, "but nothing by X", "But nothing by X", "that is not by X"),
        ("place", ["X"], False, 1, "but nothing set in X", "But nothing set in X", "that is not set in X"),
    ],
)  # fmt: skip
def test_what_is_not_wanted(
    name: str, values: list[str], plural: bool, choice: int, inline: str, alone: str, relative: str
) -> None:
    assert tuple(map(joined, unwanted(SAID, name, values, plural, choice))) == (inline, alone, relative)


@pytest.mark.parametrize("choice", range(4))
@pytest.mark.parametrize(("name", "alone"), [("by", "And nothing directed by A"), ("of", "And no A films")])
def test_a_second_exclusion_goes_on_from_the_first(name: str, alone: str, choice: int) -> None:
    assert joined(unwanted(SAID, name, ["A"], False, choice, again=True).alone) == alone


@pytest.mark.parametrize(
    ("name", "several", "plural", "plain", "relative"),
    [
        ("by", False, False, "by the same director as T | directed by the director of T",
         "that has the same director as T"),
        ("by", True, True, "directed by one of the directors of T", "that share a director with T"),
        ("editor", False, False, "with the same editor as T | edited by the editor of T",
         "that has the same editor as T"),
        ("of", False, False, "of the same genre as T", "that has the same genre as T"),
        ("of", True, False, "in one of the genres of T", "that shares a genre with T"),
        ("theme", False, True, "with the same theme as T | with the theme of T", "that have the same theme as T"),
        ("theme", True, False, "with one of the themes of T", "that shares a theme with T"),
        ("starring", True, False, "starring one of the stars of T", "that shares a star with T"),
        ("brand", False, False, "of the same brand as T", "that has the same brand as T"),
        ("author", False, False, "by the same author as T | by the author of T", "that has the same author as T"),
        ("author", True, False, "by one of the authors of T", "that shares an author with T"),
        ("musicComposer", False, False, "with the same music composer as T | with music by the music composer of T",
         "that has the same music composer as T"),
        ("place", False, False, "set in the same place as T", "set in the same place as T"),
        ("based_on", True, False, "based on the same as T", "based on the same as T"),
    ],
)  # fmt: skip
def test_what_another_item_has(name: str, several: bool, plural: bool, plain: str, relative: str) -> None:
    ways = hop(SAID, name, "T", several, plural)
    assert " | ".join(map(joined, ways.plain)) == plain
    assert " | ".join(map(joined, ways.relative)) == relative


@pytest.mark.parametrize(
    ("name", "several", "plain", "relative"),
    [
        ("by", False, "by the same director", "that has the same director"),
        ("by", True, "directed by one of its directors", "that shares a director with it"),
        ("of", True, "in one of its genres", "that shares a genre with it"),
        ("brand", False, "of the same brand", "that has the same brand"),
        ("theme", True, "with one of its themes", "that shares a theme with it"),
        ("place", False, "set in the same place", "set in the same place"),
    ],
)
def test_what_the_item_has_that_was_just_named(name: str, several: bool, plain: str, relative: str) -> None:
    ways = hop(SAID, name, "", several, plural=False)
    assert (*map(joined, ways.plain), *map(joined, ways.relative)) == (plain, relative)


@pytest.mark.parametrize(
    ("name", "several", "expected"),
    [
        ("by", False, "its director is Ann Able"),
        ("by", True, "one of its directors is Ann Able"),
        ("of", True, "one of its genres is ann able"),
        ("place", False, "it is set in Ann Able"),
    ],
)
def test_a_claim_about_an_item(name: str, several: bool, expected: str) -> None:
    assert joined(claim(SAID, name, "Ann Able", several)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("War", "war"),
        ("Film-Noir", "film-noir"),
        ("Children's", "children's"),
        ("Viking", "Viking"),
        ("American West", "American West"),
        ("World War II", "World War II"),
        ("LCG", "LCG"),
    ],
)
def test_a_label_loses_its_capitals_and_a_name_does_not(value: str, expected: str) -> None:
    assert said_value(value, SAID) == expected
    assert said_value(value, DatasetDescription(form="sentences")) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [("Card Game", False), ("Wargame", False), ("Animals", False), ("Dice & Cards", False), ("Print and Play", False),
     ("Very Long Name", False), ("War", True), ("Real Time", True), ("Children's", True), ("Chess", True)],
)  # fmt: skip
def test_what_stands_before_a_noun_doubles_it_not_and_is_no_list(value: str, expected: bool) -> None:
    assert stands_before(value, "board game") is expected
