"""`evaluate --ranking`: the lists of a model, a server or a file, and of what needs no model, measured together."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rerec_engine.data.dataset import Dataset
from rerec_engine.metrics.outside import Asked, ask_server, rank_file
from rerec_engine.metrics.own import OpenModel
from rerec_engine.metrics.rankers import Ranker
from rerec_engine.metrics.ranking.popularity import Popularity
from rerec_engine.metrics.ranking.report import report_rankings
from rerec_engine.metrics.ranking.sources import by_answers, by_rankers
from rerec_engine.types import Query

Rankers = Callable[[Dataset, Sequence[Query]], "tuple[dict[str, Ranker], list[str]]"]
"""Makes rankers for queries of a dataset, by name, and notes on what is left out."""


def rank(args: argparse.Namespace, rankers: Rankers | None) -> tuple[dict[str, Any], list[Any]]:
    """As the command's words say; the JSON, and what is printed. rankers: what needs no model. Raises UserError."""
    result: dict[str, Any] = {"data": args.data}
    printed: list[Any] = []
    systems: dict[str, dict[str, list[int]]] = {}
    notes: list[str] = []
    asked = Asked.of(args.data, args.split, args.limit)
    queries = asked.queries
    if args.predictions:
        how = {"skip_bad": args.skip_bad, "k": args.k, "seed": args.seed}
        systems[Path(args.predictions).name], report, skipped = rank_file(asked, args.predictions, **how)
        result |= {"predictions": args.predictions, "skipped": skipped}
        printed += [report.table()] if report else []
        notes += [f"left out: {count} {kind}" for kind, count in skipped.items() if count]
    elif args.server:
        report, place, told = ask_server(asked, args)
        systems[args.model] = by_answers(report.rows)
        result |= place
        printed += [report.table(), told]
    elif args.model:
        opened = OpenModel.of(args)
        queries = opened.queries
        systems[args.model] = opened.ranking()
        result |= {"model": args.model, "rank_by": args.rank_by, **opened.measured}
        notes += [f"not asked, since their prompts are too long: {opened.left_out}"] if opened.left_out else []
    if systems:
        queries = [query for query in queries if any(query.id in lists for lists in systems.values())]
    if rankers is not None:
        made, left_out = rankers(asked.dataset, queries)
        over: dict[str, Any] = {"over": args.over, "seed": args.seed, "progress": True}
        systems |= by_rankers(made, queries, asked.dataset.item_count, **over)
        notes += left_out
    popularity = Popularity.of(asked.dataset.interactions)
    told_of: dict[str, Any] = {"over": args.over, "seed": args.seed, "split": args.split, "notes": notes}
    ranking = report_rankings(systems, queries, popularity, **told_of)
    return {**result, "ranking": ranking.to_json()}, [*printed, *ranking.tables()]
