"""Scores of an answer file by the published rules, or by our catalogue beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rerec_engine.errors import UserError
from rerec_engine.metrics.predictions import GroupQuery, Skipped, read_answers, read_group_queries
from rerec_engine.metrics.ranking.popularity import Popularity
from rerec_engine.metrics.ranking.report import RankingReport, report_rankings
from rerec_engine.metrics.recbench import METRICS, RowScore, mean_metrics, score_recbench
from rerec_engine.types import Query

if TYPE_CHECKING:
    from rich.table import Table

    from rerec_engine.data.dataset import Dataset
    from rerec_engine.metrics.catalogue_match import CatalogueScorer


def evaluate_predictions(
    predictions: str, queries_path: str, matcher: str, data: str | None = None, skip_bad: bool = False
) -> dict[str, Any]:
    """Score an answer file: `rows` and `means` by the matcher; `catalogue` gives the published means as well."""
    queries = read_group_queries(queries_path)
    answers = read_answers(predictions, queries, skip_bad)
    responses = {i: reply.text for i, reply in answers.replies.items()}
    published = [score_recbench(i, text, queries[i].ground_truth) for i, text in responses.items()]
    result: dict[str, Any] = {"matcher": matcher, "predictions": str(predictions), "queries": str(queries_path)}
    rows = published
    if matcher == "catalogue":
        rows, added = _score_by_catalogue(data, queries, responses)
        result |= {"means_recbench": mean_metrics(published), "ground_truth_outside_catalogue": added}
    result |= {"means": mean_metrics(rows), "skipped": vars(answers.skipped), "rows": [row.to_json() for row in rows]}
    return result


def rank_predictions(
    predictions: str, queries_path: str, data: str | None, skip_bad: bool = False, seed: int = 0
) -> tuple[RankingReport, dict[str, int]]:
    """An answer file as ranked lists, its titles matched by the catalogue of `data`, and what skip_bad left out.

    Right titles that the catalogue lacks are added to it, as items that nobody took.
    """
    queries = read_group_queries(queries_path)
    answers = read_answers(predictions, queries, skip_bad)
    dataset, scorer = _scorer(data, queries)
    responses = {i: reply.text for i, reply in answers.replies.items()}
    lists = {i: scorer.ranking(text, queries[i].ground_truth) for i, text in responses.items()}
    asked = [Query(i, (), tuple(scorer.truth(queries[i].ground_truth))) for i in responses]
    log = dataset.interactions.copy()
    log.resize(log.shape[0], dataset.item_count + scorer.added)
    notes = [f"{scorer.added} right titles are not in the catalogue"] if scorer.added else []
    systems = {Path(predictions).name: lists}
    report = report_rankings(systems, asked, Popularity.of(log), over="catalogue", seed=seed, notes=notes)
    return report, vars(answers.skipped)


def _score_by_catalogue(
    data: str | None, queries: dict[str, GroupQuery], responses: dict[str, str]
) -> tuple[list[RowScore], int]:
    _, scorer = _scorer(data, queries)
    return [scorer.score(i, text, queries[i].ground_truth) for i, text in responses.items()], scorer.added


def _scorer(data: str | None, queries: dict[str, GroupQuery]) -> tuple[Dataset, CatalogueScorer]:
    from rerec_engine.data.dataset import load_dataset
    from rerec_engine.metrics.catalogue_match import CatalogueScorer

    if data is None:
        raise UserError("matcher catalogue needs data, the dataset whose catalogue is meant")
    dataset = load_dataset(data)
    truth = [query.ground_truth for query in queries.values()]
    return dataset, CatalogueScorer(dataset.titles, dataset.years, truth)


def predictions_table(result: dict[str, Any]) -> Table:
    """The means of `evaluate_predictions`, a column a matcher."""
    from rich.table import Table

    table = Table(title=f"{len(result['rows'])} answers", title_justify="left")
    columns = {result["matcher"]: result["means"]}
    if "means_recbench" in result:
        columns = {"recbench": result["means_recbench"], **columns}
    table.add_column("mean of")
    for name in columns:
        table.add_column(name, justify="right")
    for metric in METRICS:
        table.add_row(metric, *(f"{means[metric]:.4f}" for means in columns.values()))
    skipped = Skipped(**result["skipped"])
    if skipped.total():
        table.caption = f"left out: {', '.join(f'{count} {kind}' for kind, count in vars(skipped).items() if count)}"
    return table
