"""Facts in the prompts of queries that others wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from rerec_engine.data.assemble import Prepared
from rerec_engine.data.counts import Counts
from rerec_engine.data.description import DatasetDescription
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.data.prompter import Prompter
from rerec_engine.data.sources import SourceItems, no_interactions
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.prepare.facts import with_facts
from rerec_engine.types import Query

FILMS = {"The Insider (1999)": "Michael Mann", "Heat (1995)": "Michael Mann", "Alien (1979)": "Ridley Scott"}


def prepared(*requests: str) -> Prepared:
    """As `recbench` leaves it: prompts without facts."""
    titles = list(FILMS)
    triples = [(i, "directed_by", name) for i, name in enumerate(FILMS.values())] + [(2, "genre", "Horror")]
    said = DatasetDescription(noun="movie")
    queries = [
        Query(str(i), said.prompt(text, candidates=titles[1:]), (1,), (1, 2), request=text, history=(0,))
        for i, text in enumerate(requests)
    ]
    items = SourceItems(titles, [1999, 1995, 1979], {})
    graph = AttributeGraph.from_triples(triples, 3)
    return Prepared(items, graph, no_interactions(3), {"train": queries}, {}, Counts(), "made", said)


@pytest.mark.parametrize(
    ("request_", "asked", "named"),
    [
        ("I want a horror movie directed by Michael Mann", {"directed_by", "genre"}, ()),
        ("A film by the same director as The Insider (1999)?", {"directed_by"}, (0,)),
        ("I loved The Insider (1999), what else is there?", {"directed_by"}, (0,)),
        ("Anything at all", set(), ()),
    ],
)
def test_the_words_tell_what_is_asked_and_named(request_: str, asked: set[str], named: tuple[int, ...]) -> None:
    told = with_facts(before := prepared(request_), "asked")
    query = told.splits["train"][0]
    assert (set(query.asked), query.named) == (asked, named)
    assert told.description.facts == "asked"
    assert ("directed by Michael Mann: Heat (1995)" in query.messages[0]["content"]) is bool(asked)
    assert before.counts.notes == {"queries of which no relation, number or title is read": int(not asked)}


def test_the_prompts_can_be_made_anew() -> None:
    told = with_facts(prepared("A film by the director of The Insider (1999)?", "Anything"), "all")
    knowledge = Knowledge(told.items.titles, told.items.years, told.graph, told.description)
    Prompter(knowledge).check(told.splits["train"], Path("train.parquet"), "none")
    assert all("directed by Ridley Scott; Horror: Alien" in q.messages[0]["content"] for q in told.splits["train"])


def test_nothing_changes_without_facts() -> None:
    own = prepared("A film by the same director as The Insider (1999)?")
    assert with_facts(own, "none") is own
