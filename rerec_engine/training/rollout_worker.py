"""The rollout worker: pulls queries from the curriculum queue, has them answered and scored, and reports back.

With `rollout.overlap` the responses of the next step are generated while this one's update runs: they are one update
old when they are trained on, which the probability ratio corrects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import torch

from rerec_engine.config import Config
from rerec_engine.model.ranks import Ranks
from rerec_engine.rollout.base import RolloutEngine, derive_seed
from rerec_engine.training.batches import Batch, ScoredBatch, informative, pack, select
from rerec_engine.training.clock import Clock
from rerec_engine.training.curriculum import CurriculumQueue, query_difficulty
from rerec_engine.training.orders import FreshOrders
from rerec_engine.types import Query, Rollout, Sampling


class RolloutWorker:
    """Owns the queue and the rollout engine. `score` adds the rewards to a batch.

    Every rank has one; each generates its share of the prompts, and all have all responses.
    """

    def __init__(
        self,
        engine: RolloutEngine,
        queue: CurriculumQueue,
        queries: Sequence[Query],
        prompts: Sequence[list[int]],
        score: Callable[[Batch], ScoredBatch],
        config: Config,
        ranks: Ranks | None = None,
        orders: FreshOrders | None = None,
    ) -> None:
        self.engine, self.queue, self.score, self.config = engine, queue, score, config
        self.queries, self.prompts, self.orders = queries, prompts, orders
        self.ranks = ranks or Ranks()
        self._group = config.rollout.vllm.tensor_parallel if config.rollout.engine == "vllm" else 1
        self._ahead: tuple[list[int], Future[list[Rollout]]] | None = None  # this rank's share of the next step
        self._kept: tuple[list[int], list[Rollout]] | None = None  # all of it, where it has been waited for
        self._thread = ThreadPoolExecutor(1, "rollout")
        self._asked = lru_cache(2)(self._ask)  # before their responses are drawn, and when these are packed

    def next_batch(self, step: int, clock: Clock) -> ScoredBatch:
        """Responses for step `step` (from 1), scored. Dynamic sampling draws on until enough groups teach something."""
        config = self.config
        wanted = min(config.train.queries_per_step, len(self.queries))
        drawn: list[ScoredBatch] = []
        for attempt in range(config.rollout.max_draws if config.rollout.dynamic_sampling else 1):
            with clock("rollout"):
                indices, rollouts = (self._take() if attempt == 0 else None) or self._draw(step, attempt)
                queries, prompts = self._asked(tuple(indices), step, attempt)
                batch = pack(queries, prompts, rollouts, config.rollout.responses_per_query)
            with clock("reward"):
                scored = self.score(batch)
            values = scored.scores["ndcg" if config.curriculum.difficulty == "ndcg" else "reward"]
            self.queue.report(indices, query_difficulty(values.numpy(), scored.group.numpy()))
            drawn.append(scored)
            if sum(int(informative(b).sum()) for b in drawn) >= wanted:
                break
        if not config.rollout.overlap:
            self.engine.sleep()
        return _useful(drawn, wanted) if config.rollout.dynamic_sampling else drawn[0]

    def look_ahead(self, step: int) -> None:
        """Begin to generate for step `step` with the weights as they are, where the settings ask for it."""
        if self.config.rollout.overlap and step <= self.config.train.steps:
            indices = self.queue.next_batch()
            self._ahead = indices, self._thread.submit(self._generate_share, *self._request(indices, step, 0))

    def generate(self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling) -> list[Rollout]:
        """As `RolloutEngine.generate`, shared out over the ranks."""
        self._wait()
        return self._join(self._generate_share(prompts, n, sampling))

    def update_weights(self, step: int) -> None:
        """Hand the engine the weights as they are after step `step`."""
        self._wait()
        self.engine.update_weights(step)

    def state_dict(self) -> dict[str, Any]:
        """The queue, and what has been generated ahead, which no one could generate again."""
        self._wait()
        ahead = None
        if self._kept is not None:
            indices, rollouts = self._kept
            ahead = {"indices": indices, "rollouts": [asdict(rollout) for rollout in rollouts]}
        return {"queue": self.queue.state_dict(), "ahead": ahead}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.queue.load_state_dict(state["queue"])
        ahead = state["ahead"]
        self._kept = ahead and (ahead["indices"], [Rollout(**rollout) for rollout in ahead["rollouts"]])

    def close(self) -> None:
        self.engine.close()
        self._thread.shutdown(cancel_futures=True)

    def _draw(self, step: int, attempt: int) -> tuple[list[int], list[Rollout]]:
        indices = self.queue.next_batch()
        return indices, self.generate(*self._request(indices, step, attempt))

    def _take(self) -> tuple[list[int], list[Rollout]] | None:
        self._wait()
        kept, self._kept = self._kept, None
        return kept

    def _wait(self) -> None:
        """Until the engine is free. All ranks wait at the same places: what they generated is put together here."""
        if self._ahead is not None:
            indices, future = self._ahead
            self._ahead = None
            self._kept = indices, self._join(future.result())

    def _request(self, indices: Sequence[int], step: int, attempt: int) -> tuple[list[list[int]], int, Sampling]:
        rollout = self.config.rollout
        seed = derive_seed(self.config.seed, "rollout", step - 1, attempt)
        queries, prompts = self._asked(tuple(indices), step, attempt)
        free = rollout.constrain == "off"
        candidates = None if free else [query.candidates for query in queries]
        sampling = Sampling(rollout.max_new_tokens, rollout.temperature, seed, candidates=candidates)
        return prompts, rollout.responses_per_query, sampling

    def _ask(self, indices: Sequence[int], step: int, attempt: int) -> tuple[list[Query], list[list[int]]]:
        """The queries as they are asked in a step, and their prompts: the same on every rank, and after a resume."""
        asked = [(self.queries[i], self.prompts[i]) for i in indices]
        if self.orders is not None:
            seed = self.config.seed
            asked = [
                self.orders.draw(q, prompt, derive_seed(seed, "order", step, attempt, q.id)) for q, prompt in asked
            ]
        return [query for query, _ in asked], [prompt for _, prompt in asked]

    def _generate_share(self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling) -> list[Rollout]:
        mine = self.ranks.share(len(prompts), self._group)
        return self.engine.generate(prompts[mine], n, sampling.part(mine))

    def _join(self, share: list[Rollout]) -> list[Rollout]:
        return [rollout for part in self.ranks.gather(share) for rollout in part]


def _useful(drawn: Sequence[ScoredBatch], wanted: int) -> ScoredBatch:
    """The first `wanted` groups of several draws that teach something; the last draw where none does."""
    useful = [informative(batch) for batch in drawn]
    if not any(u.any() for u in useful):
        return drawn[-1]
    kept = torch.cat(useful).cumsum(0) <= wanted
    return select(drawn, [u & k for u, k in zip(useful, kept.split([len(u) for u in useful]), strict=True)])
