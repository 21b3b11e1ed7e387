"""Requests in words."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rerec_engine.data.knowledge import Knowledge
from rerec_engine.errors import UserError
from rerec_engine.worlds.catalogue import make_requests
from rerec_engine.worlds.catalogue.grammar import FRAMES, seen
from rerec_engine.worlds.options import CatalogueRequestOptions


def test_unseen_openings_are_in_no_query_of_train(games: Callable[..., Knowledge]) -> None:
    made = make_requests(games("chat"), CatalogueRequestOptions(kinds="explicit", train_queries=300, traces=0))
    held_out = [frame.partition("{np}")[0] for frame in seen(FRAMES)[1]]
    own = {split: [made.extra_info[q.id]["unseen_wording"] for q in made.splits[split]] for split in made.splits}
    assert not any(own["train"])
    assert 0.4 < sum(own["test"]) / len(own["test"]) < 0.6
    for query in made.splits["test"]:
        if made.extra_info[query.id]["unseen_wording"]:
            assert any(opening in query.request for opening in held_out)


@pytest.mark.parametrize(
    ("kinds", "told"),
    [("explict", "'explict' is none of explicit"), ("demographics", "demographics needs profiles of users")],
)
def test_kinds_that_cannot_be_are_told(games: Callable[..., Knowledge], kinds: str, told: str) -> None:
    knowledge = games("chat")
    bare = Knowledge(knowledge.titles, knowledge.years, knowledge.attributes)
    with pytest.raises(UserError, match=told):
        make_requests(bare, CatalogueRequestOptions(kinds=kinds))
