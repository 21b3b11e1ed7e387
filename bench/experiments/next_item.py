"""Rankers without a language model on the suite next_item: `make next-item`.

On the very queries that `python -m rerec_engine.experiment next_item` judges (its `sequences`: what 943 users of
MovieLens 100K watched last, among 19 films that they never met): popularity, LightGCN (the mean of the history's
embeddings, as the preference reward takes it) and SASRec (Kang and McAuley, ICDM 2018) of RecTools, with its softmax
loss. All are fitted on what each user watched before the last two films. SASRec's number of epochs is the one that is
best at the last film but one, among 20 likewise, for every user; for the last film it is shown that one too, as the
language model is. Writes bench/results/next_item.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from bench.common.data import missing_data, shared_data
from rerec_engine.data.dataset import Dataset, load_dataset
from rerec_engine.experiment.suite import load_suite
from rerec_engine.experiment.table import interval
from rerec_engine.graph.lightgcn import item_embeddings
from rerec_engine.metrics.sasrec import rectools_model
from rerec_engine.runs.environment import describe
from rerec_engine.types import Query
from rerec_engine.worlds.doors import write_made
from rerec_engine.worlds.movielens import movielens_world, next_item

ROOT = Path(__file__).resolve().parents[2]
NO_TRACES = {"short_traces": 1, "medium_traces": 1, "full_traces": 1, "biased_traces": 1}
Sequences = list[tuple[int, ...]]
Scores = Callable[[Query], np.ndarray]  # of the candidates, higher is better


def accuracy(queries: list[Query], scores: Scores) -> float:
    """The share of queries whose truth scores above every other candidate."""
    return float(np.mean([q.candidates[int(np.argmax(scores(q)))] == q.ground_truth[0] for q in queries]))


def popularity(data: Dataset) -> Scores:
    count = np.asarray(data.interactions.sum(0)).ravel()
    return lambda query: count[list(query.candidates)]


def lightgcn(data: Dataset, history: Sequences, seed: int) -> Scores:
    rows = item_embeddings(data.interactions, dim=32, epochs=30, seed=seed, threads=torch.get_num_threads())
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def score(query: Query) -> np.ndarray:
        assert query.user_id is not None
        return unit[list(query.candidates)] @ unit[list(history[query.user_id])].mean(0)

    return score


def table(sequences: Sequences) -> pd.DataFrame:
    """RecTools' interactions; a place in the sequence is a day."""
    rows = [(user, item, place) for user, items in enumerate(sequences) for place, item in enumerate(items)]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "place"])
    frame["datetime"] = pd.Timestamp("2000-01-01") + pd.to_timedelta(frame.pop("place"), unit="D")
    frame["weight"] = 1.0
    return frame


def sasrec(
    history: Sequences, longer: Sequences, val: list[Query], test: list[Query], seed: int, epochs: int, every: int
) -> tuple[float, int, list[float]]:
    """(accuracy on test, epochs chosen, accuracy on val by number of epochs)."""
    from rectools.dataset import Dataset as Interactions

    def scored(known: Interactions, queries: list[Query]) -> float:
        """All items are ranked for every user, then the candidates compared."""
        users = np.array([q.user_id for q in queries])
        ranks = model.recommend(users, known, k=items, filter_viewed=False)
        place = np.full((users.max() + 1, items), items)
        place[ranks["user_id"], ranks["item_id"]] = ranks["rank"]
        return accuracy(queries, lambda q: -place[q.user_id, list(q.candidates)])

    before, after = Interactions.construct(table(history)), Interactions.construct(table(longer))
    items = max(max(own) for own in longer) + 1
    model = rectools_model(epochs, seed)
    curve: list[float] = []
    best, chosen, result = -1.0, 0, 0.0
    for done in range(every, epochs + 1, every):
        model.fit_partial(before, min_epochs=every, max_epochs=every)
        curve.append(scored(before, val))
        if curve[-1] > best:
            best, chosen, result = curve[-1], done, scored(after, test)
    return result, chosen, curve


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--movielens", type=Path, default=shared_data() / "ml-100k")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--every", type=int, default=5, help="epochs from one look at val to the next")
    parser.add_argument("--output", type=Path, default=ROOT / "bench" / "results" / "next_item.json")
    options = parser.parse_args()
    if not options.movielens.is_dir():
        raise SystemExit(missing_data("ml-100k"))
    warnings.simplefilter("ignore")
    world = movielens_world(options.movielens)
    history = list(world.history)
    longer = [(*own, val) for own, (val, _) in zip(world.history, world.held_out, strict=True)]
    suite = load_suite("next_item", options.movielens)
    assert isinstance(suite.data, dict)
    settings = {**suite.data, **suite.datasets["sequences"], **NO_TRACES, "embedding_epochs": 1}
    with tempfile.TemporaryDirectory() as folder:
        write_made(Path(folder) / "data", settings)
        data = load_dataset(Path(folder) / "data")
        test = list(data.queries("test"))
    rng = np.random.default_rng(0)
    val = [next_item(world, "val", user, rng) for user in range(len(history))]
    last_but_one = [replace(test[0], user_id=q.user_id, candidates=q.candidates, ground_truth=(q.target,)) for q in val]
    found: dict[str, list[float]] = {"popularity": [accuracy(test, popularity(data))], "lightgcn": [], "sasrec": []}
    epochs: list[int] = []
    curves: list[list[float]] = []
    for seed in range(options.seeds):
        found["lightgcn"].append(accuracy(test, lightgcn(data, history, seed)))
        result, chosen, curve = sasrec(history, longer, last_but_one, test, seed, options.epochs, options.every)
        found["sasrec"].append(result)
        epochs.append(chosen)
        curves.append(curve)
        print(f"seed {seed}", {name: round(own[-1], 3) for name, own in found.items()}, f"{chosen} epochs", flush=True)
    record = {
        "environment": describe(),
        "rectools": version("rectools"),
        "queries": len(test),
        "chance": 1 / len(test[0].candidates),
        "accuracy": {
            name: {
                "mean": float(np.mean(own)),
                "interval": interval(np.array(own)) if len(own) > 1 else None,
                "runs": own,
            }
            for name, own in found.items()
        },
        "sasrec": {"epochs chosen": epochs, "every": options.every, "accuracy on val by seed": curves},
    }
    options.output.write_text(json.dumps(record, indent=1) + "\n")
    for name, figures in record["accuracy"].items():
        print(f"{name:12} {figures['mean']:.3f}", figures["interval"] or "")


if __name__ == "__main__":
    main()
