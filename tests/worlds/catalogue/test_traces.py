"""The teacher's answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rerec_engine.data.knowledge import Knowledge
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.metrics.truth import TruthReader
from rerec_engine.reward import RewardEngine, RewardWeights
from rerec_engine.worlds.catalogue import make, make_requests
from rerec_engine.worlds.catalogue.make import Maker, draw_many
from rerec_engine.worlds.catalogue.traces import _place
from rerec_engine.worlds.options import CatalogueRequestOptions

NO_QUERIES: dict[str, Any] = {"train_queries": 1, "val_queries": 1, "test_queries": 1}


@pytest.mark.parametrize("form", ["sentences", "chat"])
@pytest.mark.parametrize("facts", ["asked", "none"])
def test_every_answer_is_the_right_one(games: Callable[..., Knowledge], form: str, facts: str) -> None:
    knowledge = games(form)
    knowledge = replace(knowledge, description=replace(knowledge.description, facts=facts))
    maker, rng = Maker(knowledge, CatalogueRequestOptions(traces=120)), np.random.default_rng(0)
    drawn = draw_many(maker, "train", [20] * 120, rng, set())
    answers = [maker._teacher.reason(own.draft, own.truth, own.candidates) for own in drawn]
    engine = RewardEngine(
        Catalogue(list(knowledge.titles), list(knowledge.years)),
        knowledge.attributes.item_attributes.astype(np.float32),
        np.ones((knowledge.item_count, 1), np.float32),
        RewardWeights(k=5),
    )
    truth = [[knowledge.titles[item] for item in own.truth] for own in drawn]
    scores = engine.score(answers, truth, [list(own.candidates) for own in drawn])
    assert (scores.ndcg == 1).all()
    assert (scores.format == 0.5).all()


def test_candidates_are_checked_in_turn_up_to_the_last_right_one(games: Callable[..., Knowledge]) -> None:
    knowledge = games("sentences")
    maker, rng = Maker(knowledge, CatalogueRequestOptions()), np.random.default_rng(0)
    for own in draw_many(maker, "train", [12] * 60, rng, set()):
        lines = maker._teacher.reason(own.draft, own.truth, own.candidates).split("\n")
        checked = [line for line in lines if line[0].isdigit()]
        shown = own.candidates[: len(checked)]
        assert shown[-1] in own.truth
        assert set(own.truth) <= set(shown)
        for item, line in zip(shown, checked, strict=True):
            assert knowledge.titles[item] in line
            assert line.endswith(" yes" if item in own.truth else " no")


@pytest.mark.parametrize("kinds", ["exclusion", "explicit"])
def test_a_chat_answer_quotes_lines_with_a_verdict_on_each_thing(games: Callable[..., Knowledge], kinds: str) -> None:
    knowledge = games("chat")
    graph = knowledge.attributes
    maker, rng = Maker(knowledge, CatalogueRequestOptions(kinds=kinds)), np.random.default_rng(0)
    ruled_out = 0
    for own in draw_many(maker, "train", [12] * 60, rng, set()):
        query = maker.query(own, "", rng)
        prompt = query.messages[0]["content"].split("\n")
        answer = maker._teacher.reason(own.draft, own.truth, own.candidates).split("\n")
        quoted = [line for line in answer if line.startswith("- ")]
        asked = next(line for line in answer if line.startswith("Asked: "))
        lead = f"- {maker._teacher._facts.lead(query.asked[0])}"
        for line in quoted:  # a line of the prompt, from a value on that is asked for
            plain = re.sub(r"(?: (?:yes|no))+(?=, |; |: )", "", line)
            assert line.startswith(lead)
            assert any(told.startswith(lead) and told.endswith(plain.removeprefix(lead)) for told in prompt)
            item = next(item for item in own.candidates if line.endswith(f": {knowledge.titles[item]}"))
            has = set(graph.ids_of(item).tolist())
            known = [name for name in query.asked if any(graph.relations[a] == name for a in has)]
            told = line.removesuffix(f": {knowledge.titles[item]}").removeprefix("- ").split("; ")
            for name, part in zip(known, told, strict=True):
                conditions = [c for c in own.draft.conditions if c.name == name]
                marked = {maker.shelf.names[a]: c.mark for c in conditions for a in has & set(c.attributes)}
                for value, mark in marked.items():  # as the line "Asked" has it
                    assert re.search(rf"{re.escape(value)} {mark}(?=,| no$|$)", part)
                    assert f"{value} {mark}" in asked
                missing = any(not c.excluded and not has & set(c.attributes) for c in conditions)
                assert part.count(" yes") + part.count(" no") == len(marked) + missing
                assert not missing or part.endswith(" no")
            assert any(re.search(" no(?=,|$)", part) for part in told) == (item not in own.truth)
            ruled_out += item not in own.truth
        assert quoted[-1].endswith(f": {knowledge.titles[own.truth[-1]]}")
    assert ruled_out > 10


def test_values_that_were_just_listed_are_not_listed_again(games: Callable[..., Knowledge]) -> None:
    knowledge = games("chat")
    maker, rng = Maker(knowledge, CatalogueRequestOptions(kinds="implicit,misinformed")), np.random.default_rng(0)
    short = 0
    for own in draw_many(maker, "train", [12] * 60, rng, set()):
        asked = next(
            line
            for line in maker._teacher.reason(own.draft, own.truth, own.candidates).split("\n")
            if line.startswith("Asked: ")
        )
        several = any(len(c.attributes) > 1 for c in own.draft.conditions[own.draft.inferred :])
        assert ("one of these" in asked) == several
        assert " or " not in asked
        short += several
    assert short > 5


def test_a_chat_answer_asks_in_the_order_of_the_facts(games: Callable[..., Knowledge]) -> None:
    """First what is wanted of the relation with most values, last what is excluded; and so do the lines tell it."""
    knowledge = games("chat")
    maker, rng = Maker(knowledge, CatalogueRequestOptions(kinds="explicit,exclusion")), np.random.default_rng(0)
    several = 0
    for own in draw_many(maker, "train", [12] * 60, rng, set()):
        query = maker.query(own, "", rng)
        wanted = list(dict.fromkeys(c.name for c in own.draft.conditions if not c.excluded))
        several += len(wanted) > 1
        breadth = [knowledge.attributes.relations.count(name) for name in query.asked[: len(wanted)]]
        assert set(query.asked[: len(wanted)]) == set(wanted)
        assert breadth == sorted(breadth, reverse=True)
        answer = maker._teacher.reason(own.draft, own.truth, own.candidates)
        asked = next(line for line in answer.split("\n") if line.startswith("Asked: "))
        excluded = [part.endswith(" no") for part in asked.removeprefix("Asked: ").split("; ")]
        assert excluded == sorted(excluded)
    assert several > 5


def test_a_quoted_line_begins_at_the_first_value_that_is_asked_for() -> None:
    assert _place(", Ann, Bo, Cy", ", Bo", ", ") == 5
    assert _place(", Anne, Ann", ", Ann", ", ") == 6  # not the beginning of another name
    assert _place(", Anne", ", Ann", ", ") == -1


def test_a_model_of_its_own_phrases_has_short_lists_first(games: Callable[..., Knowledge]) -> None:
    made = make_requests(games("sentences"), CatalogueRequestOptions(**NO_QUERIES, traces=40))
    assert list(dict.fromkeys(trace.phase for trace in made.traces)) == ["short", "medium", "full"]
    assert len(made.traces) == 40


def test_a_pretrained_model_is_shown_few_candidates_in_the_order_that_rules_out_most(
    games: Callable[..., Knowledge], monkeypatch: pytest.MonkeyPatch
) -> None:
    ruled_out = []
    for orders in (1, 2):
        monkeypatch.setattr(make, "ORDERS", orders)
        made = make_requests(games("chat"), CatalogueRequestOptions(**NO_QUERIES, traces=100))
        assert [trace.phase for trace in made.traces] == ["few"] * 80 + ["medium"] * 20
        lists = [trace.prompt[0]["content"].partition("\n\nCandidates")[2] for trace in made.traces[:80]]
        assert {told.count("\n- ") for told in lists} == {4, 5, 6}
        ruled_out.append(sum(len(re.findall(" no(?=, |; |: )", trace.response)) for trace in made.traces))
    assert ruled_out[1] > 1.2 * ruled_out[0]


def test_a_verdict_follows_from_the_value_before_it(games: Callable[..., Knowledge]) -> None:
    """A value is asked for or not; one that is not wanted, and the first name that fails, end the line."""
    knowledge = games("sentences")
    maker, rng, graph = Maker(knowledge, CatalogueRequestOptions()), np.random.default_rng(1), knowledge.attributes
    ends = set()
    for own in draw_many(maker, "train", [12] * 120, rng, set()):
        conditions = [c for c in own.draft.conditions if c.span is None]
        wanted = {graph.values[a] for c in conditions if not c.excluded for a in c.attributes}
        banned = {graph.values[a] for c in conditions if c.excluded for a in c.attributes}
        answer = maker._teacher.reason(own.draft, own.truth, own.candidates)
        checked = [line for line in answer.split("\n") if line[0].isdigit()]
        for item, line in zip(own.candidates, checked, strict=False):
            _, *groups, last = line.removeprefix(line.split(")")[0] + ") " + knowledge.titles[item]).split(" : ")
            assert last == ("yes" if item in own.truth else "no")
            values = [graph.values[a] for a in graph.ids_of(item)]
            told = {value: verdict for group in groups for value, verdict in _verdicts(group, values)}
            for value, verdict in told.items():
                assert verdict == ("" if value in banned else "yes" if value in wanted else "no")
                ends.add(verdict)
    assert ends == {"yes", "no", ""}


def test_what_is_asked_for_stands_behind_a_word_of_its_own(games: Callable[..., Knowledge]) -> None:
    """In sentences alone, where a model has to tell it from what the prompt tells of the candidates."""
    for form, marked in (("sentences", True), ("chat", False)):
        made = make_requests(games(form), CatalogueRequestOptions(**NO_QUERIES, traces=60))
        asked = [line for trace in made.traces for line in trace.response.split("\n") if line.startswith("Asked")]
        assert len(asked) == 60
        assert any("= " in line for line in asked) == marked
        assert not any("= " in trace.prompt[0]["content"] for trace in made.traces)


def _verdicts(group: str, values: Sequence[str]) -> list[tuple[str, str]]:
    """The values that a group tells, each with the word after it."""
    found = [(group.index(value), value) for value in values if re.search(rf"\b{re.escape(value)}(?: |$)", group)]
    return [(value, re.match(r" ?(yes|no)?", group[at + len(value) :])[1] or "") for at, value in sorted(found)]  # type: ignore[index]


@pytest.mark.parametrize("form", ["sentences", "chat"])
def test_what_the_metric_reads_of_them_is_true(games: Callable[..., Knowledge], form: str) -> None:
    knowledge = games(form)
    made = make_requests(knowledge, CatalogueRequestOptions(**NO_QUERIES, traces=60))
    reader = TruthReader(knowledge.titles, knowledge.years, knowledge.attributes, made.description)
    told = [statement for trace in made.traces for line in reader.read(trace.response) for statement in line]
    assert len(told) > 60
    assert [statement for statement in told if not statement.true] == []
