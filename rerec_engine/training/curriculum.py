"""The online curriculum: which queries the next step asks, from how hard they were when last asked.

An epoch is a queue of query indices, asked from its front. When less than one batch is left of it, the queue is
refreshed for the next epoch:

1. a query asked since the last refresh is *mastered* where its difficulty is below tau, and active otherwise;
2. where fewer active queries than one batch remain, all start again (a restart);
3. the new queue is: what was left of the old one, then probes (mastered queries that are asked again, to see whether
   they are forgotten), then the other active queries; probes and active ones each from easy to hard.

The first epoch is in seeded random order. What the description of the method leaves open, and the choice made here:

- *The rest of an epoch* moves to the front of the next. Every batch has the same size, a batch never holds a query
  twice, and a query that an epoch left out is asked first in the next one.
- *Probes go to the front* because they are the easiest by their last difficulty, which keeps the order ascending, and
  because the front is always asked, while an epoch's end may be moved. The longest unasked go first, so with a share s
  every mastered query is looked at once in about 1 / s epochs.
- *Fewer queries than a batch*: a batch is all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from rerec_engine.config import CurriculumConfig
from rerec_engine.errors import UserError

_STATE_VERSION = 1


def query_difficulty(values: np.ndarray, group: np.ndarray, num_queries: int | None = None) -> np.ndarray:
    """Mean of 1 - value over each group's responses, [Q] float64; values [B] are NDCG or rewards, group [B] in 0..Q-1.

    NDCG is in 0..1, and -0.5 for a response without an answer: difficulty then reaches 1.5, which ranks a query that
    is not even answered behind one that is answered wrongly. Q is `num_queries`, or the largest group id + 1.

    Raises ValueError for a NaN or infinite value, shapes that do not fit, and a group without a response.
    """
    values, group = np.asarray(values, dtype=np.float64), np.asarray(group, dtype=np.int64)
    if values.ndim != 1 or values.shape != group.shape:
        raise ValueError(f"values and group must be [B], got {list(values.shape)} and {list(group.shape)}")
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise ValueError(f"value of response {bad[0]} must be finite, got {values[bad[0]]}")
    count = np.bincount(group, minlength=num_queries or 0)
    if (count == 0).any():
        raise ValueError(f"group {np.flatnonzero(count == 0)[0]} has no response")
    return np.bincount(group, weights=1.0 - values, minlength=num_queries or 0) / count


class CurriculumQueue:
    """Query indices 0..num_queries-1, batch by batch; determined by its seed and the reports alone.

    With `config.enabled` False: seeded shuffling, anew every epoch, and difficulties are only recorded.
    """

    def __init__(self, num_queries: int, config: CurriculumConfig, queries_per_step: int, seed: int):
        if num_queries < 1 or queries_per_step < 1:
            raise ValueError(f"num_queries and queries_per_step must be >= 1, got {num_queries} and {queries_per_step}")
        self.num_queries = num_queries
        self.config = config
        self.batch_size = min(queries_per_step, num_queries)
        self._seed = seed % 2**64  # numpy takes no negative seeds
        self._epoch = 0
        self._batches = 0
        self._restarts = 0
        self._readmitted = 0
        self._probed = 0
        self._pending = self._shuffled(np.arange(num_queries)).tolist()
        self._difficulty = np.full(num_queries, np.nan)  # of the last report; NaN before the first
        self._asked = np.full(num_queries, -1)  # batch in which it was last asked
        self._mastered = np.zeros(num_queries, dtype=bool)
        self._reported = np.zeros(num_queries, dtype=bool)  # since the last refresh

    def next_batch(self) -> list[int]:
        """The next min(queries_per_step, num_queries) queries, all different. Refreshes at an epoch's end."""
        if len(self._pending) < self.batch_size:
            self._refresh()
        batch, self._pending = self._pending[: self.batch_size], self._pending[self.batch_size :]
        self._asked[batch] = self._batches
        self._batches += 1
        return batch

    def report(self, indices: Iterable[int], difficulties: Iterable[float]) -> None:
        """Record how hard queries were, for the next refresh. A query that is not reported stays as it is.

        Raises ValueError for a NaN or infinite difficulty or an index out of range, naming the query; nothing is
        recorded then.
        """
        found = list(zip(map(int, indices), map(float, difficulties), strict=True))
        for query, difficulty in found:
            if not 0 <= query < self.num_queries:
                raise ValueError(f"query {query} must be in 0..{self.num_queries - 1}")
            if not math.isfinite(difficulty):
                raise ValueError(f"difficulty of query {query} must be finite, got {difficulty}")
        for query, difficulty in found:
            self._difficulty[query] = difficulty
            self._reported[query] = True

    def counts(self) -> dict[str, float]:
        """Figures for the metrics.

        epoch (from 0); active and mastered queries, as of the last refresh; readmitted: mastered ones that the last
        refresh took back; probed: mastered ones in this epoch's queue; restarts so far. The active ones by their last
        difficulty, in thirds: easy, medium and hard (2/3 and more); unmeasured before the first report. mean_difficulty
        over the queries reported so far (absent before the first).
        """
        measured = self._difficulty[~np.isnan(self._difficulty)]
        mastered = int(self._mastered.sum())
        active = self._difficulty[~self._mastered]
        easy, below_hard = (int((active < bound).sum()) for bound in (1 / 3, 2 / 3))  # NaN is below nothing
        unmeasured = int(np.isnan(active).sum())
        figures = {
            "epoch": self._epoch,
            "active": self.num_queries - mastered,
            "mastered": mastered,
            "readmitted": self._readmitted,
            "probed": self._probed,
            "restarts": self._restarts,
            "easy": easy,
            "medium": below_hard - easy,
            "hard": len(active) - below_hard - unmeasured,
            "unmeasured": unmeasured,
        }
        return figures | ({"mean_difficulty": float(measured.mean())} if measured.size else {})

    def state_dict(self) -> dict[str, Any]:
        """Everything that the future depends on besides the reports to come, as JSON types; floats survive exactly."""
        return {
            "version": _STATE_VERSION,
            "num_queries": self.num_queries,
            "seed": self._seed,
            "epoch": self._epoch,
            "batches": self._batches,
            "restarts": self._restarts,
            "readmitted": self._readmitted,
            "probed": self._probed,
            "pending": list(self._pending),
            "difficulty": [None if math.isnan(x) else x for x in self._difficulty.tolist()],
            "asked": self._asked.tolist(),
            "mastered": np.flatnonzero(self._mastered).tolist(),
            "reported": np.flatnonzero(self._reported).tolist(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken. Settings are those of this queue; the seed is the state's.

        Raises UserError where the state is of another version or another number of queries, or is not one at all.
        """
        if state.get("version") != _STATE_VERSION or state.get("num_queries") != self.num_queries:
            raise UserError(
                f"the checkpoint's curriculum (version {state.get('version')}, {state.get('num_queries')} queries) "
                f"does not fit this run's (version {_STATE_VERSION}, {self.num_queries} queries)"
            )
        self._seed = state["seed"]
        self._epoch, self._batches, self._restarts = state["epoch"], state["batches"], state["restarts"]
        self._readmitted, self._probed = state["readmitted"], state["probed"]
        self._pending = list(state["pending"])
        self._difficulty = np.array([math.nan if x is None else x for x in state["difficulty"]])
        self._asked = np.array(state["asked"])
        self._mastered, self._reported = (np.zeros(self.num_queries, dtype=bool) for _ in range(2))
        self._mastered[state["mastered"]] = True
        self._reported[state["reported"]] = True

    def _refresh(self) -> None:
        """Begin the next epoch; see the module's description."""
        self._epoch += 1
        waiting = np.zeros(self.num_queries, dtype=bool)
        waiting[self._pending] = True
        if not self.config.enabled:
            self._pending += self._shuffled(np.flatnonzero(~waiting)).tolist()
            self._reported[:] = False
            return
        below = self._difficulty < self.config.tau  # False where it is NaN
        self._readmitted = int((self._reported & self._mastered & ~below).sum())
        self._mastered = np.where(self._reported, below, self._mastered)
        self._reported[:] = False
        if self.num_queries - self._mastered.sum() < self.batch_size:
            self._mastered[:] = False
            self._restarts += 1
        probes = self._probes(waiting)
        active = np.flatnonzero(~self._mastered & ~waiting)
        self._probed = int(self._mastered[self._pending].sum()) + len(probes)
        self._pending += self._ascending(probes).tolist() + self._ascending(active).tolist()

    def _probes(self, waiting: np.ndarray) -> np.ndarray:
        """The mastered queries to ask again: the share of all of them, rounded up, those unasked for longest."""
        wanted = math.ceil(self.config.probe_share * self._mastered.sum() - 1e-9)
        choice = np.flatnonzero(self._mastered & ~waiting)
        return choice[np.argsort(self._asked[choice], kind="stable")][:wanted]

    def _ascending(self, queries: np.ndarray) -> np.ndarray:
        """From easy to hard; equal ones by index, those never reported last."""
        return queries[np.argsort(self._difficulty[queries], kind="stable")]

    def _shuffled(self, queries: np.ndarray) -> np.ndarray:
        return np.random.default_rng([self._seed, self._epoch]).permutation(queries)
