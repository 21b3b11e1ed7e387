from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rerec_engine.assistant.parse import RequestParser
from rerec_engine.assistant.shortlist import Shortlister
from rerec_engine.data.dataset import Dataset


def test_named_values_come_first_then_what_shares_most_with_named_titles(films: Dataset) -> None:
    chosen = Shortlister(films).choose("A crime film by Michael Mann", count=4)
    assert {films.titles[i] for i in chosen.items[:2]} == {"Heat (1995)", "Collateral (2004)"}
    assert films.titles[chosen.items[2]] == "The Insider (1999)"
    assert "Genre: Crime; Directed by: Michael Mann" in chosen.reason

    like = Shortlister(films).choose('More like "Stalker"', count=3)
    assert films.titles[like.items[0]] == "Solaris (1972)"  # genre and director
    assert films.titles[like.items[1]] == "Solaris (2002)"  # genre
    assert films.titles.index("Stalker (1979)") not in like.items


def test_alternatives_count_each_but_never_more_than_what_satisfies_all(films: Dataset) -> None:
    chosen = Shortlister(films).choose("crime or drama by Michael Mann or Ridley Scott from the 2000s", count=5)
    titles = [films.titles[i] for i in chosen.items]
    assert set(titles[:2]) == {"Collateral (2004)", "Gladiator (2000)"}


def test_nothing_named_is_filled_by_popularity_or_by_the_history(films: Dataset) -> None:
    popular = Shortlister(films).choose("anything", count=3)
    assert films.titles[popular.items[0]] == "Stalker (1979)"  # both users
    assert "popularity" in popular.reason
    near = Shortlister(films).choose("anything", history=(0,), count=3)
    assert near.items == (1, 2, 3)  # the embeddings lie on an arc, in the order of the items
    assert "history" in near.reason


@settings(max_examples=100)
@given(st.text(max_size=80), st.integers(1, 30), st.sets(st.integers(0, 10), max_size=4))
def test_any_request_gets_distinct_candidates_without_the_history(
    films: Dataset, text: str, count: int, history: set[int]
) -> None:
    items = Shortlister(films).choose(text, tuple(history), count).items
    assert len(set(items)) == len(items) <= count
    assert not set(items) & history


def test_exclusions_and_years_rule_out(films: Dataset) -> None:
    chosen = Shortlister(films).choose("science fiction not by Andrei Tarkovsky, from before 2000")
    titles = [films.titles[i] for i in chosen.items]
    assert not {"Solaris (1972)", "Stalker (1979)"} & set(titles)
    assert all(int(title[-5:-1]) < 2000 for title in titles)
    assert "none with Directed by: Andrei Tarkovsky" in chosen.reason


def test_years_that_nothing_has_rule_nothing_out(films: Dataset) -> None:
    assert len(Shortlister(films).choose("a drama from before 1930").items) == len(films.titles)


def test_an_index_of_texts_breaks_ties(films: Dataset) -> None:
    near = np.zeros(len(films.titles))
    near[5] = 1
    chosen = Shortlister(films, search=lambda text: near).choose("anything at all")
    assert chosen.items[0] == 5
    assert "nearness" in chosen.reason


@settings(max_examples=150)
@given(
    st.lists(
        st.sampled_from(
            "not no without by or and , but Drama Crime horror Michael Mann Ridley Scott the (1995)".split()
        ),
        max_size=12,
    ).map(" ".join)
)
def test_nothing_excluded_is_ever_listed(films: Dataset, text: str) -> None:
    parser = RequestParser(films)
    request = parser.parse(text)
    items = Shortlister(films, parser).choose(text, request=request).items
    for condition in request.excluded:
        has = condition.mask(films)
        assert all(has[i] for i in items)
    assert not {*request.liked, *request.left_out} & set(items)
