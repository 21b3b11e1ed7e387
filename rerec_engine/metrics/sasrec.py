"""SASRec (Kang and McAuley, ICDM 2018) of RecTools as a ranker: what comes next in the histories that queries show.

It is fitted on train's queries alone, history and right item, since only they tell an order; a user's pieces that
overlap are put together. Its number of epochs is the one with the best NDCG@10 on val, over what is ranked.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np

from rerec_engine.cli import progress_bar, waiting
from rerec_engine.data.dataset import Dataset
from rerec_engine.errors import UserError
from rerec_engine.metrics.rankers import Past, Ranker
from rerec_engine.types import Query

EPOCHS, EVERY, PATIENCE = 100, 5, 4
"""At most; from one look at val to the next; looks without a better one, after which it ends."""
LENGTH = 100
"""Items of a sequence at most, its last ones."""
DEEP = 100
"""Places that are told apart where nothing is asked of candidates: all others are alike."""
_AT_ONCE = 4_000_000  # places ranked at once, queries times items


def sasrec(dataset: Dataset, queries: Sequence[Query], seed: int = 0, epochs: int = EPOCHS) -> Ranker:
    """By the places among all items that follow a query's history; fitted here, which takes minutes.

    queries: those that will be asked. One without a history has no ranking, nor one whose user's row of the log holds a
    right answer. Raises UserError where nothing is left to rank or to fit on, and where RecTools is not installed.
    """
    past = Past(dataset)

    def known(split: str) -> list[Query]:
        return [query for query in dataset.queries(split) if query.history] if split in dataset.splits else []

    asked = [query for query in queries if query.history and past(query)]
    train, val = known("train"), known("val")
    if not asked:
        raise UserError("no query has a history, or the log gives its answer away")
    if not train:
        raise UserError("no query of train has a history to learn from")
    own = windows(train)
    pieces = [piece for shown in own.values() for piece in chains(shown)]
    with waiting("loading RecTools"):
        model = _Model(pieces, dataset.item_count, seed)
    val_depth, depth = (
        dataset.item_count if any(query.candidates for query in some) else min(DEEP, dataset.item_count)
        for some in (val, asked)
    )
    contexts = {query.id: context(query.history, own.get(_user(query), ())) for query in [*val, *asked]}
    best, since, places = -1.0, 0, np.empty((0, 0))
    with progress_bar(epochs, "SASRec", "epoch", shown=True) as bar:
        while bar.n < epochs and since < PATIENCE:
            model.fit(EVERY)
            ndcg = _ndcg(val, model.places([contexts[query.id] for query in val], val_depth))
            since += 1
            if ndcg > best or not val:
                best, since = ndcg, 0
                places = model.places([contexts[query.id] for query in asked], depth)
            bar.set_postfix_str(f"val {best:.3f}", refresh=False)
            bar.update(EVERY)
    rows = {query.id: row for query, row in zip(asked, places, strict=True)}

    def score(query: Query, shown: np.ndarray) -> np.ndarray | None:
        return -rows[query.id][shown].astype(np.float64) if query.id in rows else None

    return score


def windows(queries: Iterable[Query]) -> dict[int, list[tuple[int, ...]]]:
    """What a query shows of its user's sequence, history and right item, by user; who is not known stands alone."""
    found: dict[int, list[tuple[int, ...]]] = {}
    for number, query in enumerate(queries):
        user = query.user_id if query.user_id >= 0 else -1 - number
        found.setdefault(user, []).append((*query.history, query.ground_truth[0]))
    return found


def chains(shown: Sequence[Sequence[int]]) -> list[list[int]]:
    """Pieces of one sequence that overlap, put together: each item once, behind the one that it first followed. Where
    one piece holds all others, it is the sequence, with the items that it holds twice.

    >>> chains([(1, 2, 3), (3, 4), (2, 3, 4), (7, 8)])
    [[1, 2, 3, 4], [7, 8]]
    >>> chains([(1, 2), (1, 2, 2), (1, 2, 2, 3)])
    [[1, 2, 2, 3]]
    """
    longest: tuple[int, ...] = max((tuple(piece) for piece in shown), key=len, default=())
    if longest and all(_within(tuple(piece), longest) for piece in shown):
        return [list(longest)]
    follows: dict[int, int] = {}
    behind: set[int] = set()
    items = dict.fromkeys(item for piece in shown for item in piece)
    for piece in shown:
        for item, then in pairwise(piece):
            if item not in follows and then not in behind and item != then:
                follows[item] = then
                behind.add(then)
    found = []
    left = dict(items)
    for start in [*(item for item in items if item not in behind), *items]:  # at last, rings
        chain: list[int] = []
        at: int | None = start
        while at is not None and at in left:
            del left[at]
            chain.append(at)
            at = follows.get(at)
        if chain:
            found.append(chain)
    return found


