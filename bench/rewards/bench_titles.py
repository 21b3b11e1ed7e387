"""Which of the titles in real answers the catalogue finds, by rule, and how fast.

All predicted titles of the RecBench+ answer files, against the MovieLens-1M catalogue. A title's hit is counted where
it occurs, repeats included. "Share of the hits" is out of what any of three readers finds: exact match, the catalogue,
and a wide net (the letters and digits of any form of the name, in a row, years at most one apart or missing), ambiguous
titles included. Titles without year that differ from an item's in the English article alone ("Arrival" for
"Arrival, The (1996)") are refused and no hits; they are counted apart. Whether the hits are right, only reading them
can tell:

    python -m bench.rewards.bench_titles --sample titles.txt --count 200 --seed 0

writes a random sample of the titles that exact match does not find and the catalogue does.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.common.data import missing_data, shared_data
from bench.rewards.workload import Tables, ml1m
from rerec_engine.graph.catalogue import RULES, Catalogue
from rerec_engine.graph.titles import ARTICLES, forms, full_name, normalise, split_title
from rerec_engine.metrics.recbench import split_titles
from rerec_engine.reward import RewardEngine

FOLDERS = ("recbenchplus", "ml-1m", "ml-1m-dbpedia")
TARGET = 0.99
NEAR_NAMES = [
    ("Her (2013)", "Hero (2002)"),
    ("Argo (2012)", "Fargo (1996)"),
    ("The Intouchables (2011)", "Untouchables, The (1987)"),
    ("Scary Movie 2 (2001)", "Scary Movie (2000)"),
    ("Toy Story 3 (2010)", "Toy Story 2 (1999)"),
    ("Wild (2014)", "Wilde (1997)"),
    ("Closer (2004)", "Loser (2000)"),
    ("Before Sunset (2004)", "Before Sunrise (1995)"),
    ("The Heat (2013)", "Heat (1995)"),
    ("A Separation (2011)", "Separation, The (La Séparation) (1994)"),
    ("Monster (2003)", "Monster, The (Il Mostro) (1994)"),
    ("The Help (2011)", "Help! (1965)"),
    ("Arrival (2016)", "Arrival, The (1996)"),
    ("The Edge of Seventeen (2016)", "Edge of Seventeen (1998)"),
    ("War of the Worlds (2005)", "War of the Worlds, The (1953)"),
]
REMAKES = [
    ("Fargo (TV Series, 2014)", "Fargo (1996)"),
    ("The Absent Minded Professor (TV Movie, 1988)", "Absent Minded Professor, The (1961)"),
    ("La Femme Nikita (TV 1997)", "Nikita (La Femme Nikita) (1990)"),
    ("The Full Monty (2017 TV Movie)", "Full Monty, The (1997)"),
    ("The Walking Dead (TV series, 2010\u2013present)", "Walking Dead, The (1995)"),
    ("Suspiria (Luca Guadagnino, 2018)", "Suspiria (1977)"),
]
Say = Callable[[str], None]
_BRACKET = re.compile(r"[(\[]([^()\[\]]*)[)\]]")
_YEAR = re.compile(r"(?<!\d)(?:1[89]|20)\d\d(?!\d)")


def answer_files() -> list[Path]:
    folder = shared_data() / "recbenchplus"
    names = ("userbased_answers", "r1_reasoning")
    return [
        *sorted(folder.glob("*prediction.jsonl")),
        *(path for name in names for path in sorted((folder / name).iterdir())),
    ]


def predicted_titles() -> Counter[str]:
    """Every title of every answer, with how often it occurs."""
    lines = (line for path in answer_files() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return Counter(title for line in lines for title in split_titles(json.loads(line)["response"]))


@dataclass
class Reading:
    """What the predicted titles are read as. The engine reads a title as it reads an answer: marks and numbering are
    left out, and text of several lines or with ';' may hold several titles."""

    tables: Tables
    titles: Counter[str]

    @cached_property
    def catalogue(self) -> Catalogue:
        return Catalogue(self.tables.titles, self.tables.years)

    @cached_property
    def engine(self) -> RewardEngine:
        return self.tables.engine(1)

    @cached_property
    def exact(self) -> dict[str, int]:
        return {title: item for item, title in enumerate(self.tables.titles)}

    @cached_property
    def items(self) -> dict[str, list[int]]:
        """Items of each title, unknown ones left out."""
        boxes = [f"\\boxed{{{title}}}" for title in self.titles]
        found = self.engine.score(boxes, [0] * len(boxes)).items
        return {title: [int(i) for i in found[row] if i >= 0] for row, title in enumerate(self.titles)}

    @cached_property
    def rules(self) -> dict[str, str]:
        """The rule by which the catalogue knows each title; "marks" where only the engine finds items in it."""
        rules = {title: str(self.catalogue.explain(title).rule) for title in self.titles}
        return {title: "marks" if rule == "none" and self.items[title] else rule for title, rule in rules.items()}

    @cached_property
    def wide(self) -> dict[str, list[int]]:
        """Items that the wide net finds."""
        index: dict[str, set[int]] = {}
        for item, title in enumerate(self.tables.titles):
            for key in _wide_keys(title):
                index.setdefault(key, set()).add(item)
        found = {}
        for title in self.titles:
            year = split_title(title).year
            near = {item for key in _wide_keys(title) for item in index.get(key, ())}
            found[title] = sorted(i for i in near if not year or not self._year(i) or abs(year - self._year(i)) <= 1)
        return found

    def _year(self, item: int) -> int:
        return int(self.catalogue.years[item])

    @cached_property
    def refused_articles(self) -> dict[str, list[int]]:
        """Items of the titles that are found among candidates alone, because their article differs."""
        found = {}
        for title in self.titles:
            match = self.catalogue.explain(title)
            refused = match.rule == "none" and match.alternatives and not self.items[title]
            if refused and self.catalogue.explain(title, match.alternatives).rule != "none":
                found[title] = list(match.alternatives)
        return found

    def occurrences(self, chosen: Callable[[str], object]) -> int:
        return sum(count for title, count in self.titles.items() if chosen(title))

    def hits(self) -> int:
        """Occurrences of titles that any of the readers knows."""
        return self.occurrences(
            lambda t: t in self.exact or self.items[t] or self.rules[t] == "ambiguous" or self.only_wide(t)
        )

    def disagreements(self) -> list[str]:
        """Distinct titles that the catalogue finds and exact match does not, or otherwise."""
        return sorted(t for t in self.titles if self.items[t] and self.items[t] != [self.exact.get(t, -1)])

    def lines(self) -> Iterator[str]:
        """The figures, a line each."""
        total, hits = sum(self.titles.values()), self.hits()
        by_rule = Counter[str]()
        for title, rule in self.rules.items():
            by_rule[rule] += self.titles[title]
        yield f"{total} titles in {len(answer_files())} files, {len(self.titles)} distinct; {hits} of them are hits"
        for rule in (*RULES, "marks"):
            yield f"    {rule:14} {by_rule[rule]:6} {by_rule[rule] / total:7.2%} of the titles"
        exact = self.occurrences(lambda t: t in self.exact)
        yield f"exact match finds {exact} of the hits, {exact / hits:.2%}"
        catalogue = sum(by_rule[rule] for rule in RULES if rule not in ("ambiguous", "none"))
        yield f"the catalogue finds {catalogue} of the hits, {catalogue / hits:.2%} (target {TARGET:.0%})"
        engine = self.occurrences(lambda t: self.items[t])
        yield f"the engine, reading each as an answer, finds {engine} of the hits, {engine / hits:.2%}"
        refused = self.occurrences(lambda t: t in self.refused_articles)
        yield f"refused as ambiguous: {by_rule['ambiguous']}; for the article alone: {refused}"
        yield f"the wide net alone: {self.occurrences(self.only_wide)}"

    def contradicts(self, title: str) -> bool:
        """Whether a title of one line names years in its brackets, none of which is the item's or next to it."""
        items = self.items[title]
        years = [int(year) for bracket in _BRACKET.findall(title) for year in _YEAR.findall(bracket)]
        if "\n" in title or not items or not years or not self._year(items[0]):
            return False
        return all(abs(year - self._year(items[0])) > 1 for year in years)

    def only_wide(self, title: str) -> bool:
        known = self.items[title] or self.rules[title] == "ambiguous" or title in self.refused_articles
        return bool(self.wide[title]) and not known

    def check(self) -> None:
        """No match has a year more than one apart; no near name and no remake matches; what is exact stays."""
        for title in self.titles:
            assert not self.contradicts(title), title
            item = self.catalogue.match(title)
            year = split_title(title).year
            assert item < 0 or not year or not self._year(item) or abs(year - self._year(item)) <= 1, title
            assert title not in self.exact or item == self.exact[title], title
        for given, other in NEAR_NAMES:
            name = split_title(given).name
            assert Catalogue([other]).match(given) < 0, (given, other)
            assert Catalogue([other]).match(name) < 0, (name, other)
            assert Catalogue([given]).match(split_title(other).name) < 0, (other, given)
        for given, other in REMAKES:
            assert Catalogue([other]).match(given) < 0, (given, other)


