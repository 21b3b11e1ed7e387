from __future__ import annotations

from rerec_engine.assistant.queries import QueryIndex
from rerec_engine.data.dataset import Dataset


def test_query_is_found_by_its_words(films: Dataset) -> None:
    queries = films.queries("train")
    assert QueryIndex(queries).find("a crime film by MICHAEL MANN please") == (queries[0], True)
    assert QueryIndex(queries).find("Something quiet and slow about space and a memory") == (queries[1], False)
    assert QueryIndex(queries).find("A crime film by Ridley Scott") == (None, False)
    assert QueryIndex(queries).find("?!") == (None, False)