def context(history: Sequence[int], shown: Sequence[Sequence[int]]) -> list[int]:
    """The sequence up to the history's last item: the history, and what comes before it in the user's other pieces."""
    longer = next(chain for chain in chains([history, *shown]) if history[-1] in chain)
    longer = longer[: longer.index(history[-1]) + 1]
    return longer if len(longer) > len(history) else list(history)


def _within(piece: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether a sequence holds a piece in one run."""
    size = len(piece)
    return any(whole[at : at + size] == piece for at in range(len(whole) - size + 1))


def _ndcg(queries: Sequence[Query], places: np.ndarray) -> float:  # [Q, N]
    """NDCG@10 of the first right item among the candidates, or among all items where they are open; 0 of no query."""
    found = [
        int((row[list(query.candidates) or slice(None)] < row[query.ground_truth[0]]).sum())
        for query, row in zip(queries, places, strict=True)
    ]  # how many are before it
    return float(np.mean([1 / np.log2(before + 2) if before < 10 else 0.0 for before in found])) if found else 0.0


def _user(query: Query) -> int:
    return query.user_id if query.user_id >= 0 else -1 << 40  # nobody's


def rectools_model(epochs: int, seed: int, length: int = LENGTH) -> Any:
    """RecTools' SASRec with its softmax loss, for at most so many epochs, unfitted and quiet. Seeds torch and numpy.

    length: items of a sequence that it sees.

    Raises ImportError where RecTools is not installed.
    """
    from pytorch_lightning import Trainer, seed_everything
    from rectools.models import SASRecModel

    for name in ("pytorch_lightning", "pytorch_lightning.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    seed_everything(seed, verbose=False)
    return SASRecModel(
        n_factors=64,
        n_blocks=2,
        n_heads=2,
        dropout_rate=0.2,
        session_max_len=length,
        loss="softmax",
        lr=0.001,
        batch_size=128,
        train_min_user_interactions=2,
        deterministic=True,
        get_trainer_func=lambda: Trainer(max_epochs=epochs, accelerator="cpu", enable_checkpointing=False, **quiet),
    )


class _Model:
    """`rectools_model` on sequences of items."""

    def __init__(self, sequences: Sequence[Sequence[int]], items: int, seed: int) -> None:
        try:
            import pandas as pd
            from rectools.dataset import Dataset as Interactions

            longest = max(map(len, sequences), default=1)
            self._model = rectools_model(EPOCHS, seed, min(LENGTH, max(longest, 2)))
        except ImportError as error:
            raise UserError(f"RecTools is missing: pip install 'rerec-engine[sasrec]' ({error})") from None
        self._pd: Any = pd
        self._interactions: Any = Interactions
        self._items = items
        self._train = self._dataset(sequences)

    def fit(self, epochs: int) -> None:
        """So many further epochs."""
        with _quiet():
            self._model.fit_partial(self._train, min_epochs=epochs, max_epochs=epochs)

    def places(self, sequences: Sequence[Sequence[int]], depth: int) -> np.ndarray:
        """Of every item behind each sequence, from 1; N + 1 of those that the model has not met, and beyond the depth.
        [S, N] int32"""
        found = np.full((len(sequences), self._items), self._items + 1, dtype=np.int32)
        step = max(1, _AT_ONCE // depth)
        for start in range(0, len(sequences), step):
            some = self._dataset(sequences[start : start + step])
            users = some.user_id_map.external_ids
            with _quiet():
                ranks = self._model.recommend(
                    users, some, k=depth, filter_viewed=False, on_unsupported_targets="ignore"
                )
            found[start + ranks["user_id"].to_numpy(), ranks["item_id"].to_numpy()] = ranks["rank"]
        return found

    def _dataset(self, sequences: Sequence[Sequence[int]]) -> Any:
        """RecTools' interactions; a place in the sequence is a second."""
        rows = [(user, item, place) for user, own in enumerate(sequences) for place, item in enumerate(own)]
        frame = self._pd.DataFrame(rows, columns=["user_id", "item_id", "place"])
        frame["datetime"] = self._pd.Timestamp("2000-01-01") + self._pd.to_timedelta(frame.pop("place"), unit="s")
        frame["weight"] = 1.0
        return self._interactions.construct(frame)


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
