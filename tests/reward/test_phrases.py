"""How relations are said, and what the words between an item and a value do."""

from __future__ import annotations

import numpy as np
import pytest

from rerec_engine.data.description import DatasetDescription, Wording
from rerec_engine.reward.phrases import ANY, OTHERS, Kind, phrases, roles_of, value_kinds

RELATIONS = ["director", "film.film.directed_by", "designer", "genre"]
FOUND = {p.words: p for p in phrases(RELATIONS, DatasetDescription(noun="board game"))}


def test_phrases_name_their_relations() -> None:
    others = 1 << OTHERS
    assert FOUND["directed by"].mask == 0b11 | others
    assert FOUND["designed by"].mask == 0b100 | others
    assert FOUND["genre"].mask == 0b1000 | others
    assert FOUND["director of"].kind == Kind.ROLE_OF
    assert FOUND["not"].mask == ANY
    assert "edited by" not in FOUND


def test_items_are_called_by_their_noun() -> None:
    assert FOUND["board game"].kind == FOUND["board games"].kind == Kind.NOUN


def test_a_clause_of_the_dataset_is_a_phrase() -> None:
    said = DatasetDescription(
        relations={"players": Wording("for", "players"), "mood": Wording("in the mood of", "mood")}
    )
    found = {p.words: p for p in phrases(["mood"], said)}
    assert found["in the mood of"].kind == Kind.RELATION


@pytest.mark.parametrize(
    ("relation", "role", "roles"),
    [
        ("musicComposer", "music composer", ["composer"]),
        ("Starring", "star", ["star"]),
        ("Set_in", "place", ["place"]),
        ("awards", "awards", []),
    ],
)
def test_roles(relation: str, role: str, roles: list[str]) -> None:
    assert roles_of(relation, role) == roles


def test_value_kinds() -> None:
    kinds = value_kinds(["genre", "director", "genre"], DatasetDescription())
    assert kinds.relation.tolist() == [0, 1, 0]
    assert kinds.relation.dtype == np.int32
    assert kinds.any_case.tolist() == [True, False, True]
    many = value_kinds([str(i) for i in range(100)], DatasetDescription())
    assert many.relation.max() == OTHERS
