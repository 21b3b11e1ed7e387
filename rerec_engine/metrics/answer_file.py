"""Scores of an answer file by the published rules, or by our catalogue beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rerec_engine.errors import UserError
from rerec_engine.metrics.predictions import GroupQuery, Skipped, read_answers, read_group_queries
from rerec_engine.metrics.recbench import METRICS, RowScore, mean_metrics, score_recbench

if TYPE_CHECKING:
    from rich.table import Table


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


def _score_by_catalogue(
    data: str | None, queries: dict[str, GroupQuery], responses: dict[str, str]
) -> tuple[list[RowScore], int]:
    from rerec_engine.data.dataset import load_dataset
    from rerec_engine.metrics.catalogue_match import CatalogueScorer

    if data is None:
        raise UserError("matcher catalogue needs data, the dataset whose catalogue is meant")
    dataset = load_dataset(data)
    scorer = CatalogueScorer(dataset.titles, dataset.years, [query.ground_truth for query in queries.values()])
    return [scorer.score(i, text, queries[i].ground_truth) for i, text in responses.items()], scorer.added


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
