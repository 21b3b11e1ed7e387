from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.data.description import (
    DatasetDescription,
    Kind,
    Wording,
    default_wording,
    parse_description,
    plural_of,
    read_description,
    write_description,
)
from rerec_engine.errors import UserError

GAMES = DatasetDescription(
    noun="board game",
    form="sentences",
    kinds={"expansion": Kind("type", "expansion"), "game": Kind("players")},
    relations={"designer": Wording("designed by", "designer"), "genre": Wording("", "genre")},
    openings=("Suggest a",),
    invented=True,
)


@pytest.mark.parametrize("description", [GAMES, DatasetDescription()])
def test_round_trip(tmp_path: Path, description: DatasetDescription) -> None:
    write_description(tmp_path, description)
    assert read_description(tmp_path) == description


def test_completed_fills_in_what_is_left_out() -> None:
    full = GAMES.completed(["designer", "publisher", "publisher"])
    assert full.plural == "board games"
    assert list(full.relations) == ["designer", "genre", "publisher"]
    assert full.relations["designer"] == Wording("designed by", "designer")
    assert full.relations["publisher"] == Wording("published by", "publisher")


def test_a_directory_without_the_file_has_the_defaults(tmp_path: Path) -> None:
    assert read_description(tmp_path) == DatasetDescription()
    (tmp_path / "vocabulary.json").write_text("[]")
    old = read_description(tmp_path)
    assert (old.form, list(old.kinds), old.invented) == ("sentences", ["film", "book"], True)
    assert [old.wording(r).clause for r in ("Genre", "Directed_by", "Set_in")] == ["", "directed by", "set in"]


@pytest.mark.parametrize(
    ("relation", "clause", "role"),
    [
        ("Directed_by", "directed by", "director"),
        ("Starring", "starring", "star"),
        ("Set_in", "set in", "set in"),
        ("Genre", "", "genre"),
        ("publisher", "published by", "publisher"),
        ("brand", "by", "brand"),
        ("actor", "starring", "actor"),
        ("theme", "with the theme", "theme"),
        ("musicComposer", "with music by", "music composer"),
        ("distributor", "distributed by", "distributor"),
        ("film.film.actor", "starring", "actor"),
        ("http://dbpedia.org/ontology/writer", "written by", "writer"),
        ("...", "with the ...", "..."),
    ],
)
def test_wording_from_a_name(relation: str, clause: str, role: str) -> None:
    assert default_wording(relation) == Wording(clause, role)


@pytest.mark.parametrize(
    ("noun", "plural"), [("film", "films"), ("box", "boxes"), ("story", "stories"), ("toy", "toys"), ("dish", "dishes")]
)
def test_plural(noun: str, plural: str) -> None:
    assert plural_of(noun) == DatasetDescription(noun).items == plural


def test_a_partial_file_is_enough() -> None:
    read = parse_description({"noun": "film", "relations": {"Written_by": {"clause": "by"}}})
    assert read == DatasetDescription("film", relations={"Written_by": Wording("by", "writer")})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "the file must be an object, got list"),
        ({"form": "song"}, "form must be one of chat, sentences, got 'song'"),
        ({"noun": " "}, "noun must be one line of text, got ' '"),
        ({"noun": "a\nb"}, "noun must be one line of text"),
        ({"nouns": "films"}, "the file has no field 'nouns'"),
        ({"invented": 1}, "invented must be true or false, got 1"),
        ({"form": "sentences", "openings": []}, "openings must be a list of at least one"),
        ({"openings": [3]}, "openings must be one line of text, got 3"),
        ({"kinds": []}, "kinds must be an object, got list"),
        ({"kinds": {"film": {}}}, "kinds.film.relation must be one line of text, got None"),
        ({"relations": {"genre": {"role": ""}}}, "relations.genre.role must be one line of text, got ''"),
        ({"relations": {"genre": {"rolle": "x"}}}, "relations.genre has no field 'rolle'"),
    ],
)
def test_a_fault_names_file_and_field(tmp_path: Path, value: Any, message: str) -> None:
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(value))
    with pytest.raises(UserError) as raised:
        read_description(tmp_path)
    assert str(raised.value).startswith(f"{path}: {message}")
    assert "\n" not in str(raised.value)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(UserError, match=r"dataset\.json: not readable as JSON"):
        read_description(tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["noun", "plural", "form", "kinds", "relations", "openings", "x"]), JSON))
def test_any_json_is_read_or_refused(value: dict[str, Any]) -> None:
    try:
        description = parse_description(value)
    except UserError:
        return
    assert parse_description(json.loads(json.dumps(description.to_json()))) == description


@given(st.text())
def test_any_relation_has_a_wording(relation: str) -> None:
    full = DatasetDescription().completed([relation])
    assert list(full.relations) == [relation]
    assert parse_description(json.loads(json.dumps(full.to_json()))) == full
