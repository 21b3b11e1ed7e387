"""Other people's models by the same measure: answers to a dataset's queries, asked of a server or read from a file."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rerec_engine.cli import waiting
from rerec_engine.config import RewardWeights
from rerec_engine.data.dataset import Dataset, load_dataset
from rerec_engine.errors import UserError, file_error
from rerec_engine.metrics.answer_log import AnswerLog
from rerec_engine.metrics.evaluation import evaluate_replies
from rerec_engine.metrics.predictions import Reply, read_answers
from rerec_engine.metrics.ranking.measures import distinct
from rerec_engine.metrics.ranking.sources import by_answers
from rerec_engine.metrics.report import EvalReport
from rerec_engine.metrics.server import Server
from rerec_engine.reward import RewardEngine
from rerec_engine.types import Query


@dataclass(frozen=True)
class Asked:
    """The queries of one split that are to be answered."""

    dataset: Dataset
    split: str
    queries: Sequence[Query]
    known: Sequence[str]
    """Ids of the whole split, of which a file may hold answers too."""
    prompts: str
    """Of the whole split, a digest."""

    @classmethod
    def of(cls, data: str | Path, split: str, limit: int | None = None) -> Asked:
        """limit: the first so many. Raises UserError for a dataset that is none, and a split without queries."""
        dataset = load_dataset(data)
        everything = dataset.some_queries(split)
        prompts = json.dumps([[query.id, *query.messages] for query in everything]).encode()
        known, digest = [query.id for query in everything], hashlib.sha256(prompts).hexdigest()[:16]
        return cls(dataset, split, everything[:limit], known, digest)

    def score(self, replies: Mapping[str, Reply], drawn: str, k: int, seed: int) -> EvalReport:
        """Of the queries that have a reply."""
        with waiting("loading the reward engine"):
            engine = RewardEngine.load(self.dataset.path, RewardWeights(k=k))
        answered = [query for query in self.queries if query.id in replies]
        given = [replies[query.id] for query in answered]
        size = self.dataset.item_count
        report = evaluate_replies(engine, answered, given, k=k, seed=seed, catalogue_size=size, split=self.split)
        return replace(report, drawn=drawn)


def evaluate_server(
    asked: Asked, server: Server, answers: str | Path, *, concurrency: int, skip_bad: bool, k: int = 1, seed: int = 0
) -> tuple[EvalReport, dict[str, Any]]:
    """Ask the server, keep its answers in the file `answers`, and score them.

    skip_bad: leave out those to which it gives none. Returns the report and what the asking cost. Raises UserError.
    """
    of = {"server": server.url, "model": server.model, "split": asked.split, "prompts": asked.prompts}
    log = AnswerLog(answers, {**of, **server.settings})
    start, kept = time.monotonic(), sum(query.id in log.entries for query in asked.queries)
    try:
        failed = server.ask(asked.queries, log, concurrency=concurrency, skip_bad=skip_bad, progress=True)
    finally:
        log.close()
    seconds = time.monotonic() - start
    entries = [log.entries[query.id] for query in asked.queries if query.id in log.entries]
    temperature = server.settings.get("temperature")
    drawn = "at the server's temperature" if temperature is None else f"temperature {temperature:g}"
    replies = {entry["id"]: Reply.of(entry) for entry in entries}
    report = asked.score(replies, drawn if temperature != 0 else "greedy", k, seed)
    spent = {
        "url": server.url,
        "settings": server.settings,
        "answers": str(answers),
        "kept": kept,
        "seconds": round(seconds, 1),
        "seconds_an_answer": _mean([entry["seconds"] for entry in entries if "seconds" in entry]),
        "prompt_tokens": _sum(entries, "prompt_tokens"),
        "completion_tokens": _sum(entries, "completion_tokens"),
        "too_long": [entry["id"] for entry in entries if "error" in entry],
        "unanswered": failed,
    }
    return report, spent


def ask_server(asked: Asked, args: argparse.Namespace) -> tuple[EvalReport, dict[str, Any], str]:
    """`evaluate_server` as the command's words say, with what to say of it, as JSON and as text."""
    server = Server(args.server, args.model, max_tokens=args.max_new_tokens, temperature=args.temperature)
    name = f"{re.sub(r'[^A-Za-z0-9._-]+', '-', args.model)}.{args.split}.answers.jsonl"
    answers = args.answers or Path(args.output or name).parent / name
    how = {"skip_bad": args.skip_bad, "k": args.k, "seed": args.seed}
    report, spent = evaluate_server(asked, server, answers, concurrency=args.concurrency, **how)
    return report, {"model": args.model, "server": spent}, spent_line(spent)


