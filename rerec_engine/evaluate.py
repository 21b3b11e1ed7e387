"""Accuracy by query category and ranking metrics: of a model on a dataset, or of answers read from a file.

    python -m rerec_engine.evaluate --model DIR --data DIR [--split test] [--output F.json]
    python -m rerec_engine.evaluate --predictions F --queries F.json --matcher recbench|catalogue [--output F.json]

`evaluate_queries` is what training calls before, during and after.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from rerec_engine.errors import fail, file_error, run_command
from rerec_engine.metrics.answer_file import evaluate_predictions, predictions_table
from rerec_engine.metrics.report import CategoryReport, Estimate, EvalReport
from rerec_engine.metrics.text import decode
from rerec_engine.types import Message, Query, Rollout, Sampling

if TYPE_CHECKING:
    from rerec_engine.reward import RewardEngine

Generate = Callable[[Sequence[Sequence[int]], int, Sampling], "list[Rollout]"]


def evaluate_queries(
    generate: Generate,
    tokenizer: Any,
    engine: RewardEngine,
    queries: Sequence[Query],
    *,
    encode_prompt: Callable[[Sequence[Message]], list[int]],
    max_new_tokens: int,
    k: int = 1,
    batch_size: int = 256,
    seed: int = 0,
    catalogue_size: int | None = None,
    split: str = "",
    step: int = 0,
    progress: bool = False,
) -> EvalReport:
    """Answer every query greedily and score the answers.

    generate: as `Sampler.generate`. batch_size: queries generated at once. seed: of the bootstrap; the answers are
    greedy. catalogue_size: items that an open query may name, for its chance level; default: those of the engine.
    Raises ValueError where there is no query.
    """
    if not queries:
        raise ValueError("no query to evaluate")
    rows: list[dict[str, Any]] = []
    parts: list[dict[str, np.ndarray]] = []
    bar = _progress(len(queries), progress)
    for start in range(0, len(queries), batch_size):
        batch = queries[start : start + batch_size]
        prompts = [encode_prompt(query.messages) for query in batch]
        rollouts = generate(prompts, 1, Sampling(max_new_tokens=max_new_tokens, temperature=0.0))
        responses = [decode(tokenizer, rollout.token_ids) for rollout in rollouts]
        batch_rows, scores = _score_batch(engine, batch, responses, rollouts, k)
        rows += batch_rows
        parts.append(scores)
        bar.update(len(batch))
    bar.close()
    values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}  # [Q] float64 each
    size = engine.size if catalogue_size is None else catalogue_size
    values["chance"] = np.array([chance_level(query, size) for query in queries])
    return _report(queries, values, rows, k=k, seed=seed, split=split, step=step)


def chance_level(query: Query, catalogue_size: int) -> float:
    """Accuracy of a uniform guess: |gt in candidates| / |candidates|; an open query: |gt| / catalogue_size."""
    truth = set(query.ground_truth)
    if query.candidates:
        candidates = set(query.candidates)
        return len(truth & candidates) / len(candidates)
    return len(truth) / catalogue_size if catalogue_size else 0.0


def _score_batch(
    engine: RewardEngine, queries: Sequence[Query], responses: list[str], rollouts: Sequence[Rollout], k: int
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """One row a query, and its figures as float64 arrays [B]."""
    truth = [query.ground_truth for query in queries]
    scores = engine.score(responses, truth, candidates=[query.candidates for query in queries], k=k)
    rows = []
    for i, (query, rollout) in enumerate(zip(queries, rollouts, strict=True)):
        items = [int(item) for item in scores.items[i]]
        answered = bool(scores.answered[i]) and bool(items)
        rows.append(
            {
                "id": query.id,
                "category": query.category,
                "response": responses[i],
                "items": items,
                "answered": answered,
                "hit": answered and items[0] in query.ground_truth,
                "unknown": answered and items[0] < 0,
                "outside": answered and bool(query.candidates) and not set(items) <= set(query.candidates),
                "ndcg": float(scores.ndcg[i]) if answered else 0.0,
                "tokens": len(rollout.token_ids),
                "truncated": rollout.finish == "length",
            }
        )
    names = ("answered", "hit", "unknown", "outside", "ndcg", "tokens", "truncated")
    values = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in names}
    for name in ("hit", "precision", "recall", "mrr"):
        values[f"{name}@k"] = np.asarray(getattr(scores, name), dtype=np.float64)
    return rows, values


def _report(
    queries: Sequence[Query],
    values: dict[str, np.ndarray],
    rows: list[dict[str, Any]],
    *,
    k: int,
    seed: int,
    **place: Any,
) -> EvalReport:
    categories = np.array([query.category or "uncategorised" for query in queries])
    answered = values["answered"].sum()
    closed = values["answered"][[bool(query.candidates) for query in queries]].sum()
    by_category = {}
    for name in dict.fromkeys(categories.tolist()):
        chosen = categories == name
        by_category[name] = CategoryReport(
            queries=int(chosen.sum()),
            accuracy=Estimate.of(values["hit"][chosen], seed),
            ndcg=Estimate.of(values["ndcg"][chosen], seed),
            chance=float(values["chance"][chosen].mean()),
        )
    return EvalReport(
        queries=len(queries),
        k=k,
        accuracy=Estimate.of(values["hit"], seed),
        ndcg=Estimate.of(values["ndcg"], seed),
        chance=float(values["chance"].mean()),
        format_rate=Estimate.of(values["answered"], seed),
        unknown_item_rate=float(values["unknown"].sum() / max(answered, 1)),
        outside_rate=float(values["outside"].sum() / max(closed, 1)),
        mean_length=float(values["tokens"].mean()),
        truncated_rate=float(values["truncated"].mean()),
        ranking={f"{name}@{k}": float(values[f"{name}@k"].mean()) for name in ("hit", "precision", "recall", "mrr")},
        by_category=by_category,
        rows=rows,
        **place,
    )


def _progress(total: int, shown: bool) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, unit="query", desc="evaluate", disable=not shown, leave=False)


def evaluate_model(args: argparse.Namespace) -> EvalReport:
    """Load model, dataset and reward engine, and evaluate the split."""
    from rerec_engine.config import RewardWeights
    from rerec_engine.data.dataset import load_dataset
    from rerec_engine.model.policy import load_policy
    from rerec_engine.reward import RewardEngine
    from rerec_engine.rollout.sampler import Sampler

    model = model_directory(args.model)
    dataset = load_dataset(args.data)
    queries = dataset.queries(args.split)[: args.limit]
    if not queries:
        raise file_error(Path(args.data) / f"{args.split}.parquet", "holds no query")
    engine = RewardEngine.load(args.data, RewardWeights(k=args.k))
    policy = load_policy(str(model), device=args.device)
    return evaluate_queries(
        Sampler(policy).generate,
        policy.tokenizer,
        engine,
        queries,
        encode_prompt=policy.encode_prompt,
        max_new_tokens=args.max_new_tokens,
        k=args.k,
        batch_size=args.batch_size,
        seed=args.seed,
        catalogue_size=len(dataset.titles),
        split=args.split,
        progress=True,
    )


def model_directory(path: str) -> Path:
    """The directory that holds the model: the path, or `final/` in it where it is a run directory."""
    directory = Path(path).expanduser()
    if not directory.is_dir():
        raise file_error(path, "no such model directory")
    for place in (directory, directory / "final"):
        if (place / "config.json").is_file():
            return place
    raise file_error(path, "no model here: neither config.json nor final/config.json")


def write_json(path: str | Path, value: object) -> None:
    """Write under a temporary name and rename, so that a full disk never leaves half a file."""
    target = Path(path)
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


class Parser(argparse.ArgumentParser):
    """argparse with one-line errors."""

    def error(self, message: str) -> NoReturn:
        fail(f"{message} (see --help)")


def positive(text: str) -> int:
    """argparse type: an integer of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {value}")
    return value


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m rerec_engine.evaluate", description=(__doc__ or "").splitlines()[0])
    model = parser.add_argument_group("a model on a dataset")
    model.add_argument("--model", metavar="DIR", help="Hugging Face causal LM, or a run directory (its final/)")
    model.add_argument("--data", metavar="DIR", help="dataset directory (see rerec_engine.prepare)")
    model.add_argument("--split", default="test", help="default: %(default)s")
    model.add_argument("--k", type=positive, default=1, help="K of NDCG@K and the other ranking metrics (default: 1)")
    model.add_argument("--limit", type=positive, metavar="N", help="only the first N queries")
    model.add_argument("--max-new-tokens", type=positive, default=768, metavar="N", help="default: %(default)s")
    model.add_argument("--batch-size", type=positive, default=256, metavar="N", help="queries at once (default: 256)")
    model.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    model.add_argument("--seed", type=int, default=0, help="of the bootstrap; answers are greedy")
    answers = parser.add_argument_group("answers from a file")
    answers.add_argument("--predictions", metavar="F", help="JSON lines of {id, response}, or OpenAI batch output")
    answers.add_argument("--queries", metavar="F", help="RecBench+ group file, such as DemographicsBasedQuery.json")
    answers.add_argument(
        "--matcher",
        choices=("recbench", "catalogue"),
        default="recbench",
        help="recbench: the published rules; catalogue: titles matched in the catalogue of --data",
    )
    answers.add_argument("--skip-bad", action="store_true", help="leave broken rows out and count them")
    parser.add_argument("--output", metavar="F.json", help="write the figures as JSON, one row a query among them")
    args = parser.parse_args(argv)
    if args.predictions is None and (args.model is None or args.data is None):
        parser.error("expected --model DIR --data DIR, or --predictions F --queries F")
    if args.predictions is not None and (args.queries is None or args.model is not None):
        parser.error("--predictions needs --queries F, and goes without --model")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    from rich.console import Console

    args = _arguments(argv)
    if args.output and not Path(args.output).absolute().parent.is_dir():
        raise file_error(args.output, "its directory does not exist")
    if args.predictions is not None:
        result = evaluate_predictions(args.predictions, args.queries, args.matcher, args.data, args.skip_bad)
        table = predictions_table(result)
    else:
        report = evaluate_model(args)
        result = {"model": args.model, "data": args.data, **report.to_json(rows=True)}
        table = report.table()
    Console().print(table)
    if args.output:
        write_json(args.output, result)


if __name__ == "__main__":
    run_command(main)
