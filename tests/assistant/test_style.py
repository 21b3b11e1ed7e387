"""The words of the prompt, on the demo's world."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rerec_engine.assistant.conditions import KIND, satisfied
from rerec_engine.assistant.parse import RequestParser
from rerec_engine.assistant.shortlist import Shortlister
from rerec_engine.assistant.style import Style
from rerec_engine.data.dataset import Dataset, load_dataset
from rerec_engine.data.description import Kind, Wording


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


@pytest.fixture(scope="module")
def old(mini_demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The demo's directory as it was before there were dataset.json, source ids and the field request."""
    path = tmp_path_factory.mktemp("old") / "data"
    shutil.copytree(mini_demo, path)
    (path / "dataset.json").unlink()
    (path / "users.parquet").unlink()
    pq.write_table(pq.read_table(path / "items.parquet").drop_columns(["source_id"]), path / "items.parquet")
    for split in ("train", "val", "test"):
        rows = pq.read_table(path / f"{split}.parquet").to_pylist()
        for row in rows:
            del row["extra_info"]["request"]
        pq.write_table(pa.Table.from_pylist(rows), path / f"{split}.parquet")
    return load_dataset(path)


@pytest.mark.parametrize("text", ["hm, a book", "I want something like {0}", "a film with {1}", "not a {2}"])
def test_a_demo_made_before_is_asked_in_the_same_words(world: Dataset, old: Dataset, text: str) -> None:
    text = text.format(world.titles[3], value(world, "Starring", 2), value(world, "Genre", 1))
    said = []
    for data in (world, old):
        style = Style(data)
        parser = RequestParser(data, style.kinds)
        request = parser.parse(text)
        items = Shortlister(data, parser).choose(text, request=request).items
        prompt = data.description.prompt(
            style.say(request, text, items, ()), candidates=[data.titles[i] for i in items]
        )
        said.append((style.kinds, items, prompt))
    assert said[0] == said[1]
    assert old.queries("train")[0].request == old.queries("train")[0].messages[0]["content"]
    assert old.user_of("3") == 3


def test_a_person_may_change_the_words(world: Dataset) -> None:
    said = {**world.description.relations, "Directed_by": Wording("by the hand of", "director")}
    own = replace(world, description=replace(world.description, relations=said, openings=("Suggest a",)))
    style = Style(own)
    director = value(world, "Directed_by", 0)
    request = RequestParser(own, style.kinds).parse(f"hm, a film by {director}")
    film = next(i for i in range(own.item_count) if director in dict(own.attributes.attributes_of(i)).values())
    assert style.say(request, "?", [film], ()) == f"Suggest a film by the hand of {director}"


def test_a_kind_may_be_told_by_a_value(world: Dataset) -> None:
    genre = value(world, "Genre", 0)
    own = replace(world, description=replace(world.description, kinds={"short": Kind("Genre", genre)}))
    (ids,) = Style(own).kinds.values()
    assert [own.attributes.values[a] for a in ids] == [genre]


@pytest.mark.parametrize(
    ("vocabulary", "said"),
    [([" a", " an"], "Find an epic"), ([" a"], "Find a epic"), (None, "Find an epic")],
)
def test_the_article_is_that_of_the_next_word_where_the_model_knows_it(
    world: Dataset, tmp_path: Path, vocabulary: list[str] | None, said: str
) -> None:
    if vocabulary is not None:
        (tmp_path / "vocabulary.json").write_text(json.dumps(vocabulary))
    kinds = {"epic": Kind("Directed_by")}
    own = replace(world, path=tmp_path, description=replace(world.description, kinds=kinds))
    director = value(world, "Directed_by", 0)
    request = RequestParser(own, Style(own).kinds).parse(f"hm, an epic by {director}")
    assert Style(own).say(request, "?", [], ()).startswith(f"{said} directed by {director}")


def test_a_follow_up_in_a_chat_begins_with_the_right_article(world: Dataset) -> None:
    own = replace(world, description=replace(world.description, form="chat", noun="item"))
    request = replace(RequestParser(own, {}).parse("something newer"), follows=True)
    assert Style(own).say(request, "newer", [], ()).startswith("I am looking for an item")
