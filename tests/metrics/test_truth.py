"""Statements as a person reads them, on small catalogues; and the C++ reader, which must read the same."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerec_engine.data.description import DatasetDescription, Wording
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.metrics.truth import TruthReader
from rerec_engine.reward import RewardEngine

FACTS = {
    "Heat (1995)": "genre=Crime; genre=Thriller; director=Michael Mann (director); starring=Al Pacino; set=Los Angeles",
    "Insider, The (1999)": "genre=Drama; director=Michael Mann (director); starring=Al Pacino; starring=Russell Crowe",
    "Fargo (1996)": "genre=Crime; genre=Drama; director=Joel Coen; starring=Frances McDormand; set=Norway",
    "Ed Wood (1994)": "genre=Comedy; genre=Drama; director=Tim Burton; starring=Johnny Depp",
    "Groundhog Day (1993)": "genre=Comedy; genre=Romance; director=Harold Ramis; starring=Bill Murray",
    "Sabrina (1954)": "genre=Comedy; genre=Romance; director=Billy Wilder",
    "Sabrina (1995)": "genre=Comedy; genre=Romance; director=Sydney Pollack",
    "It (1990)": "genre=Horror; director=Tommy Lee Wallace",
    "Bride of the Monster (1956)": "genre=Horror; genre=Sci-Fi; director=Ed Wood",
    "12 Angry Men (1957)": "genre=Drama; director=Sidney Lumet; year=1957",
    "Café Society (2016)": "genre=Comedy; director=Woody Allen; maker=HP",
    "Nothing Known (2000)": "",
}
DESCRIPTION = DatasetDescription(
    noun="film", relations={"set": Wording("set in", "place"), "year": Wording("from", "year")}
)


@cache
def reader() -> TruthReader:
    return TruthReader(list(FACTS), [None] * len(FACTS), graph(), DESCRIPTION)


def graph() -> AttributeGraph:
    triples = [
        (item, *fact.split("=")) for item, facts in enumerate(FACTS.values()) for fact in facts.split("; ") if fact
    ]
    return AttributeGraph.from_triples(triples, len(FACTS))


@cache
def engine(threads: int = 1) -> RewardEngine:
    facts = graph()
    known = RewardEngine(
        Catalogue(list(FACTS)),
        facts.item_attributes,
        np.eye(len(FACTS), dtype=np.float32),
        threads=threads,
        attribute_names=facts.values,
        attribute_relations=facts.relations,
        description=DESCRIPTION,
    )
    known.score(["\\boxed{Heat}"], [0], reasons=True)
    return known


def read(text: str) -> list[str]:
    """Each statement as "+Heat Crime": + for true, - for false, ! where it is denied."""
    titles, values = list(FACTS), graph().values
    return [
        ("+" if s.true else "-")
        + ("!" if s.denied else "")
        + f"{titles[s.item].split(' (')[0]} {values[s.attributes[0]] if s.attributes else '?'}"
        for line in reader().read(text)
        for s in line
    ]


CASES = {
    "1) Heat (1995) crime yes Al Pacino no": ["+Heat Crime", "+Heat Al Pacino"],
    " Fargo (1996) Norway not Los Angeles": ["+Fargo Norway", "+!Fargo Los Angeles"],
    "starring Bill Murray, Al Pacino; directed by Harold Ramis: Groundhog Day (1993)": [
        "+Groundhog Day Bill Murray", "-Groundhog Day Al Pacino", "+Groundhog Day Harold Ramis"
    ],
    "Unlike Fargo (1996), Heat (1995) is directed by Michael Mann.": ["+Heat Michael Mann (director)"],
    "Heat (1995) and The Insider (1999) are both dramas by Michael Mann": [
        "-Heat Drama", "+Insider, The Drama", "+Heat Michael Mann (director)", "+Insider, The Michael Mann (director)"
    ],
    "Heat (1995) is not directed by Joel Coen": ["+!Heat Joel Coen"],
    "Heat (1995) isn't a comedy, but a thriller.": ["+!Heat Comedy", "+Heat Thriller"],
    "Neither Heat (1995) nor Fargo (1996) stars Bill Murray": ["+!Heat Bill Murray", "+!Fargo Bill Murray"],
    "Heat (1995) (directed by Michael Mann) instead of Fargo (1996)": ["+Heat Michael Mann (director)"],
    "Heat (1995) instead of Fargo (1996), a drama": [],
    "Heat (1995) is directed by Al Pacino": ["-Heat ?"],
    "The director of Heat (1995) is Joel Coen.": ["-Heat Joel Coen"],
    "Al Pacino stars in Heat (1995), a crime film": ["+Heat Al Pacino", "+Heat Crime"],
    "the comedy Heat (1995)": ["-Heat Comedy"],
    "Heat (1995) drama Fargo (1996)": [],
    "Is Heat (1995) a comedy?": [],
    "If Heat (1995) is a comedy": [],
    "Heat (1995) is a comedy?": [],
    "Heat (1995) or Fargo (1996) is a comedy": [],
    "Heat (1995) is a comedy or a drama": [],
    "Heat (1995) is not only a thriller but also stars Al Pacino": ["+Heat Thriller", "+Heat Al Pacino"],
    "Heat (1995) is not a comedy or a drama": ["+!Heat Comedy", "+!Heat Drama"],
    "Heat (1995) is not a comedy and a drama": ["+!Heat Comedy"],
    "Heat (1995) has no Bill Murray": ["+!Heat Bill Murray"],
    "Heat (1995) is great. A comedy": [],
    "Heat (1995) has great reviews and comedy": [],
    "Heat (1995) is a comedy club tale": [],
    "Heat (1995) is an anti-crime film": [],
    "Heat (1995): Michael Mann Productions": [],
    "Ed Wood directed Bride of the Monster (1956)": ["+Bride of the Monster Ed Wood"],
    "Ed Wood is a comedy": [],
    '"Ed Wood" is a comedy': ["+Ed Wood Comedy"],
    "Sabrina (1954) by Billy Wilder": ["+Sabrina Billy Wilder"],
    '"Sabrina" is a comedy by Billy Wilder': ["+Sabrina Comedy"],
    "It is a horror film": [],
    "It (1990) is a horror film": ["+It Horror"],
    "Heat (1986) is a comedy": [],
    "Nothing Known (2000) is a comedy": [],
    "12 Angry Men (1957) drama": ["+12 Angry Men Drama"],
    "Heat (1995) 1957": [],
    "“Café Society” – a comedy": ["+Café Society Comedy"],
    "Café Society (2016) hp": [],
    "Café Society (2016) HP": ["+Café Society HP"],
    "We liked Fargo, a drama": ["+Fargo Drama"],
    "Heat's star is Bill Murray": [],
    '"Heat" (1995) by Michael Mann': ["+Heat Michael Mann (director)"],
    '"Heat!" is a crime flick': ["+Heat Crime"],
    'Heat! (1995) is a crime film': ["+Heat Crime"],
    'We saw "Heat," a classic crime film': ["+Heat Crime"],
    'The 1986 "Heat" is a crime film': [],
    'The 1995 "Heat" is a crime film': ["+Heat Crime"],
    '"White Heat" is a crime film': [],
    'Cold and "some Heat" is a crime film': [],
    "We saw White and Heat, a crime film": [],
    "We saw Fargo and Heat, both crime films": ["+Fargo Crime", "+Heat Crime"],
    "Fargo (1996), Ed Wood, Heat (1995)": [],
    "Bride of the Monster (1956) (Ed Wood)": ["+Bride of the Monster Ed Wood"],
    "Fargo (1996), Star Crime": [],
    "Maybe Heat (1995) is a comedy": [],
    "I do not think Heat (1995) is a comedy": [],
    "Heat (1995) is a film that stars Al Pacino": ["+Heat Al Pacino"],
    "Maybe Heat (1995), a crime film": ["+Heat Crime"],
    "Heat (1995) is a thriller, but Bill Murray was in it": ["+Heat Thriller"],
    "Heat (1995) is a thriller, and Bill Murray isn't in it": ["+Heat Thriller"],
    "Heat (1995) crime; a Bill Murray fan would disagree": ["+Heat Crime"],
    "Heat (1995) crime; the director is Michael Mann": ["+Heat Crime", "+Heat Michael Mann (director)"],
    "Heat (1995): crime, comedy no, Al Pacino yes": ["+Heat Crime", "+Heat Al Pacino"],
    "Heat (1995): comedy ✗": [],
    "| Heat (1995) | crime, thriller | Michael Mann | 9 euros |": [
        "+Heat Crime", "+Heat Thriller", "+Heat Michael Mann (director)"
    ],
    "Heat (1995) comes to mind, directed by Michael Mann": ["+Heat Michael Mann (director)"],
    "Nothing here, a drama": [],
}  # fmt: skip


@pytest.mark.parametrize("text", CASES)
def test_statements(text: str) -> None:
    assert read(text) == CASES[text]


def native(text: str) -> list[tuple[int, int, bool, bool]]:
    return engine()._core.statements(text)


def specified(text: str) -> list[tuple[int, int, bool, bool]]:
    lines = reader().read(text.encode("utf-8", "surrogatepass").decode("utf-8", "replace"))
    return [(number, s.item, s.denied, s.true) for number, line in enumerate(lines) for s in line]


PARTS = [
    *(title.split(" (")[0] for title in FACTS), *FACTS, "The Insider", "Heat", "Ed Wood", "Café Society", "Mann's",
    *(fact.split("=")[1] for facts in FACTS.values() for fact in facts.split("; ") if fact), "Michael Mann", "comedies",
    "directed by", "director of", "directed", "stars", "stars in", "starring", "set in", "the", "a", "an", "is", "are",
    "not", "isn't", "never", "no", "yes", "and", "or", "nor", "neither", "but", "both", "only", "unlike", "instead of",
    "if", "with", "by", "film", "of", "whose", "great", "Sir", ",", ";", ":", ".", "?", "!", "(", ")", "[", "]", "-",
    "–", '"', "“", "”", "'", "’", "*", "1)", "2. ", "\n", "\r", "&", "é", "★", "½", "ж", "\x00", "(1995)", "(1996)",
    "1957", "1995", "1986", "maybe", "classic", "comes to mind", "Hope", "Star", "|", "✗", "no,", "; a",
]  # fmt: skip
joined = st.lists(st.sampled_from(PARTS), max_size=14)


@pytest.mark.slow
@settings(max_examples=20000)
@given(joined, st.sampled_from([" ", " ", " ", "", ", "]))
def test_the_engine_reads_what_is_specified(parts: list[str], between: str) -> None:
    text = between.join(parts)
    assert native(text) == specified(text)


@settings(max_examples=200)
@given(st.text(max_size=60), st.sampled_from(list(FACTS)), st.text(max_size=20))
def test_the_engine_reads_any_text_as_specified(before: str, title: str, after: str) -> None:
    text = f"{before} {title} {after} drama {before} Al Pacino"
    assert native(text) == specified(text)


@pytest.mark.parametrize("broken", [b"\xff", b"\xe2\x80", b"\xc3(", b"\xf0\x9f"])
def test_bytes_that_are_no_text_break_a_statement(broken: bytes) -> None:
    assert engine()._core.statements(b"Heat (1995) " + broken + b" crime") == []
    assert engine()._core.statements(b"\xff Heat (1995) crime") == [(0, 0, False, True)]


def test_labelled_statements() -> None:
    """Sentences over films, office products and games, labelled [item, value, denied]: all are found, and no others."""
    table = json.loads((Path(__file__).parent / "labelled_statements.json").read_text(encoding="utf-8"))
    titles = list(table["facts"])
    triples = [
        (item, relation, value)
        for item, title in enumerate(titles)
        for relation, values in table["facts"][title].items()
        for value in values
    ]
    facts = AttributeGraph.from_triples(triples, len(titles))
    labelled = TruthReader(titles, [None] * len(titles), facts, DatasetDescription(noun="board game"))
    count = 0
    for text, wanted in table["rows"]:
        found = labelled.read_line(text)
        told = [(titles[s.item], s.denied) for s in found]
        assert told == [(title, bool(denied)) for title, _, denied in wanted], text
        for statement, (_, value, _) in zip(found, wanted, strict=True):
            known = [facts.values[a].lower() for a in statement.attributes]
            assert not known or value.lower() in known, text
        count += len(found)
    assert count > 290
