"""The demo's dataset directory."""

from __future__ import annotations

from collections import Counter

import pyarrow.parquet as pq
import pytest

from rerec_engine.data.dataset import load_dataset
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.data.prompter import Prompter
from rerec_engine.data.traces import read_traces
from rerec_engine.errors import UserError
from rerec_engine.types import CATEGORIES
from rerec_engine.worlds.demo import write_demo
from rerec_engine.worlds.options import DemoOptions
from rerec_engine.worlds.world import make_world

SEED = 5


@pytest.fixture
def options(small):
    """Makes small options."""
    sizes = {"films": 40, "books": 40, "users": 40, "candidates": 10}
    return lambda **own: DemoOptions(**{**small, **sizes, "seed": SEED, **own})


@pytest.mark.parametrize("domain", ["film", "book"])
def test_queries_of_one_domain(tmp_path, options, domain):
    write_demo(tmp_path / "d", options(domain=domain))
    dataset = load_dataset(tmp_path / "d")
    world = make_world(SEED, 40, 40, 40)
    for split in ("train", "test"):
        queries = dataset.queries(split)
        assert {query.category for query in queries} == set(CATEGORIES)
        assert {world.domain[i] for query in queries for i in (*query.ground_truth, *query.candidates)} == {domain}


def test_taste_told_and_untold_are_the_same_queries(tmp_path, options):
    for taste in ("told", "untold"):
        write_demo(tmp_path / taste, options(taste=taste))
    world = make_world(SEED, 40, 40, 40)
    told, untold = (load_dataset(tmp_path / taste).queries("test") for taste in ("told", "untold"))
    for with_taste, without in zip(told, untold, strict=True):
        assert (with_taste.candidates, with_taste.ground_truth) == (without.candidates, without.ground_truth)
        text, bare = (query.messages[0]["content"].split("\n")[0] for query in (with_taste, without))
        genre = world.facts[with_taste.ground_truth[0]]["Genre"]
        assert text.startswith("I liked ")
        assert text.endswith(f". {bare} like them")
        assert bare.split()[-2] == genre
        tempting = [i for i in without.candidates if world.facts[i]["Genre"] == genre]
        assert len(tempting) >= 2  # the words alone do not decide


def test_prompts_can_be_made_anew(tmp_path, options):
    for domain in ("", "book"):
        write_demo(tmp_path / "d", options(domain=domain))
        dataset = load_dataset(tmp_path / "d")
        for split in dataset.splits:
            Prompter(Knowledge.of(dataset)).check(dataset.queries(split), dataset.path / f"{split}.parquet", "none")


def test_requests_for_several_items(tmp_path, options):
    write_demo(tmp_path / "d", options(listed=3))
    dataset = load_dataset(tmp_path / "d")
    for split in dataset.splits:
        for query in dataset.queries(split):
            assert query.messages[0]["content"].split("\n")[0].endswith(" ; name 3")
            assert len(query.ground_truth) == 1
    traces = read_traces(tmp_path / "d" / "warm_start.parquet")
    assert {trace.response.split("\n")[-1].count(" ; ") for trace in traces} == {2}
    assert all(" ; name 3\n" in trace.prompt[0]["content"] for trace in traces)
    with pytest.raises(UserError, match="listed is 1 to the number of candidates"):
        write_demo(tmp_path / "e", options(listed=11))


def test_unknown_domain_or_taste(tmp_path, options):
    for own, message in (({"domain": "song"}, "domain is film or book"), ({"taste": "bad"}, "taste is told or untold")):
        with pytest.raises(UserError, match=message):
            write_demo(tmp_path / "d", options(**own))
    assert not (tmp_path / "d").exists()


def test_dataset_directory(mini_demo):
    dataset = load_dataset(mini_demo)
    assert dataset.splits == ("train", "val", "test")
    sets = {}
    for split in dataset.splits:
        rows = pq.read_table(mini_demo / f"{split}.parquet").to_pylist()
        sets[split] = {tuple(row["extra_info"]["conditions"]) for row in rows}
        queries = dataset.queries(split)
        assert Counter(q.category for q in queries) == dict.fromkeys(CATEGORIES, len(queries) // 5)
        for query in queries:
            assert len(query.candidates) == 6
            assert query.messages[0]["content"].startswith(f"{query.request}\n1) ")
            assert set(query.ground_truth) <= set(query.candidates)
            assert all(dataset.titles[i] in query.messages[0]["content"] for i in query.candidates)
    assert not sets["train"] & (sets["val"] | sets["test"])
    assert not sets["val"] & sets["test"]
    phases = [t.phase for t in read_traces(mini_demo / "warm_start.parquet")]
    assert list(dict.fromkeys(phases)) == ["short", "medium", "full", "biased"]
