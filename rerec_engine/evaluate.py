"""Accuracy by query category and ranking metrics: of a model, a server, a file of answers, or without a model.

python -m rerec_engine.evaluate --model DIR --data DIR [--split test] [--output F.json]
python -m rerec_engine.evaluate --server URL --model NAME --data DIR, or --predictions F --data DIR: others' models
python -m rerec_engine.evaluate --predictions F --queries F.json --matcher recbench|catalogue [--output F.json]
python -m rerec_engine.evaluate --baselines --data DIR: what needs no model, alone or beside one
With --ranking: ranked lists of all of these, at several cut-offs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rerec_engine.cli import LOADING, SWITCH, Parser, positive, run_command, waiting
from rerec_engine.errors import UserError, file_error
from rerec_engine.files import write_json

if TYPE_CHECKING:
    from rerec_engine.data.dataset import Dataset
    from rerec_engine.metrics.comparison import Comparison
    from rerec_engine.metrics.orders import OrderReport
    from rerec_engine.metrics.own import OpenModel
    from rerec_engine.metrics.rankers import Ranker
    from rerec_engine.metrics.report import EvalReport
    from rerec_engine.types import Query


def __getattr__(name: str) -> Any:
    """`evaluate_queries`, which the documents import from here; it loads torch, and `--help` must not."""
    if name == "evaluate_queries":
        from rerec_engine.metrics.evaluation import evaluate_queries

        return evaluate_queries
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def open_model(args: argparse.Namespace) -> OpenModel:
    """The model with the split's queries. Raises UserError."""
    with waiting("loading the libraries"):
        from rerec_engine.metrics.own import OpenModel

    return OpenModel.of(args)


def evaluate_model(args: argparse.Namespace) -> tuple[EvalReport, OrderReport | None, dict[str, Any]]:
    """Evaluate the split, perhaps in several orders of the candidates; the last is what the JSON tells of the model."""
    opened = open_model(args)
    if args.permutations == 1:
        report, orders = opened.answers(opened.queries), None
    else:
        from rerec_engine.metrics.orders import evaluate_orders
        from rerec_engine.metrics.ranking.popularity import Popularity

        shuffled, popularity = opened.prompter.shuffled, Popularity.of(opened.dataset.interactions)
        how = (shuffled, args.permutations, args.seed, popularity)
        report, orders = evaluate_orders(opened.answers, opened.queries, *how)
    return replace(report, left_out=opened.left_out), orders, opened.measured


def evaluate_others(args: argparse.Namespace) -> tuple[EvalReport, dict[str, Any], str]:
    """Answers of a server, or of a file, to the split; with what to say of them, as JSON and as text."""
    with waiting("loading the libraries"):
        from rerec_engine.metrics.outside import Asked, ask_server, evaluate_file

    asked = Asked.of(args.data, args.split, args.limit)
    if args.server is not None:
        return ask_server(asked, args)
    how = {"skip_bad": args.skip_bad, "k": args.k, "seed": args.seed}
    report, skipped = evaluate_file(asked, args.predictions, **how)
    left = ", ".join(f"{count} {kind}" for kind, count in skipped.items() if count)
    return report, {"predictions": args.predictions, "skipped": skipped}, f"left out: {left}" if left else ""


def baselines(
    args: argparse.Namespace, dataset: Dataset, queries: Sequence[Query]
) -> tuple[dict[str, Ranker], list[str]]:
    """What needs no model, by name, and notes on what is left out."""
    with waiting("loading the libraries"):
        from rerec_engine.assistant.ranker import rules
        from rerec_engine.metrics.rankers import Bm25, embedded_by, embeddings, popularity, transitions
        from rerec_engine.metrics.sasrec import sasrec

    makers: dict[str, Callable[[Dataset], Ranker]] = {
        "popularity": popularity,
        "transitions": transitions,
        "BM25": Bm25,
        "the assistant's rules": rules,
        embedded_by(dataset): embeddings,
        "SASRec": lambda dataset: sasrec(dataset, queries, args.seed),
    }
    rankers: dict[str, Ranker] = {}
    notes: list[str] = []
    for name, make in makers.items():
        try:
            rankers[name] = make(dataset)
        except UserError as error:
            notes.append(f"{name}: left out, {error}")
    return rankers, notes


