"""What is measured of a final model besides: accuracy on further test sets, and what it still knows.

    python -m rerec_engine.experiment.measure RUN_DIR [--tests NAME=DATA ...] [--world '{"seed": 0}']

Writes measured.json into the run directory.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rerec_engine.cli import Parser, run_command
from rerec_engine.config import RewardWeights
from rerec_engine.data.dataset import load_dataset
from rerec_engine.experiment.retention import facts, perplexity, world_of
from rerec_engine.files import write_json
from rerec_engine.metrics.evaluation import evaluate_queries
from rerec_engine.model.policy import Policy, load_policy
from rerec_engine.reward import RewardEngine
from rerec_engine.rollout.sampler import Sampler


def accuracy(policy: Policy, data: Path, max_new_tokens: int) -> dict[str, Any]:
    """Of greedy answers to a dataset's test queries: as a line of eval.jsonl."""
    dataset = load_dataset(data)
    report = evaluate_queries(
        Sampler(policy).generate,
        policy.tokenizer,
        RewardEngine.load(data, RewardWeights()),
        dataset.queries("test"),
        encode_prompt=policy.encode_prompt,
        max_new_tokens=max_new_tokens,
        catalogue_size=len(dataset.titles),
        split="test",
    )
    return report.line()


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = Parser(prog="experiment.measure", usage="RUN_DIR [options]", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, metavar="RUN_DIR")
    parser.add_argument("--tests", nargs="+", default=[], metavar="NAME=DATA", help="dataset directories")
    parser.add_argument(
        "--world", type=json.loads, metavar="JSON", help="options of `prepare demo`: measure what is known"
    )
    parser.share("max-new-tokens")
    args = parser.parse_args(argv)
    policy = load_policy(str(args.run / "final"), device="cpu")
    named = (test.partition("=") for test in args.tests)
    tests = {name: accuracy(policy, Path(data), args.max_new_tokens) for name, _, data in named}
    known: dict[str, float] = {}
    if args.world is not None:
        world, seed = world_of(args.world)
        known = {**facts(policy, world), "teacher's perplexity": perplexity(policy, world, seed)}
    write_json(args.run / "measured.json", {"tests": tests, "known": known})


if __name__ == "__main__":
    run_command(main)
