"""TRL: a reward function for `GRPOTrainer(reward_funcs=...)`; see docs/integrations.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rerec_engine.config import RewardWeights
from rerec_engine.errors import UserError
from rerec_engine.integrations.shared import PARTS, Answer, candidates_of, row_name, score_rows, shared_engine
from rerec_engine.reward import RewardEngine, Scores
from rerec_engine.reward.opened import ends_opened


def reward_function(
    data: str | Path | RewardEngine | None = None,
    *,
    ground_truth: str = "ground_truth",
    candidates: str = "candidates",
    weights: RewardWeights | None = None,
    threads: int | None = None,
    answer: Answer | None = None,
    name: str = "rerec_reward",
    opened: bool | None = None,
) -> RewardFunction:
    """`f(completions, **columns) -> list[float]`.

    data: a dataset directory, loaded by the first call in each process; None: `REREC_DATA`; or an engine, which has
    weights, threads and answer of its own. ground_truth, candidates: names of dataset columns, each row a title, an
    item id or several. A dataset without them may have verl's columns (`reward_model`, `extra_info`), as a dataset
    directory has; a query without candidates is open. name: what TRL logs the reward as. opened: whether the
    prompts end within a block of reasoning that they opened, `<think>`; None: told by prompts that are texts, and false
    of messages, which TRL hands over without what the chat template makes of them.
    """
    options = {"weights": weights, "threads": threads, "answer": answer}
    return RewardFunction(data, options, (ground_truth, candidates), name, opened)


class RewardFunction:
    """What `reward_function` returns; it can be pickled where it holds a directory."""

    def __init__(
        self,
        data: str | Path | RewardEngine | None,
        options: dict[str, Any],
        columns: tuple[str, str],
        name: str,
        opened: bool | None = None,
    ) -> None:
        self.data, self.options, self.opened = data, options, opened
        self.ground_truth, self.candidates = columns
        self.__name__ = name

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[float]:
        """Reward of each completion, a text or a list of messages; each column holds a row a completion.

        Where TRL passes `log_metric` and `log_extra`, the means of the reward's parts are logged as
        `rewards/NAME/PART`, and what was recommended in the table of completions.
        Errors: `UserError` that names the column or the row.
        """
        extras = columns.get("extra_info") or [None] * len(completions)
        rows = [row_name(extra, i) for i, extra in enumerate(extras)]
        listed = columns.get(self.candidates)
        among = [candidates_of(row) for row in (extras if listed is None else [{"candidates": c} for c in listed])]
        engine = self.data if isinstance(self.data, RewardEngine) else shared_engine(self.data, **self.options)
        texts, opened = [response_text(c) for c in completions], self._opens(columns, len(completions))
        scores = score_rows(engine, texts, self._truths(columns), among, rows, opened)
        self._log(scores, engine, columns)
        return [float(reward) for reward in scores.total]

    def _opens(self, columns: Mapping[str, Any], count: int) -> list[bool]:
        if self.opened is not None:
            return [self.opened] * count
        prompts = columns.get("prompts") or [None] * count
        return [isinstance(prompt, str) and ends_opened(prompt) for prompt in prompts]

    def _truths(self, columns: Mapping[str, Any]) -> list[Any]:
        if self.ground_truth in columns:
            return list(columns[self.ground_truth])
        if "reward_model" not in columns:
            raise UserError(f"the dataset has neither a column {self.ground_truth!r} nor verl's 'reward_model'")
        return [(row or {}).get("ground_truth") for row in columns["reward_model"]]

    def _log(self, scores: Scores, engine: RewardEngine, columns: Mapping[str, Any]) -> None:
        if log_metric := columns.get("log_metric"):
            for part in PARTS:
                log_metric(f"rewards/{self.__name__}/{part}", float(getattr(scores, part).mean()))
        if log_extra := columns.get("log_extra"):
            firsts = [int(items[0]) if len(items) else -1 for items in scores.items]
            log_extra("recommended", [engine.catalogue.titles[item] if item >= 0 else "" for item in firsts])


def response_text(completion: Any) -> str:
    """A text as it is; of a list of messages what the assistant said, without tool calls and their results."""
    if isinstance(completion, str):
        return completion
    said = [message.get("content") or "" for message in completion if message.get("role") == "assistant"]
    return "\n".join(content if isinstance(content, str) else _blocks_text(content) for content in said)


def _blocks_text(blocks: Sequence[Mapping[str, Any]]) -> str:
    return "".join(block.get("text") or "" for block in blocks if block.get("type") == "text")
