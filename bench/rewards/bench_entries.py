"""Token rewards of list answers with and without the rewards of their entries, one thread.

The 2,560 real responses of the workload, whose boxes are filled with lists of three or ten of the query's candidates, a
repeat and an unknown title among them. The entries are first compared with the float64 specification of the tests.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.common.data import missing_data
from bench.rewards.workload import FOLDERS, Workload, load_workload
from rerec_engine.config import RewardWeights
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.reward import RewardEngine, Targets, TokenScores
from rerec_engine.reward.vocabulary import token_bytes
from tests.reward import entry_reference as slow

TARGET = 1.3
ROUNDS = 31
MARKS = "\"'`*_$., "
"""What stands around a title as well."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Lists:
    work: Workload
    engine: RewardEngine
    targets: Targets
    ids: torch.Tensor  # [B, L] int64
    lengths: torch.Tensor  # [B] int64
    written: list[list[slow.Named]]

    def score(self, entries: bool) -> TokenScores:
        return self.engine.score_tokens(self.ids, self.lengths, self.targets, self.work.tokenizer, entries=entries)


@pytest.fixture(scope="module")
def work() -> Workload:
    reason = missing_data(*FOLDERS)
    if reason:
        pytest.skip(reason)
    return load_workload()


def lists(work: Workload, size: int) -> Lists:
    """Each response with a box of `size` entries behind it."""
    titles, years = work.tables.titles, work.tables.years
    known = {title: item for item, title in enumerate(titles)}
    rng, texts, written = random.Random(size), [], []
    for text, candidates in zip(work.texts, work.candidate_titles, strict=True):
        named = rng.sample(candidates, min(size, len(candidates)))
        if rng.random() < 0.3:
            named[-1] = rng.choice([named[0], "Nobody Knows This One"])
        written.append([slow.Named(known.get(title, -1), title in named[:i]) for i, title in enumerate(named)])
        texts.append(f"{text.rpartition(chr(92) + 'boxed')[0] or text}\\boxed{{{chr(10).join(named)}}}")
    encoded = work.tokenizer(texts, padding=True, return_tensors="pt", add_special_tokens=False)
    engine = RewardEngine(
        Catalogue(titles, years), work.tables.attributes, work.tables.embeddings, RewardWeights(k=size), threads=1
    )
    targets = engine.targets(work.truth, work.candidates)
    return Lists(work, engine, targets, encoded["input_ids"], encoded["attention_mask"].sum(dim=1), written)


def check(given: Lists) -> None:
    """Rewards by the specification, and each entry's tokens hold its title."""
    plain, found = given.score(False), given.score(True)
    np.testing.assert_array_equal(plain.token_rewards, found.token_rewards)
    assert plain.entries is None and found.entries is not None
    tables, table = given.work.tables, token_bytes(given.work.tokenizer)
    owned = [set(tables.attributes.indices[a:b].tolist()) for a, b in pairwise(tables.attributes.indptr)]
    facts = slow.Facts(owned, tables.embeddings.astype(np.float64))
    assert table is not None
    for i in range(0, len(given.written), 10):
        own = found.entries.rewards[found.entries.cu_entries[i] : found.entries.cu_entries[i + 1]]
        wanted = slow.rewards(given.written[i], [int(given.work.truth[i])], (), facts, given.engine.weights, 0.1)
        np.testing.assert_allclose(own, wanted, atol=1e-6)
        for place, entry in enumerate(given.written[i]):
            tokens = given.ids[i][torch.from_numpy(found.entries.of_token[i] == place)].tolist()
            text = b"".join(table[token] for token in tokens).decode()
            assert entry.item < 0 or tables.titles[entry.item].strip(MARKS) in text


@pytest.mark.parametrize("size", [3, 10])
@pytest.mark.benchmark(group="token rewards of 2,560 list answers, with their entries")
def test_entries(benchmark: BenchmarkFixture, work: Workload, say: Say, size: int) -> None:
    """The ratio is taken round by round, of this thread's time: other work on the machine slows both alike."""
    given = lists(work, size)
    check(given)

    def seconds(entries: bool) -> float:
        start = time.thread_time()
        given.score(entries)
        return time.thread_time() - start

    pairs = [(seconds(True), seconds(False)) for _ in range(ROUNDS)]
    ratio = statistics.median(with_entries / without for with_entries, without in pairs)
    each = statistics.median(with_entries for with_entries, _ in pairs) / len(given.written) * 1e6
    benchmark.pedantic(given.score, args=(True,), rounds=ROUNDS, warmup_rounds=2)
    benchmark.extra_info |= {"us per response": each, "times without": ratio, "target": TARGET, "entries": size}
    say(f"lists of {size}: {each:.2f} us a response, {ratio:.2f} times without entries (target {TARGET})")
