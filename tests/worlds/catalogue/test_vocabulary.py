"""The phrases that prompts and traces are made of."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from rerec_engine.data.knowledge import Knowledge
from rerec_engine.graph.numbers import ItemNumbers
from rerec_engine.worlds.catalogue import MadeRequests, make_requests
from rerec_engine.worlds.catalogue.shelf import Shelf
from rerec_engine.worlds.catalogue.vocabulary import MOST_FIGURES, openings, vocabulary
from rerec_engine.worlds.catalogue.wording import Said
from rerec_engine.worlds.options import CatalogueRequestOptions

OPTIONS = CatalogueRequestOptions(train_queries=100, val_queries=20, test_queries=100, traces=200)


@pytest.fixture(scope="module")
def made(games: Callable[..., Knowledge]) -> MadeRequests:
    return make_requests(games("sentences"), OPTIONS)


def said_of(*texts: str) -> list[Said]:
    return [Said(tuple(text.split()), False, text) for text in texts]


def test_every_text_is_made_of_the_vocabulary(made: MadeRequests) -> None:
    longest_first = sorted(made.vocabulary, key=len, reverse=True)
    phrase = re.compile("|".join(map(re.escape, longest_first)))  # as a tokenizer reads: leftmost, longest
    texts = [trace.response for trace in made.traces] + [trace.prompt[0]["content"] for trace in made.traces]
    texts += [query.messages[0]["content"] for queries in made.splits.values() for query in queries]
    assert len(texts) == 620
    for text in texts:
        assert phrase.sub("", text) == "", text


def test_titles_values_and_pieces_are_one_phrase_each(games: Callable[..., Knowledge]) -> None:
    knowledge, said = games("sentences"), said_of("Find a war board game , please .", "Something by Ann Able")
    own = vocabulary(knowledge, Shelf(knowledge).names, said, 4)
    assert own == sorted(set(own))
    assert {f" {title}" for title in knowledge.titles} <= set(own)
    assert {
        " Ann Able",
        " dice & cards",
        " Days & Nights",
        "Find",
        "Something",
        " please",
        " designed",
        " euros",
    } <= set(own)
    assert {f"\n{i})" for i in (1, 2, 3, 4)} <= set(own)
    assert "\n5)" not in own
    assert " player" in own  # of "1 player"
    years = {year for year in knowledge.years if year is not None}
    assert {f" {year}" for year in years} | {f" {year // 10 * 10}s" for year in years} <= set(own)


def test_numbers_have_a_phrase_unless_there_are_too_many(games: Callable[..., Knowledge]) -> None:
    knowledge = games("sentences")
    few, many = np.full(90, 12345.0), np.arange(90.0) * 1000 + 100_000
    assert MOST_FIGURES > 90
    numbers = {"votes": ItemNumbers(few, few), "views": ItemNumbers(many, many)}
    own = set(vocabulary(replace(knowledge, numbers=numbers), (), (), 4))
    assert {" 12345", " 100000", " 189000", " votes", " views"} <= own
    large = np.arange(MOST_FIGURES + 1) + 500_000.0
    own = set(vocabulary(replace(knowledge, numbers={"votes": ItemNumbers(large, large)}), (), (), 4))
    assert " 500000" not in own


def test_the_assistants_opening_stands_first(made: MadeRequests) -> None:
    assert openings(said_of("Find a", "Any idea ?", "Show me"), "an") == ("Find an", "Any", "Show")
    assert made.description.openings[0] == "Find a"
    first = {query.request.split()[0] for queries in made.splits.values() for query in queries}
    assert first <= {"Find", *made.description.openings[1:]}
