"""The words of the prompt, on the demo's world."""

from __future__ import annotations

from pathlib import Path

import pytest

from rerec_engine.assistant.conditions import KIND, satisfied
from rerec_engine.assistant.parse import RequestParser
from rerec_engine.assistant.shortlist import Shortlister
from rerec_engine.assistant.style import Style
from rerec_engine.data.dataset import Dataset, load_dataset


@pytest.fixture(scope="module")
def world(mini_demo: Path) -> Dataset:
    return load_dataset(mini_demo)


def value(data: Dataset, relation: str, number: int) -> str:
    return sorted({v for r, v in zip(data.attributes.relations, data.attributes.values, strict=True) if r == relation})[
        number
    ]


def test_of_alternatives_the_demos_prompt_asks_what_the_first_candidate_has(world: Dataset) -> None:
    style = Style(world)
    parser = RequestParser(world, style.kinds)
    one, other = value(world, "Genre", 0), value(world, "Genre", 1)
    text = f"hm, a {one} film or a {other} film"
    request = parser.parse(text)
    wanted = [c for c in request.wanted if c.relation != KIND]
    assert [c.text for c in wanted] == [f"Genre: {one} or {other}"]
    items = Shortlister(world, parser).choose(text, request=request).items
    has = [{v for r, v in world.attributes.attributes_of(i) if r == "Genre"} & {one, other} for i in items]
    assert all(has[: satisfied(world, request.wanted).sum()])
    assert style.say(request, text, items, ()) == f"Find a {has[0].pop()} film"


@pytest.mark.parametrize(
    ("text", "kind"), [("a book", "book"), ("a book, no, a film", "film"), ("some film or a book", ""), ("hm", "")]
)
def test_the_kind_is_the_last_one_named_unless_either_will_do(world: Dataset, text: str, kind: str) -> None:
    condition = RequestParser(world, Style(world).kinds).parse(text).needs(KIND)
    assert (condition.text if condition else "") == kind
