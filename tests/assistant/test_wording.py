"""Words of a request that are no condition, in titles that describe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rerec_engine.assistant.parse import Earlier, RequestParser
from rerec_engine.assistant.shortlist import Shortlister
from rerec_engine.assistant.wording import TitleWords, other_words
from rerec_engine.data.dataset import Dataset

LABELS = "P-touch Label Maker, Easy to Use, One-Touch Keys"
PAPER = "Premium Presentation Paper for Inkjet Printers, Matte, 100 Sheets"
PRINTER = "Compact Laser Printer, Monochrome, Wireless, Two-Sided Printing"
BATTERY = "Alkaline Battery Value Box, AA, 48 Pieces, Ten Years"
TITLES = (LABELS, PAPER, PRINTER, BATTERY)


@pytest.fixture
def shop(films: Dataset) -> Dataset:
    """The films' graph under titles that describe, and the first two with brands of their own."""
    more = [f"{title} with many a word that nobody asks for" for title in films.titles[len(TITLES) :]]
    return replace(films, titles=[*TITLES, *more])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I need a label maker from Michael Mann, please", ("label", "maker")),
        ("Recommend me two binders for batteries", ("binder", "battery")),
        ("boxes of brushes, the glass classes", ("box", "brush", "glass", "class")),
        ('More like "Stalker", a good film', ()),
        ("a printer, no ink or cables, but with paper", ("printer", "paper")),
        ("hello", ()),
    ],
)
def test_other_words(films: Dataset, text: str, words: tuple[str, ...]) -> None:
    parser = RequestParser(films)
    assert other_words(parser.read(text)) == words
    assert parser.parse(text).words == words


def test_words_of_titles_that_describe_count_by_their_rarity() -> None:
    scores = TitleWords(TITLES)(("printer", "paper", "dragon"))
    assert scores[1] == pytest.approx(np.log(4 / 2) + np.log(4))
    assert scores[2] == pytest.approx(np.log(4 / 2))
    assert scores[0] == scores[3] == 0
    assert not TitleWords(TITLES)(()).any()
    assert TitleWords([])(("printer",)).shape == (0,)


def test_names_say_nothing(films: Dataset) -> None:
    assert not TitleWords(films.titles)(("heat",)).any()


def test_the_shortlist_goes_by_words_after_the_conditions(shop: Dataset) -> None:
    lister = Shortlister(shop)
    chosen = lister.choose("paper for a printer", count=3)
    assert [shop.titles[i] for i in chosen.items[:2]] == [PAPER, PRINTER]
    assert "the titles' words and popularity" in chosen.reason
    assert "words" not in lister.choose("anything").reason
    of_mann = lister.choose("a printer by Michael Mann", count=1)
    assert ("Directed_by", "Michael Mann") in shop.attributes.attributes_of(of_mann.items[0])


def test_an_index_of_embeddings_stands_for_the_words(shop: Dataset) -> None:
    nearness = np.linspace(0, 1, len(shop.titles))
    chosen = Shortlister(shop, search=lambda text: nearness).choose("paper for a printer", count=1)
    assert chosen.items == (len(shop.titles) - 1,)


def test_a_follow_up_keeps_the_words(shop: Dataset) -> None:
    parser = RequestParser(shop)
    first = parser.parse("a label maker by Michael Mann")
    second = parser.parse("another, with wireless keys", Earlier(first, (0,), (0,)))
    assert second.follows and second.words == ("label", "maker", "wireless", "key")
