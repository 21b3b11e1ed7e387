"""verl: `compute_score`, its batched form, and `register` for token-level RAAE; see docs/integrations.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rerec_engine.integrations.shared import (
    Weights,
    candidates_of,
    configure,
    reward_info,
    row_names,
    score_rows,
    shared_engine,
)

__all__ = ["compute_score", "compute_score_batched", "configure", "register"]


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    **reward_kwargs: Any,
) -> dict[str, float]:
    """`compute_score_batched` of one response: verl's `custom_reward_function`."""
    return compute_score_batched([data_source], [solution_str], [ground_truth], [extra_info], **reward_kwargs)[0]


def compute_score_batched(
    data_sources: Sequence[str],
    solution_strs: Sequence[str],
    ground_truths: Sequence[Any],
    extra_infos: Sequence[Mapping[str, Any] | None],
    *,
    data_dir: str | None = None,
    threads: int | None = None,
    weights: Weights | None = None,
    opened: bool = False,
    **_: Any,
) -> list[dict[str, float]]:
    """For each response `score` (the reward), `acc` (1 for a hit: what verl validates by) and the reward's parts.

    ground_truths: for each a title, an item id or several. Candidates are those of extra_info (`candidates` or
    `candidate_ids`); a query without them is open. data_dir, threads, weights: verl's `reward_kwargs`, see
    `shared_engine`; opened too: whether the prompts open a block of reasoning, `<think>`, since verl does not hand them
    over. What else verl may pass is not used.
    Errors: `UserError` that names the row by its data source and extra_info's id or index.
    """
    rows = row_names(data_sources, extra_infos)
    among = [candidates_of(extra) for extra in extra_infos]
    engine = shared_engine(data_dir, threads=threads, weights=weights)
    scores = score_rows(engine, solution_strs, ground_truths, among, rows, opened)
    return [reward_info(scores, i) for i in range(len(solution_strs))]


def register() -> None:
    """Register with verl the advantage estimators `raae` and `rank`, the reward manager `raae` and the agent loop
    `raae_agent`.

    In this process alone. verl does it in each of its own, Ray's workers included, where the environment has
    `VERL_USE_EXTERNAL_MODULES=rerec_engine.integrations.verl_agent`.
    """
    from rerec_engine.integrations import verl_agent  # noqa: F401
