"""The pass over 2,560 real responses with and without reading their statements, one thread.

What the C++ pass reads is first compared with its specification, `rerec_engine.metrics.truth`, on every tenth response.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.common.data import missing_data, shared_data
from bench.common.timing import benchmarked
from bench.rewards.workload import FOLDERS, Workload, load_workload
from rerec_engine.data.counts import Counts
from rerec_engine.data.description import DatasetDescription
from rerec_engine.data.sources import read_attributes, read_items
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.metrics.truth import TruthReader
from rerec_engine.reward import RewardEngine, Targets, TokenScores

TARGET = 1.3
ROUNDS = 31
Say = Callable[[str], None]


@dataclass(frozen=True)
class Ours:
    work: Workload
    engine: RewardEngine
    reader: TruthReader
    targets: Targets

    def score(self, reasons: bool) -> TokenScores:
        ids, lengths = self.work.padded
        return self.engine.score_tokens(ids, lengths, self.targets, self.work.tokenizer, reasons=reasons)


@pytest.fixture(scope="module")
def ours() -> Ours:
    reason = missing_data(*FOLDERS)
    if reason:
        pytest.skip(reason)
    work, counts = load_workload(), Counts()
    items = read_items(shared_data() / "ml-1m" / "movies.dat", counts)
    triples = read_attributes(shared_data() / "ml-1m-dbpedia" / "item_attributes.tsv", items, counts)
    graph = AttributeGraph.from_triples(triples, len(items.titles))
    titles, years = work.tables.titles, work.tables.years
    engine = RewardEngine(
        Catalogue(titles, years),
        graph.item_attributes,
        work.tables.embeddings,
        threads=1,
        attribute_names=graph.values,
        attribute_relations=graph.relations,
    )
    reader = TruthReader(titles, years, graph, DatasetDescription())
    return Ours(work, engine, reader, engine.targets(work.truth, work.candidates))


@pytest.mark.benchmark(group="rewards of 2,560 responses, with their statements")
def test_reasons(benchmark: BenchmarkFixture, ours: Ours, say: Say) -> None:
    """The ratio is taken round by round, of this thread's time: other work on the machine slows both alike."""
    plain, read = ours.score(False), ours.score(True)
    for text in ours.work.texts[::10]:
        lines = ours.reader.read(text)
        expected = [(n, s.item, s.denied, s.true) for n, line in enumerate(lines) for s in line]
        assert ours.engine._core.statements(text) == expected
    np.testing.assert_array_equal(plain.token_rewards, read.token_rewards)
    reasons = read.scores.reasons
    assert reasons is not None
    assert plain.scores.reasons is None

    def seconds(with_reasons: bool) -> float:
        start = time.thread_time()
        ours.score(with_reasons)
        return time.thread_time() - start

    ratio = statistics.median(seconds(True) / seconds(False) for _ in range(ROUNDS))
    benchmark.pedantic(ours.score, args=(True,), rounds=ROUNDS, warmup_rounds=2)
    each = benchmarked(benchmark) / len(ours.work.texts) * 1e6
    told, true = int(reasons.statements.sum()), int(reasons.true_statements.sum())
    benchmark.extra_info |= {
        "us per response": each,
        "times without": ratio,
        "target": TARGET,
        "statements": told,
        "true": true,
    }
    say(f"rewards and reasons: {each:.2f} us a response, {ratio:.2f} times without (target {TARGET})")
    say(f"    {told} statements in {len(ours.work.texts)} responses, {true / told:.3f} of them true")
