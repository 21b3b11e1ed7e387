"""Candidates in a new order each time their query is asked: nothing about places can then be learned by heart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rerec_engine.config import Config
from rerec_engine.data.dataset import Dataset
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.data.prompter import Prompter
from rerec_engine.rollout.base import derive_seed
from rerec_engine.types import Message, Query

_TRIES = 4  # orders drawn until one fits


@dataclass(frozen=True)
class FreshOrders:
    """encode: a prompt's token ids. limit: tokens of a prompt at most; tokens depend on the order where a tokenizer
    reads over the ends of lines."""

    prompter: Prompter
    encode: Callable[[Sequence[Message]], list[int]]
    limit: int

    def draw(self, query: Query, prompt: list[int], seed: int) -> tuple[Query, list[int]]:
        """The query with its candidates in an order drawn from the seed, and its prompt's ids; as it is stored (prompt:
        its ids then) where no order drawn fits."""
        for attempt in range(_TRIES if len(query.candidates) > 1 else 0):
            other = self.prompter.shuffled(query, derive_seed(seed, attempt))
            ids = self.encode(other.messages)
            if len(ids) <= self.limit:
                return other, ids
        return query, prompt


def fresh_orders(
    config: Config, dataset: Dataset, queries: Sequence[Query], encode: Callable[[Sequence[Message]], list[int]]
) -> FreshOrders | None:
    """None where candidates keep their order. queries: of the train split, in its file's order. Raises UserError where
    a query's prompt cannot be made anew."""
    order = dataset.description.order if config.data.order == "dataset" else config.data.order
    if order == "fixed":
        return None
    prompter = Prompter(Knowledge.of(dataset, users=False))
    prompter.check(queries, dataset.path / "train.parquet", "set data.order to fixed")
    return FreshOrders(prompter, encode, config.data.max_prompt_tokens)