def _wide_keys(title: str) -> set[str]:
    split = split_title(title)
    names = {name for whole in (split.name, full_name(split)) for name in forms(whole)}
    keys = {"".join(word for word in normalise(name).split(" ") if word not in ARTICLES) for name in names}
    return {key for key in keys if key}


def read_titles() -> Reading:
    return Reading(ml1m(), predicted_titles())


@pytest.fixture(scope="module")
def reading() -> Reading:
    reason = missing_data(*FOLDERS)
    if reason:
        pytest.skip(reason)
    return read_titles()


@pytest.mark.benchmark(group="matching real titles, 1 thread")
def test_titles(benchmark: BenchmarkFixture, say: Say, reading: Reading) -> None:
    reading.check()
    titles = list(reading.titles)
    benchmark.pedantic(reading.catalogue.match_many, (titles,), rounds=11, warmup_rounds=1)
    each = benchmark.stats.stats.median / len(titles) * 1e6
    found = reading.occurrences(lambda title: reading.catalogue.match(title) >= 0)
    share = found / reading.hits()
    benchmark.extra_info |= {"us per title": each, "share of the hits": share, "target": TARGET}
    for line in (*reading.lines(), f"matching: {each:.2f} us a title"):
        say(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument(
        "--sample", type=Path, metavar="FILE", help="write a sample of the disagreements with exact match"
    )
    parser.add_argument("--count", type=int, default=200, help="size of the sample")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rules", nargs="*", default=[], help="sample these rules alone")
    parser.add_argument(
        "--doubts", action="store_true", help="print what the wide net alone finds, and articles that differ"
    )
    options = parser.parse_args()
    reason = missing_data(*FOLDERS)
    if reason:
        parser.error(reason)
    reading = read_titles()
    reading.check()
    print("\n".join(reading.lines()))
    if options.doubts:
        wide = {title: items for title, items in reading.wide.items() if reading.only_wide(title)}
        for kind, items in (("wide net", wide), ("article", reading.refused_articles)):
            for title in sorted(items):
                named = [reading.tables.titles[item] for item in items[title]]
                print(f"{kind}: {reading.titles[title]} x {title!r} -> {named}")
    if options.sample:
        pool = [t for t in reading.disagreements() if not options.rules or reading.rules[t] in options.rules]
        sample = random.Random(options.seed).sample(pool, min(options.count, len(pool)))
        with options.sample.open("w", encoding="utf-8") as file:
            for title in sample:
                named = [reading.tables.titles[item] for item in reading.items[title]]
                file.write(f"{reading.rules[title]:14} {title!r} -> {'; '.join(named)}\n")
        print(f"{len(sample)} of {len(pool)} distinct disagreements written to {options.sample}")


if __name__ == "__main__":
    main()
