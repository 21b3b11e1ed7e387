"""A made world as a dataset directory."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rerec_engine.data.dataset import load_dataset
from rerec_engine.data.description import Kind, Wording
from rerec_engine.worlds.options import MadeOptions
from rerec_engine.worlds.requests import draw_query
from rerec_engine.worlds.writing import describe, write_world


def test_two_kinds_are_told_by_their_second_relation(world):
    said = describe(world)
    assert said.kinds == {"film": Kind("Directed_by"), "book": Kind("Written_by")}
    assert said.relations["Set_in"] == Wording("set in", "place")
    assert (said.noun, said.form, said.invented) == ("item", "sentences", True)


@pytest.fixture
def written(world, tmp_path, small):
    options = MadeOptions(**small)
    rng = np.random.default_rng(0)
    drawn = {"train": [draw_query(world, "explicit", "train", 0, rng, 8)[0] for _ in range(5)]}
    write_world(tmp_path / "d", world, drawn, options, "made")
    return tmp_path / "d", drawn["train"]


def test_queries_and_what_is_behind_them(world, written):
    path, drawn = written
    data = load_dataset(path)
    assert data.description == describe(world).completed(data.attributes.relations)
    for i, (query, made) in enumerate(zip(data.queries("train"), drawn, strict=True)):
        assert (query.id, query.request, query.ground_truth) == (f"train-{i}", made.text, (made.target,))
        assert query.history == world.history[made.user_id][-10:]
        facts = dict(data.attributes.attributes_of(made.target))
        assert facts == world.facts[made.target]


def test_vocabulary_puts_every_request_together(written):
    path, drawn = written
    phrases = sorted(json.loads((path / "vocabulary.json").read_text()), key=len, reverse=True)
    for query in drawn:
        rest = f" {query.text}"
        for phrase in phrases:
            rest = rest.replace(phrase if phrase.startswith((" ", "\n")) else f" {phrase}", "\0")
        assert set(rest) == {"\0"}
