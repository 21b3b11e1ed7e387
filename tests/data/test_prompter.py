from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rerec_engine.data.description import DatasetDescription, Kind
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.data.prompter import Prompter
from rerec_engine.errors import UserError
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.types import Query

TITLES = ("Pax", "Ra", "Heat (1995)")
TRIPLES = [(0, "made_by", "Jo Roe (maker)"), (0, "genre", "War"), (2, "made_by", "Bo Bent")]


def prompter(**said: Any) -> Prompter:
    graph = AttributeGraph.from_triples(TRIPLES, 3)
    return Prompter(Knowledge(TITLES, (None, None, 1995), graph, DatasetDescription(**{"facts": "asked", **said})))


def query(prompts: Prompter, noun: str = "", **fields: Any) -> Query:
    """Asks for a maker, with three candidates."""
    defaults: dict[str, Any] = {"candidates": (2, 1, 0), "request": "by Jo Roe", "asked": ("made_by",), "history": (1,)}
    bare = Query("q", (), (0,), **{**defaults, **fields})
    return replace(bare, messages=prompts.messages(bare, noun=noun))


def content(query: Query) -> str:
    return query.messages[0]["content"]


def test_facts_stand_beside_the_titles() -> None:
    told = content(query(prompter(), profile="a teacher")).split("\n\n")
    assert told[1:] == [
        "Request: by Jo Roe",
        "The user: a teacher",
        "Recently chosen by the user, oldest first:\n- Ra",
        "Candidates, each after what is known of it:\n- made by Bo Bent: Heat (1995)\n- Ra\n- made by Jo Roe: Pax",
    ]
    sentences = "by Jo Roe\n1) Heat (1995) : made by Bo Bent\n2) Ra\n3) Pax : made by Jo Roe"
    assert content(query(prompter(form="sentences"))) == sentences
    assert content(query(prompter(), asked=())).endswith("Candidates:\n- Heat (1995)\n- Ra\n- Pax")


def test_facts_of_the_items_named_and_of_the_history() -> None:
    told = content(query(prompter(), candidates=(2,), named=(0, 1, 2), history=(0, 1))).split("\n\n")
    lead = "Recently chosen by the user, oldest first, each before what is known of it:"
    assert told[2:] == [
        f"{lead}\n- Pax: made by Jo Roe\n- Ra",
        "Candidates, each after what is known of it:\n- made by Bo Bent: Heat (1995)",
    ]
    assert "What is known of the titles named:\n- Pax: made by Jo Roe\n\n" in content(
        query(prompter(), candidates=(2,), named=(0, 1, 2))
    )
    assert content(query(prompter(form="sentences"), candidates=(1,), named=(0, 1), history=(2,))) == (
        "by Jo Roe\n Pax : made by Jo Roe\n1) Ra"
    )


@pytest.mark.parametrize("form", ["chat", "sentences"])
def test_no_facts_of_what_is_named_where_none_are_told(form: str) -> None:
    prompts = prompter(form=form, facts="none")
    assert content(query(prompts, candidates=(1,), named=(0,))) == content(query(prompts, candidates=(1,)))


def test_items_named_stay_in_another_order() -> None:
    prompts = prompter()
    other = prompts.reordered(query(prompts, candidates=(1, 2), named=(0,)), [1, 0])
    assert other.messages == query(prompts, candidates=(2, 1), named=(0,)).messages
    assert other.named == (0,)


def test_another_order_of_the_candidates() -> None:
    prompts = prompter(form="sentences")
    stored = query(prompts)
    other = prompts.reordered(stored, [2, 0, 1])
    assert other.candidates == (0, 2, 1)
    assert content(other) == "by Jo Roe\n1) Pax : made by Jo Roe\n2) Heat (1995) : made by Bo Bent\n3) Ra"
    assert replace(other, candidates=stored.candidates, messages=stored.messages) == stored
    assert prompts.messages(stored, [0, 1, 2]) == stored.messages
    drawn = [prompts.shuffled(stored, seed).candidates for seed in (0, 0, *range(20))]
    assert drawn[0] == drawn[1]
    assert {frozenset(own) for own in drawn} == {frozenset((0, 1, 2))}
    assert len(set(drawn)) == 6


@pytest.mark.parametrize("order", [[0, 1], [0, 1, 1], [1, 2, 3]])
def test_an_order_holds_each_place_once(order: list[int]) -> None:
    with pytest.raises(ValueError, match=r"0\.\.2, each once"):
        prompter().messages(query(prompter()), order)


def test_the_noun_of_a_kind_is_found_again() -> None:
    prompts = prompter(kinds={"film": Kind("made_by")})
    stored = query(prompts, "film")
    assert "one film" in content(prompts.reordered(stored, [2, 1, 0]))


def test_a_prompt_from_elsewhere_keeps_its_order() -> None:
    prompts = prompter()
    good, open_query = query(prompts), replace(query(prompts, candidates=()), messages=query(prompts).messages)
    foreign = replace(good, messages=({"role": "user", "content": "by Jo Roe? Heat, Ra or Pax"},))
    prompts.check([good, open_query], Path("train.parquet"), "")
    with pytest.raises(UserError, match=r"train\.parquet:2: .*no other order: set data\.order") as told:
        prompts.check([good, foreign], Path("train.parquet"), "set data.order to fixed")
    assert len(str(told.value).splitlines()) == 1
    with pytest.raises(ValueError, match="'q'"):
        prompts.reordered(foreign, [2, 1, 0])


def test_a_description_edited_since_is_noticed() -> None:
    stored = query(prompter())
    with pytest.raises(UserError, match="dataset.json"):
        prompter(facts="all").check([stored], Path("train.parquet"), "")
