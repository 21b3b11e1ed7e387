"""The warm start: supervised fine-tuning on a dataset's reasoning traces, phase by phase in the file's order."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rerec_engine.cli import progress_bar
from rerec_engine.config import Config
from rerec_engine.data.traces import read_traces
from rerec_engine.errors import Stopped, file_error
from rerec_engine.files import replacing
from rerec_engine.heap import give_back
from rerec_engine.model.disk import disk_errors
from rerec_engine.model.memory import checkpointed
from rerec_engine.model.policy import Policy
from rerec_engine.model.sequences import Row
from rerec_engine.runs.run_directory import WARM_START_LOG, RunDir
from rerec_engine.training.fitting import PASS_TOKENS
from rerec_engine.training.interrupt import Interrupt
from rerec_engine.training.warm_start_recipe import (
    Optimizers,
    make_optimizers,
    set_rates,
    start_of,
    warmup_steps,
)

WINDOW = 16
SAVE_SECONDS = 300.0
"""Between two savings of the state, which is three times the model."""
GIVE_BACK = 8
"""Updates after which free memory goes back to the kernel."""


def warm_start(policy: Policy, path: Path, config: Config, run: RunDir) -> None:
    """Fine-tune `policy` in place on the traces of `path` (`warm_start.parquet`).

    The loss of an update is the mean negative log-prob of its responses' tokens; optimizers and rates are those of
    `warm_start_recipe`. Each update is a line of `warm_start.jsonl`.

    Asked to stop, and every `SAVE_SECONDS`, it keeps its state in the run directory, from which it goes on exactly.
    Raises Stopped where it was asked to stop.
    """
    settings = config.warm_start
    phases = _encode(policy, path, settings.examples)
    rng = np.random.default_rng([config.seed, 3])
    cut = _even_batches if policy.packed else _batches
    batches = [
        batch for _ in range(settings.epochs) for rows in phases for batch in cut(rows, settings.tokens_per_batch, rng)
    ]
    start = start_of(policy, pretrained=config.model.path is not None)
    optimizers = make_optimizers(policy.model, start, settings)
    warmup = warmup_steps(settings, start, len(batches))
    first = _load_state(run.warm_start, policy, optimizers)
    run.cut_lines(WARM_START_LOG, first)
    saved = time.monotonic()
    with Interrupt() as interrupt, progress_bar(len(batches), "warm start", "step", initial=first) as progress:
        for step, rows in enumerate(batches[first:], first):
            began = time.monotonic()
            share = set_rates(optimizers, step, len(batches), warmup)
            loss = _accumulate(policy, rows, config.train.tokens_per_micro_batch or PASS_TOKENS)
            norm = torch.nn.utils.clip_grad_norm_(policy.model.parameters(), 1.0)
            for optimizer, _ in optimizers:
                optimizer.step()
                optimizer.zero_grad()
            tokens, seconds = sum(map(_length, rows)), time.monotonic() - began
            record = {"step": step + 1, "steps": len(batches), "loss": loss, "grad_norm": float(norm)}
            rates = {"learning_rate": optimizers[-1][1] * share, "tokens": tokens, "seconds": seconds}
            run.log(WARM_START_LOG, record | rates)
            progress.set_postfix_str(f"loss {loss:.3f}, {tokens / seconds:.0f} tokens/s", refresh=False)
            progress.update()
            asked = interrupt.asked
            if asked or time.monotonic() - saved > SAVE_SECONDS:
                _save_state(run.warm_start, step + 1, policy, optimizers)
                saved = time.monotonic()
            if (step + 1) % GIVE_BACK == 0:
                give_back()
            if asked:
                told = f"stopped in step {step + 1} of {len(batches)} of the warm start"
                raise Stopped(f"{told}; continue with --resume {run.path}", interrupt.exit_code)


def _accumulate(policy: Policy, rows: list[Row], micro_tokens: int) -> float:
    """Gradients of one update, pass by pass; returns its loss."""
    tokens, total = sum(len(response) for _, response in rows), 0.0
    with checkpointed(policy.model):
        for part in _micro_batches(rows, micro_tokens, policy.packed):
            logp, _ = policy.token_logprobs(part, return_entropy=False)
            loss = -logp.sum() / tokens
            loss.backward()
            total += float(loss.detach())
    return total


def _save_state(path: Path, step: int, policy: Policy, optimizers: Optimizers) -> None:
    trained = {name: p.detach() for name, p in policy.model.named_parameters() if p.requires_grad}
    state = {"step": step, "model": trained, "optimizers": [o.state_dict() for o, _ in optimizers]}
    with replacing(path) as temporary, disk_errors(temporary), temporary.open("wb") as file:
        torch.save(state, file)


def _load_state(path: Path, policy: Policy, optimizers: Optimizers) -> int:
    """Go on where `_save_state` was; returns the steps done, 0 without a state."""
    if not path.is_file():
        return 0
    state = torch.load(path, map_location=policy.device, weights_only=True)
    policy.model.load_state_dict(state["model"], strict=False)  # tied weights once, of an adapted model the adapter
    for (optimizer, _), own in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(own)
    return int(state["step"])


def _batches(rows: list[Row], tokens: int, rng: np.random.Generator) -> Iterator[list[Row]]:
    """One pass over a phase in random order: batches of about `tokens` tokens, rows of similar length together."""
    order = rng.permutation(len(rows))
    mean = max(1, round(sum(map(_length, rows)) / len(rows)))
    size = max(1, tokens // mean)
    for start in range(0, len(order), WINDOW * size):
        window = sorted(order[start : start + WINDOW * size], key=lambda i: _length(rows[i]))
        cut = [window[i : i + size] for i in range(0, len(window), size)]
        for i in rng.permutation(len(cut)):
            yield [rows[j] for j in cut[i]]


def _even_batches(rows: list[Row], tokens: int, rng: np.random.Generator) -> Iterator[list[Row]]:
    """One pass over a phase in random order: batches of about `tokens` tokens, of whatever lengths."""
    order = rng.permutation(len(rows))
    ends = np.cumsum([_length(rows[i]) for i in order])
    count = max(1, round(ends[-1] / tokens))
    batch = np.minimum((ends - 1) * count // ends[-1], count - 1)
    for _, members in groupby(zip(batch, order, strict=True), key=lambda pair: pair[0]):
        yield [rows[i] for _, i in members]


def _micro_batches(rows: list[Row], tokens: int, packed: bool) -> Iterator[list[Row]]:
    """The rows, in their order, in passes of at most `tokens` tokens, padding included; a longer row has its own."""
    part: list[Row] = []
    for row in rows:
        more = [*part, row]
        size = sum(map(_length, more)) if packed else len(more) * max(map(_length, more))
        if part and size > tokens:
            yield part
            more = [row]
        part = more
    yield part


def _length(row: Row) -> int:
    return len(row[0]) + len(row[1])


def _encode(policy: Policy, path: Path, examples: int = 0) -> list[list[Row]]:
    """Prompt and response ids of the first `examples` traces, by phase; 0: of all."""
    tokenizer: Any = policy.tokenizer
    traces = read_traces(path)[: examples or None]
    if not traces:
        raise file_error(path, "holds no trace, but warm_start.epochs is not 0")
    prompts = [policy.chat.render(trace.prompt) for trace in traces]
    prompt_ids = tokenizer(prompts, add_special_tokens=False)["input_ids"]
    response_ids = tokenizer([trace.response for trace in traces], add_special_tokens=False)["input_ids"]
    end = policy.turn_end
    rows = [(prompt, np.array([*response, end])) for prompt, response in zip(prompt_ids, response_ids, strict=True)]
    labelled = zip((trace.phase for trace in traces), rows, strict=True)
    return [[row for _, row in group] for _, group in groupby(labelled, key=lambda pair: pair[0])]
