"""A model's answers to queries, scored: what training calls before, during and after, and `evaluate` at any time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from rerec_engine.cli import progress_bar
from rerec_engine.metrics.predictions import Reply
from rerec_engine.metrics.report import CategoryReport, Estimate, EvalReport
from rerec_engine.model.text import decode
from rerec_engine.reward.reasons import true_share
from rerec_engine.types import Message, Query, Rollout, Sampling

if TYPE_CHECKING:
    from tqdm import tqdm

    from rerec_engine.reward import RewardEngine
    from rerec_engine.rollout.sampler import Sampler

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
    watched: Sampler | None = None,
    opened: bool = False,
    constrain: bool = False,
) -> EvalReport:
    """Answer every query greedily and score the answers.

    generate: as `Sampler.generate`. batch_size: queries generated at once. seed: of the bootstrap; the answers are
    greedy. catalogue_size: items that an open query may name, for its chance level; default: those of the engine.
    opened: whether the prompts open a block of reasoning. watched: the sampler behind `generate`, whose finished
    responses then move the bar, not whole batches alone. constrain: hand `generate` the candidates that an answer may
    name. Raises ValueError where there is no query.
    """
    if not queries:
        raise ValueError("no query to evaluate")
    replies: list[Reply] = []
    bar = progress_bar(len(queries), f"evaluate {split}".rstrip(), "query", shown=progress)
    for start in range(0, len(queries), batch_size):
        batch = queries[start : start + batch_size]
        prompts = [encode_prompt(query.messages) for query in batch]
        candidates = [query.candidates for query in batch] if constrain else None
        sampling = Sampling(max_new_tokens=max_new_tokens, temperature=0.0, candidates=candidates)
        with _followed(watched if progress else None, bar):
            rollouts = generate(prompts, 1, sampling)
        replies += [Reply(decode(tokenizer, r.token_ids), len(r.token_ids), r.finish == "length") for r in rollouts]
        bar.update(start + len(batch) - bar.n)
    bar.close()
    place: dict[str, Any] = {"split": split, "step": step}
    return evaluate_replies(
        engine, queries, replies, k=k, seed=seed, catalogue_size=catalogue_size, opened=opened, **place
    )


def evaluate_replies(
    engine: RewardEngine,
    queries: Sequence[Query],
    replies: Sequence[Reply],
    *,
    k: int = 1,
    seed: int = 0,
    catalogue_size: int | None = None,
    opened: bool = False,
    **place: Any,
) -> EvalReport:
    """Score a reply to each query, whoever gave it; settings as of `evaluate_queries`. place: fields of the report.

    Raises ValueError where there is no query, or not a reply to each.
    """
    if not queries or len(queries) != len(replies):
        raise ValueError(f"expected a query at least and a reply to each, got {len(queries)} and {len(replies)}")
    rows, values = _score(engine, queries, replies, k, opened)
    size = engine.size if catalogue_size is None else catalogue_size
    values["chance"] = np.array([chance_level(query, size) for query in queries])
    return _report(queries, values, rows, k=k, seed=seed, **place)


@contextmanager
def _followed(sampler: Sampler | None, bar: tqdm[Any]) -> Iterator[None]:
    """The bar moves with each response that the sampler finishes."""
    if sampler is None:
        yield
        return
    start = bar.n
    bar.smoothing = 0  # the time left from the mean rate: responses end in bursts

    def follow(finished: int, tokens: int) -> None:
        bar.set_postfix_str(f"token {tokens}" if tokens else "reading prompts", refresh=False)
        bar.update(start + finished - bar.n)

    sampler.watch = follow
    try:
        yield
    finally:
        sampler.watch = None


def chance_level(query: Query, catalogue_size: int) -> float:
    """Accuracy of a uniform guess: |gt in candidates| / |candidates|; an open query: |gt| / catalogue_size."""
    truth = set(query.ground_truth)
    if query.candidates:
        candidates = set(query.candidates)
        return len(truth & candidates) / len(candidates)
    return len(truth) / catalogue_size if catalogue_size else 0.0


def _score(
    engine: RewardEngine, queries: Sequence[Query], replies: Sequence[Reply], k: int, opened: bool
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """One row a query, and their figures as float64 arrays [Q]."""
    responses = [reply.response for reply in replies]
    truth = [query.ground_truth for query in queries]
    candidates = [query.candidates for query in queries]
    scores = engine.score(responses, truth, candidates, k, reasons=engine.reads_reasons, opened=opened)
    rows = []
    for i, (query, reply) in enumerate(zip(queries, replies, strict=True)):
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
                "tokens": reply.tokens,
                "truncated": reply.cut,
                "statements": int(scores.reasons.statements[i]) if scores.reasons else 0,
                "true_statements": int(scores.reasons.true_statements[i]) if scores.reasons else 0,
            }
        )
    names = ("answered", "hit", "unknown", "outside", "ndcg", "tokens", "truncated", "statements", "true_statements")
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

    def of(chosen: np.ndarray) -> CategoryReport:
        return CategoryReport(
            queries=int(chosen.sum()),
            accuracy=Estimate.of(values["hit"][chosen], seed),
            ndcg=Estimate.of(values["ndcg"][chosen], seed),
            chance=float(values["chance"][chosen].mean()),
        )

    marks = dict.fromkeys(mark for query in queries for mark in query.marks)
    return EvalReport(
        queries=len(queries),
        k=k,
        accuracy=Estimate.of(values["hit"], seed),
        ndcg=Estimate.of(values["ndcg"], seed),
        chance=float(values["chance"].mean()),
        format_rate=Estimate.of(values["answered"], seed),
        unknown_item_rate=float(values["unknown"].sum() / max(answered, 1)),
        outside_rate=float(values["outside"].sum() / max(closed, 1)),
        mean_length=None if np.isnan(values["tokens"]).any() else float(values["tokens"].mean()),
        truncated_rate=float(values["truncated"].mean()),
        true_reasons=true_share(values["statements"].sum(), values["true_statements"].sum()),
        statements=float(values["statements"].mean()),
        ranking={f"{name}@{k}": float(values[f"{name}@k"].mean()) for name in ("hit", "precision", "recall", "mrr")},
        by_category={name: of(categories == name) for name in dict.fromkeys(categories.tolist())},
        by_mark={mark: of(np.array([mark in query.marks for query in queries])) for mark in marks},
        rows=rows,
        **place,
    )
