"""Accuracy by query category and ranking metrics: of a model on a dataset, or of answers read from a file.

python -m rerec_engine.evaluate --model DIR --data DIR [--split test] [--output F.json]
python -m rerec_engine.evaluate --predictions F --queries F.json --matcher recbench|catalogue [--output F.json]
python -m rerec_engine.evaluate --baselines --data DIR: what needs no model, alone or beside one
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rerec_engine.cli import LOADING, SWITCH, Parser, positive, run_command, waiting
from rerec_engine.errors import UserError, file_error
from rerec_engine.files import write_json

if TYPE_CHECKING:
    from rerec_engine.metrics.comparison import Comparison
    from rerec_engine.metrics.orders import OrderReport
    from rerec_engine.metrics.report import EvalReport


def __getattr__(name: str) -> Any:
    """`evaluate_queries`, which the documents import from here; it loads torch, and `--help` must not."""
    if name == "evaluate_queries":
        from rerec_engine.metrics.evaluation import evaluate_queries

        return evaluate_queries
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def evaluate_model(args: argparse.Namespace) -> tuple[EvalReport, OrderReport | None, float]:
    """Load model, dataset and reward engine, and evaluate the split, perhaps in several orders of the candidates.

    The last is the self-check's largest difference of log-probs, nats.
    """
    with waiting("loading the libraries"):
        from rerec_engine.config import RewardWeights
        from rerec_engine.data.knowledge import Knowledge
        from rerec_engine.data.lengths import fitting
        from rerec_engine.data.prompter import Prompter
        from rerec_engine.metrics.evaluation import evaluate_queries
        from rerec_engine.metrics.orders import evaluate_orders
        from rerec_engine.model.context import check_context
        from rerec_engine.model.source import Loading
        from rerec_engine.reward import RewardEngine
        from rerec_engine.rollout.loading import load_sampler, open_inputs

    loading = Loading.of(args)
    dataset = open_inputs(args.model, args.data, args.threads, loading)
    path = Path(args.data) / f"{args.split}.parquet"
    queries = dataset.queries(args.split)[: args.limit]
    if not queries:
        raise file_error(path, "holds no query")
    prompter = Prompter(Knowledge.of(dataset, users=False))
    if args.permutations > 1:
        if not any(len(query.candidates) > 1 for query in queries):
            raise file_error(path, "no query has candidates: leave --permutations out")
        prompter.check(queries, path, "leave --permutations out")
    with waiting("loading the reward engine"):
        engine = RewardEngine.load(args.data, RewardWeights(k=args.k))
    sampler = load_sampler(args.model, args.device, loading)
    everything, encode = queries, sampler.policy.encode_prompt
    queries = list(fitting(everything, encode, args.max_prompt_tokens))
    if not queries:
        raise file_error(path, f"no query has a prompt of at most {args.max_prompt_tokens} tokens")
    longest = max(len(encode(query.messages)) for query in queries)
    if told := check_context(sampler.policy, longest, args.max_new_tokens, "--max-new-tokens"):
        print(told, file=sys.stderr)
    evaluate = partial(
        evaluate_queries,
        sampler.generate,
        sampler.policy.tokenizer,
        engine,
        encode_prompt=encode,
        max_new_tokens=args.max_new_tokens,
        k=args.k,
        batch_size=args.batch_size,
        seed=args.seed,
        catalogue_size=len(dataset.titles),
        split=args.split,
        progress=True,
        opened=sampler.policy.chat.opens_reasoning(),
        watched=sampler,
    )
    if args.permutations == 1:
        report, orders = evaluate(queries), None
    else:
        report, orders = evaluate_orders(evaluate, queries, prompter.shuffled, args.permutations, args.seed)
    return replace(report, left_out=len(everything) - len(queries)), orders, sampler.proof.logprob_max


def evaluate_baselines(args: argparse.Namespace, report: EvalReport | None = None) -> Comparison:
    """What needs no model, on the queries of the report, or on those of the split."""
    with waiting("loading the libraries"):
        from rerec_engine.assistant.ranker import rules
        from rerec_engine.data.dataset import Dataset, load_dataset
        from rerec_engine.metrics.comparison import compare
        from rerec_engine.metrics.rankers import Bm25, Ranker, embedded_by, embeddings, popularity

    dataset = load_dataset(args.data)
    queries = dataset.queries(args.split)[: args.limit]
    if report is not None:
        asked = {row["id"] for row in report.rows}
        queries = [query for query in queries if query.id in asked]
    if not queries:
        raise file_error(Path(args.data) / f"{args.split}.parquet", "holds no query")
    makers: dict[str, Callable[[Dataset], Ranker]] = {
        "popularity": popularity,
        "BM25": Bm25,
        "the assistant's rules": rules,
        embedded_by(dataset): embeddings,
    }
    rankers: dict[str, Ranker] = {}
    notes: list[str] = []
    for name, make in makers.items():
        try:
            rankers[name] = make(dataset)
        except UserError as error:
            notes.append(f"{name}: left out, {error}")
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
            "--predictions answers.jsonl --queries Explicit.json",
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
    parser.share("max-new-tokens", to=model)
    model.add_argument("--batch-size", type=positive, default=256, metavar="N", help="queries at once (default: 256)")
    parser.share("device", "threads", to=model)
    parser.share("seed", to=model, help="seed of the intervals' bootstrap; answers are greedy (default: 0)")
    model.add_argument(
        "--baselines",
        **SWITCH,
        help="what needs no model beside it, or alone: chance, popularity, BM25, the assistant's rules, embeddings",
    )
    answers = parser.group("answers from a file")
    answers.add_argument("--predictions", metavar="F", help="JSON lines of {id, response}, or OpenAI batch output")
    answers.add_argument("--queries", metavar="F", help="RecBench+ group file, such as DemographicsBasedQuery.json")
    answers.add_argument(
        "--matcher",
        choices=("recbench", "catalogue"),
        default="recbench",
        help="recbench: the published rules; catalogue: titles matched in the catalogue of --data",
    )
    answers.add_argument("--skip-bad", **SWITCH, help="leave broken rows out and count them")
    parser.share("output", metavar="F.json", help="write the figures as JSON, one row a query among them")
    args = parser.parse_args(argv)
    if args.predictions is None and (args.data is None or (args.model is None and not args.baselines)):
        parser.error("expected --model DIR --data DIR, --baselines --data DIR, or --predictions F --queries F")
    if args.predictions is not None and (args.queries is None or args.model is not None or args.baselines):
        parser.error("--predictions needs --queries F, and goes without --model and --baselines")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    args = _arguments(argv)
    from rich.console import Console

    if args.output and not Path(args.output).absolute().parent.is_dir():
        raise file_error(args.output, "its directory does not exist")
    if args.predictions is not None:
        from rerec_engine.metrics.answer_file import evaluate_predictions, predictions_table

        result = evaluate_predictions(args.predictions, args.queries, args.matcher, args.data, args.skip_bad)
        tables = [predictions_table(result)]
    elif args.model is None:
        comparison = evaluate_baselines(args)
        result = {"data": args.data, "split": args.split, "baselines": comparison.to_json()}
        tables = [comparison.table()]
    else:
        report, orders, apart = evaluate_model(args)
        place = {"model": args.model, "data": args.data, "selfcheck_logprob_max": apart}
        result = {**place, **report.to_json(rows=True)}
        tables = [report.table()]
        if orders is not None:
            result["orders"] = orders.to_json()
            tables.append(orders.table())
        if args.baselines:
            comparison = evaluate_baselines(args, report)
            result["baselines"] = comparison.to_json()
            tables.append(comparison.table(report))
    Console().print(*tables)
    if args.output:
        write_json(args.output, result)


if __name__ == "__main__":
    run_command(main)
