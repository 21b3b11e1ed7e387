"""Requests in words: all that is asked is said, in clean English, and half of val and test in words of their own."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from rerec_engine.data.articles import article
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.worlds.catalogue import grammar
from rerec_engine.worlds.catalogue.conditions import Condition, Span
from rerec_engine.worlds.catalogue.drafts import Draft
from rerec_engine.worlds.catalogue.grammar import seen
from rerec_engine.worlds.catalogue.make import Drawn, Maker, draw_many
from rerec_engine.worlds.catalogue.shelf import Shelf
from rerec_engine.worlds.catalogue.wording import Said, Speaker
from rerec_engine.worlds.options import CatalogueRequestOptions

LABELS = {"war": "Wargame", "economic": "Economic", "party": "Card Game", "cooperative": "Animals"}
TITLE = r"Game of \d+, the (?:Sequel|First)"
NP = r"(?:[Aa]n?|[Tt]he|[Ss]omething|[Tt]wo|[Tt]hree|[Ff]our|[Ff]ive) .+"
SLOTS = {"np": NP, "via": TITLE, "liked": f"{TITLE} and {TITLE}", "fact": "(?:its|one of its) .+", "group": ".+"}


def labelled(knowledge: Knowledge) -> Knowledge:
    """With categories that do not stand before every noun as they are."""
    triples = [
        (item, relation, LABELS.get(value, value))
        for item in range(knowledge.item_count)
        for relation, value in knowledge.attributes.attributes_of(item)
    ]
    return replace(knowledge, attributes=AttributeGraph.from_triples(triples, knowledge.item_count))


@pytest.fixture(scope="module")
def maker(games: Callable[..., Knowledge]) -> Maker:
    return Maker(labelled(games("chat")), CatalogueRequestOptions())


@pytest.fixture(scope="module")
def drawn(maker: Maker) -> list[Drawn]:
    return draw_many(maker, "train", [8] * 700, np.random.default_rng(0), set())


def test_everything_asked_is_said(maker: Maker, drawn: list[Drawn]) -> None:
    knowledge, names = maker.shelf.knowledge, maker.shelf.names
    for draft, said in ((own.draft, own.said) for own in drawn):
        told = draft.conditions if draft.inferred < 0 else draft.conditions[: draft.inferred]
        words = said.text.casefold()
        assert all(names[a].casefold() in words for condition in told for a in condition.attributes), said.text
        assert all(knowledge.titles[item] in said.text for item in draft.named)
        assert draft.false < 0 or names[draft.false].casefold() in words
        assert bool(re.search(r"\b(?:no|not|none|nothing|without)\b", strip_asides(said.text))) == any(
            condition.excluded for condition in draft.conditions
        ), said.text
        if draft.count > 1:
            assert re.search(rf"(?i)\b{'zero one two three four five'.split()[draft.count]}\b", said.text)
            assert knowledge.description.items in said.text


def strip_asides(text: str) -> str:
    """The text without the reasons and closings that have a "no" of their own."""
    for template in (*grammar.REASONS, *grammar.CLOSINGS, *grammar.MISINFORMED):
        for part in re.split(r"\{\w+\}", template):
            text = text.replace(part, " ") if re.search(r"\b(?:no|not|none|nothing)\b", part, re.I) else text
    return text.replace("not yet 18", "").casefold()


def test_the_english_is_clean(drawn: list[Drawn]) -> None:
    for text in (own.said.text for own in drawn):
        wrong = [f"{a} {word}" for a, word in re.findall(r"\b([Aa]n?) (\S+)", text) if article(word) != a.lower()]
        assert wrong == [], text
        assert not re.search(r"(?i)game (?:board )?game|(\b\w+\b) \1\b", text), text
        assert not re.search(r"\s[.,;?!]|\s\s|[,.] ?[.,?]|\bthat \w+ by\b", text), text
        assert not re.search(r"(?:But|And|Nothing|No) .*[.] (?:But n|N)o(?:thing)? \w+ by", text), text
        starts = re.findall(r"(?:^|[.?!] )(\S)", text)
        assert all(start.isupper() or start.isdigit() for start in starts), text
        assert text[-1] in ".?!"
        assert not re.search(r"\b(?:animals|wargame|card game) board games?\b", text), text


def test_the_noun_phrase_is_not_left_bare(drawn: list[Drawn]) -> None:
    """What would be "Is there a board game?" with all else in further sentences."""
    alone = [own.said.text for own in drawn if re.search(r"\b(?:It|They) should be ", own.said.text)]
    assert len(alone) > 40
    for text in alone:
        before = re.split(r"(?:It|They) should be ", text)[0]
        assert not re.search(r"\b(?:a|two|three|four|five) board games?[.?]? ?(?:, please[.?] ?)?$", before), text


def test_a_superlative_is_one_sentence(drawn: list[Drawn]) -> None:
    best = [own for own in drawn if any(c.span and c.span.best for c in own.draft.conditions)]
    assert len(best) > 5
    for own in best:
        assert re.search(r"\bthe (?:newest|oldest|cheapest|most expensive) ", own.said.text.casefold())
        assert "should be" not in own.said.text


def test_a_relation_that_is_asked_for_twice_is_said_in_two_ways(maker: Maker, drawn: list[Drawn]) -> None:
    """A "wargame that shares a category with X", not "of the category wargame in one of the categories of X"."""
    drafts = [own.draft for own in drawn if own.draft.via >= 0]
    twice = [d for d in drafts if d.conditions[d.inferred].name in {c.name for c in d.conditions[: d.inferred]}]
    assert len(twice) > 5
    for draft in twice:
        text = Speaker(maker.shelf).say(draft, np.random.default_rng(0)).text
        assert re.search(r"\bthat (?:shares an?|has the same) ", text), text


def test_what_is_left_without_names_and_numbers(maker: Maker) -> None:
    shelf = maker.shelf
    price = Condition("price", span=Span("under", 30))
    draft = Draft("explicit", "numbers", (price,), target=0)
    forms = {Speaker(shelf).say(draft, np.random.default_rng(i)).form for i in range(20)}
    assert all("30" not in form for form in forms)
    assert any("_ euros" in form for form in forms)


def test_a_closed_form_says_every_piece_as_a_token(games: Callable[..., Knowledge]) -> None:
    speaker = Speaker(Shelf(games("sentences")))
    said = speaker.say(Draft("explicit", "plain", (Condition("category", (3,)),), target=0), np.random.default_rng(1))
    assert said.text == " ".join(said.pieces)


def held_out_in(said: Said, name: str) -> list[str]:
    """The held-out templates of a list that the request is made of."""
    found = []
    for template in seen(getattr(grammar, name))[1]:
        around, wish, tail = template.partition(" {wish}")
        pattern = re.sub(r"\\\{(\w+)\\\}", lambda slot: SLOTS[slot[1]], re.escape(around))
        pattern += rf" .*{re.escape(tail)}(?=[.,?]| would )" if wish else r"(?:\.|(?<=\?))"
        if re.search(rf"(?:^|(?<=[.?] )){pattern}", said.text):
            found.append(template)
    return found


LISTS = ("FRAMES", "REASONS", "CLOSINGS", "MISINFORMED", "INTEREST", "DEMOGRAPHICS")


@pytest.fixture(scope="module")
def unseen(maker: Maker) -> list[Said]:
    """Requests of the test split in words of its own."""
    said = [own.said for own in draw_many(maker, "test", [8] * 200, np.random.default_rng(1), set())]
    own = [words for words in said if words.unseen]
    assert 0.35 < len(own) / len(said) < 0.65
    return own


@pytest.mark.parametrize("name", LISTS)
def test_held_out_templates_are_in_no_text_of_train(drawn: list[Drawn], unseen: list[Said], name: str) -> None:
    assert [found for own in drawn if (found := held_out_in(own.said, name))] == []
    found = [held_out_in(said, name) for said in unseen]
    assert any(found)
    assert name != "FRAMES" or all(found)
