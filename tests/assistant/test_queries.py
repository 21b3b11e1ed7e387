from __future__ import annotations

from rerec_engine.assistant.queries import QueryIndex, request_of
from rerec_engine.data.dataset import Dataset
from rerec_engine.types import Message, Query


def test_request_is_read_from_both_prompt_forms(films: Dataset) -> None:
    assert request_of(films.queries("train")[0]) == "A crime film by Michael Mann, please!"
    demo = Query(id="d", messages=(Message(role="user", content="Find a drama\n A\n B\n"),), ground_truth=(0,))
    assert request_of(demo) == "Find a drama"


def test_query_is_found_by_its_words(films: Dataset) -> None:
    queries = films.queries("train")
    assert QueryIndex(queries).find("a crime film by MICHAEL MANN please") == (queries[0], True)
    assert QueryIndex(queries).find("Something quiet and slow about space and a memory") == (queries[1], False)
    assert QueryIndex(queries).find("A crime film by Ridley Scott") == (None, False)
    assert QueryIndex(queries).find("?!") == (None, False)