def evaluate_file(
    asked: Asked, predictions: str | Path, *, skip_bad: bool, k: int = 1, seed: int = 0
) -> tuple[EvalReport, dict[str, int]]:
    """Score the answers of a file (`predictions`), and count what skip_bad left out. Raises UserError."""
    wanted = [query.id for query in asked.queries]
    answers = read_answers(predictions, asked.known, skip_bad, wanted)
    return asked.score(answers.replies, "from a file", k, seed), vars(answers.skipped)


def rank_file(
    asked: Asked, predictions: str | Path, *, skip_bad: bool, k: int = 1, seed: int = 0
) -> tuple[dict[str, list[int]], EvalReport | None, dict[str, int]]:
    """Ranked lists of a file by query id: what its texts name, or the rankings that it holds.

    Returns besides the figures of the texts, as of `evaluate_file`, None where there is none, and what skip_bad left
    out. An item id that is not in the catalogue is a broken row; a title that is not keeps its place. Raises UserError.
    """
    wanted = [query.id for query in asked.queries]
    answers = read_answers(predictions, asked.known, skip_bad, wanted, rankings=True)
    texts = {name: reply for name, reply in answers.replies.items() if not reply.is_ranking}
    report = asked.score(texts, "from a file", k, seed) if texts else None
    lists = by_answers(report.rows) if report else {}
    for query in asked.queries:
        reply = answers.replies.get(query.id)
        if reply is None or not reply.is_ranking:
            continue
        try:
            lists[query.id] = _ranking(asked.dataset, query, reply)
        except UserError as error:
            if not skip_bad:
                told = f"query {query.id!r}: {error} (skip_bad leaves such rows out)"
                raise file_error(predictions, told) from None
            answers.skipped.broken += 1
    return lists, report, vars(answers.skipped)


def _ranking(dataset: Dataset, query: Query, reply: Reply) -> list[int]:
    if reply.items is not None:
        return distinct(dataset.item_of(name) for name in reply.items)
    return distinct(dataset.catalogue.match_many(reply.titles or (), query.candidates or None).tolist())


def spent_line(spent: Mapping[str, Any]) -> str:
    """What the asking cost, in a few lines."""
    prompt, completion = spent["prompt_tokens"], spent["completion_tokens"]
    tokens = "no tokens told" if completion is None else f"{prompt or 0:,} prompt and {completion:,} completion tokens"
    each = spent["seconds_an_answer"]
    told = [f"{tokens}; {spent['seconds']:.0f} s" + ("" if each is None else f", {each:.1f} s an answer")]
    if spent["kept"]:
        told[0] += f", {spent['kept']} answers were there before"
    if spent["too_long"]:
        told.append(f"too long for the model, counted as without an answer: {len(spent['too_long'])}")
    if failed := spent["unanswered"]:
        why = next(iter(failed.values()))
        told.append(f"unanswered and left out: {len(failed)} ({why}); asked again next time")
    return "\n".join([*told, f"the answers: {spent['answers']}"])


def _sum(entries: Sequence[Mapping[str, Any]], name: str) -> int | None:
    """None where no entry has it."""
    found = [entry[name] for entry in entries if isinstance(entry.get(name), int)]
    return sum(found) if found else None


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
