"""What is measured of a final model besides: accuracy on further test sets, and what it still knows.

    python -m rerec_engine.experiment.measure RUN_DIR [--tests NAME=DATA ...] [--permutations N] [--rank-by WAY]
        [--limit N] [--world '{"seed": 0}']

Writes measured.json into the run directory.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rerec_engine.cli import Parser, positive, run_command
from rerec_engine.config import RewardWeights
from rerec_engine.data.dataset import Dataset, load_dataset
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.data.prompter import Prompter
from rerec_engine.evaluate import main as evaluate
from rerec_engine.experiment.retention import facts, perplexity, world_of
from rerec_engine.files import write_json
from rerec_engine.metrics.evaluation import evaluate_queries
from rerec_engine.metrics.orders import OrderReport, evaluate_orders
from rerec_engine.metrics.report import EvalReport
from rerec_engine.model.policy import Policy, load_policy
from rerec_engine.reward import RewardEngine
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.types import Query

RANKED = ("HR@3", "NDCG@3", "HR@5", "NDCG@5", "HR@10", "NDCG@10")
"""Of the lists of a test."""


def accuracy(policy: Policy, data: Path, max_new_tokens: int, limit: int | None = None) -> dict[str, Any]:
    """Of greedy answers to a dataset's test queries, the first `limit`: as a line of eval.jsonl."""
    dataset = load_dataset(data)
    return _evaluation(policy, dataset, max_new_tokens)(dataset.some_queries("test", limit)).line()


def dependence(
    policy: Policy, data: Path, max_new_tokens: int, orders: int, limit: int | None = None
) -> tuple[dict[str, Any], OrderReport]:
    """`accuracy`, and what depends on the order of the candidates."""
    dataset = load_dataset(data)
    queries, prompter = dataset.some_queries("test", limit), Prompter(Knowledge.of(dataset, users=False))
    prompter.check(queries, data / "test.parquet", "leave --permutations out")
    report, found = evaluate_orders(_evaluation(policy, dataset, max_new_tokens), queries, prompter.shuffled, orders)
    return report.line(), found


def ranking(run: Path, data: str, rank_by: str, max_new_tokens: int, limit: int | None = None) -> dict[str, float]:
    """HR and NDCG of a final model's lists, as `evaluate --ranking` finds them on the test queries."""
    words = [
        "--model",
        str(run),
        "--data",
        data,
        "--ranking",
        "--rank-by",
        rank_by,
        "--device",
        "cpu",
        "--threads",
        "1",
    ]
    words += ["--max-new-tokens", str(max_new_tokens), *(["--limit", str(limit)] if limit else [])]
    with tempfile.TemporaryDirectory() as folder:
        evaluate([*words, "--output", str(Path(folder) / "ranking.json")])
        systems = json.loads((Path(folder) / "ranking.json").read_text())["ranking"]["systems"]
    (own,) = systems.values()
    return {name: own["groups"]["all"]["measures"][name]["mean"] for name in RANKED}


def _evaluation(policy: Policy, dataset: Dataset, max_new_tokens: int) -> Callable[[Sequence[Query]], EvalReport]:
    return partial(
        evaluate_queries,
        Sampler(policy).generate,
        policy.tokenizer,
        RewardEngine.load(dataset.path, RewardWeights()),
        encode_prompt=policy.encode_prompt,
        max_new_tokens=max_new_tokens,
        catalogue_size=len(dataset.titles),
        split="test",
        opened=policy.chat.opens_reasoning(),
    )


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = Parser(prog="experiment.measure", usage="RUN_DIR [options]", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, metavar="RUN_DIR")
    parser.add_argument("--tests", nargs="+", default=[], metavar="NAME=DATA", help="dataset directories")
    parser.add_argument(
        "--permutations", type=positive, default=1, metavar="N", help="ask the tests in N orders of their candidates"
    )
    parser.add_argument("--rank-by", metavar="WAY", help="rank the tests too, as evaluate does")
    parser.add_argument("--limit", type=positive, metavar="N", help="only the first N queries of each test")
    parser.add_argument(
        "--world", type=json.loads, metavar="JSON", help="options of `prepare demo`: measure what is known"
    )
    parser.share("max-new-tokens")
    args = parser.parse_args(argv)
    policy = load_policy(str(args.run / "final"), "cpu", "auto")
    named = (test.partition("=") for test in args.tests)
    tests: dict[str, Any] = {}
    known: dict[str, float] = {}
    for name, _, data in named:
        if args.rank_by:
            ranked = ranking(args.run, data, args.rank_by, args.max_new_tokens, args.limit)
            known |= {f"{name} {measure}": value for measure, value in ranked.items()}
        if args.permutations == 1:
            tests[name] = accuracy(policy, Path(data), args.max_new_tokens, args.limit)
            continue
        tests[name], orders = dependence(policy, Path(data), args.max_new_tokens, args.permutations, args.limit)
        known[f"{name} in {orders.orders} orders"] = orders.accuracy.mean
        known[f"{name}, depends on the order"] = orders.depends.mean
        known |= {f"{name}, right one in the {place}": x for place, x in orders.accuracy_by_place.items()}
    if args.world is not None:
        world, seed = world_of(args.world)
        known |= {**facts(policy, world), "teacher's perplexity": perplexity(policy, world, seed)}
    write_json(args.run / "measured.json", {"tests": tests, "known": known})


if __name__ == "__main__":
    run_command(main)