def evaluate_baselines(args: argparse.Namespace, report: EvalReport | None = None) -> Comparison:
    """What needs no model, on the queries of the report, or on those of the split."""
    with waiting("loading the libraries"):
        from rerec_engine.data.dataset import load_dataset
        from rerec_engine.metrics.comparison import compare

    dataset = load_dataset(args.data)
    queries = dataset.some_queries(args.split, args.limit)
    if report is not None:
        asked = {row["id"] for row in report.rows}
        queries = [query for query in queries if query.id in asked]
    rankers, notes = baselines(args, dataset, queries)
    how = {"k": args.k, "seed": args.seed, "split": args.split, "notes": notes}
    return compare(rankers, queries, dataset.item_count, report=report, progress=True, **how)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="evaluate",
        usage="--model DIR|NAME --data DIR [options]",
        description=(__doc__ or "").splitlines()[0],
        examples=(
            "--model runs/demo --data runs/demo/data",
            "--model runs/demo --data runs/demo/data --output test.json",
            "--baselines --data runs/demo/data",
            "--server http://localhost:8000/v1 --model Qwen3-8B --data data/films",
            "--predictions answers.jsonl --data data/films",
            "--predictions lists.jsonl --data data/office --ranking --baselines",
        ),
    )
    model = parser.group("a model on a dataset")
    parser.share("model", "data", "split", *LOADING, to=model)
    model.add_argument("--k", metavar="N", type=positive, default=1, help="K of the ranking metrics (default: 1)")
    model.add_argument(
        "--permutations",
        metavar="N",
        type=positive,
        default=1,
        help="ask every query with its candidates in N orders, the stored one first (default: 1)",
    )
    model.add_argument("--limit", type=positive, metavar="N", help="only the first N queries")
    model.add_argument(
        "--max-prompt-tokens", type=positive, metavar="N", help="leave out and count longer prompts (default: none)"
    )
    parser.share("max-new-tokens", "constrain", to=model)
    model.add_argument("--batch-size", type=positive, default=256, metavar="N", help="queries at once (default: 256)")
    parser.share("device", "threads", to=model)
    parser.share("seed", to=model, help="seed of the intervals' bootstrap; answers are greedy (default: 0)")
    model.add_argument(
        "--baselines",
        **SWITCH,
        help="beside the model, or alone: chance, popularity, transitions, BM25, the assistant's rules, LightGCN, "
        "SASRec",
    )
    server = parser.group("a model behind a server")
    server.add_argument(
        "--server", metavar="URL", help="OpenAI-compatible; --model is its name there, OPENAI_API_KEY holds the key"
    )
    server.add_argument("--concurrency", metavar="N", type=positive, default=8, help="queries at once (default: 8)")
    parser.share("temperature", to=server)
    server.add_argument(
        "--answers", metavar="F", help="where they are kept, to go on from (default: MODEL.SPLIT.answers.jsonl)"
    )
    answers = parser.group("answers from a file")
    answers.add_argument("--predictions", metavar="F", help="JSON lines of {id, response}, or OpenAI batch output")
    answers.add_argument("--queries", metavar="F", help="a RecBench+ group file instead of --data's split")
    answers.add_argument(
        "--matcher",
        choices=("recbench", "catalogue"),
        default="recbench",
        help="recbench: the published rules; catalogue: titles matched in the catalogue of --data",
    )
    answers.add_argument(
        "--skip-bad", **SWITCH, help="leave out and count broken rows, and what a server does not answer"
    )
    lists = parser.group("ranked lists")
    lists.add_argument(
        "--ranking",
        **SWITCH,
        help="HR, Recall, NDCG and MRR at 1, 3, 5, 10, 20 of ranked lists: of --model (--rank-by), of what a server "
        "or a file names, of --baselines",
    )
    lists.add_argument(
        "--rank-by",
        choices=("scores", "beams", "votes", "answers"),
        default="scores",
        help="how a model ranks: by the log-prob of every title in the box, by a beam search of 20 over titles, by the "
        "votes of --samples answers, or as its greedy answer names them (default: scores)",
    )
    lists.add_argument(
        "--over",
        choices=("candidates", "catalogue"),
        default="candidates",
        help="what is ranked: a query's candidates, where it has some, or the whole catalogue (default: candidates)",
    )
    lists.add_argument(
        "--samples",
        metavar="N",
        type=positive,
        default=16,
        help="votes: answers to a query, at --temperature, or 1 (default: 16)",
    )
    lists.add_argument(
        "--reasoning", **SWITCH, help="scores, beams: titles behind the model's greedy reasoning, not behind the prompt"
    )
    lists.add_argument(
        "--length-normalised", **SWITCH, help="scores: the mean log-prob of a title's tokens, not their sum"
    )
    parser.share("output", metavar="F.json", help="write the figures as JSON, one row a query among them")
    args = parser.parse_args(argv)
    if args.queries is not None:
        if args.predictions is None or args.model is not None or args.baselines:
            parser.error("--queries needs --predictions F, and goes without --model and --baselines")
    elif args.data is None or (args.predictions is None and args.model is None and not args.baselines):
        parser.error("expected --data DIR and --model DIR, --server URL, --predictions F or --baselines")
    elif args.predictions is not None and (args.model is not None or args.server is not None):
        parser.error("--predictions goes without --model and --server")
    elif args.server is not None and args.model is None:
        parser.error("--server needs --model NAME")
    elif args.ranking and args.permutations > 1:
        parser.error("--permutations goes without --ranking")
    elif (args.server or args.predictions) and (args.permutations > 1 or args.max_prompt_tokens is not None):
        parser.error("--permutations and --max-prompt-tokens go with a model's directory alone")
    return args


def _on_dataset(args: argparse.Namespace) -> tuple[dict[str, Any], list[Any]]:
    """The figures as JSON, and what is printed of them."""
    result: dict[str, Any] = {"data": args.data}
    printed: list[Any] = []
    report: EvalReport | None = None
    if args.server or args.predictions:
        report, place, told = evaluate_others(args)
        result |= place | report.to_json(rows=True)
        printed = [report.table(), *([told] if told else [])]
    elif args.model:
        report, orders, measured = evaluate_model(args)
        result |= {"model": args.model, **measured, **report.to_json(rows=True)}
        printed = [report.table()]
        if orders is not None:
            result["orders"] = orders.to_json()
            printed += [orders.table(), orders.places()]
    if args.baselines:
        comparison = evaluate_baselines(args, report)
        result |= {"split": args.split, "baselines": comparison.to_json()}
        printed.append(comparison.table(report))
    return result, printed


def _ranked(args: argparse.Namespace) -> tuple[dict[str, Any], list[Any]]:
    """The same of ranked lists."""
    with waiting("loading the libraries"):
        from rerec_engine.metrics.ranked import rank

    return rank(args, partial(baselines, args) if args.baselines else None)


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    args = _arguments(argv)
    from rich.console import Console

    if args.output and not Path(args.output).absolute().parent.is_dir():
        raise file_error(args.output, "its directory does not exist")
    if args.queries is not None and args.ranking:
        from rerec_engine.metrics.answer_file import rank_predictions

        report, skipped = rank_predictions(args.predictions, args.queries, args.data, args.skip_bad, args.seed)
        place = {"predictions": args.predictions, "queries": args.queries, "data": args.data, "skipped": skipped}
        result, tables = {**place, "ranking": report.to_json()}, report.tables()
    elif args.queries is not None:
        from rerec_engine.metrics.answer_file import evaluate_predictions, predictions_table

        result = evaluate_predictions(args.predictions, args.queries, args.matcher, args.data, args.skip_bad)
        tables = [predictions_table(result)]
    else:
        result, tables = _ranked(args) if args.ranking else _on_dataset(args)
    console = Console()
    for part in tables:
        console.print(part, highlight=False, soft_wrap=isinstance(part, str))  # a path stays in one piece
    if args.output:
        write_json(args.output, result)


if __name__ == "__main__":
    run_command(main)
