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
from rerec_engine.config import WarmStartConfig
from rerec_engine.data.traces import read_traces
from rerec_engine.errors import Stopped, file_error
from rerec_engine.files import replacing
from rerec_engine.model.policy import Policy
from rerec_engine.model.sequences import Row
from rerec_engine.runs.run_directory import RunDir
from rerec_engine.training.interrupt import Interrupt
from rerec_engine.training.muon import Muon

FINAL_SHARE = 0.1
WINDOW = 16
SAVE_SECONDS = 300.0
"""Between two savings of the state, which is three times the model."""


def warm_start(policy: Policy, path: Path, config: WarmStartConfig, seed: int, run: RunDir) -> None:
    """Fine-tune `policy` in place on the traces of `path` (`warm_start.parquet`).

    Muon for the layers' matrices, AdamW for the rest; linear warm-up, then linear decay to a tenth of the learning
    rate. The loss is the mean negative log-prob of the responses' tokens.

    Asked to stop, and every `SAVE_SECONDS`, it keeps its state in the run directory, from which it goes on exactly.
    Raises Stopped where it was asked to stop.
    """
    phases = _encode(policy, path)
    rng = np.random.default_rng([seed, 3])
    batches = [
        batch for _ in range(config.epochs) for rows in phases for batch in _batches(rows, config.tokens_per_batch, rng)
    ]
    optimizers = _optimizers(policy.model, config)
    first = _load_state(run.warm_start, policy, optimizers)
    saved = time.monotonic()
    with Interrupt() as interrupt, progress_bar(len(batches), "warm start", "step", initial=first) as progress:
        for step, rows in enumerate(batches[first:], first):
            decay = FINAL_SHARE + (1 - FINAL_SHARE) * (1 - step / len(batches))
            share = min(1.0, (step + 1) / max(1, config.warmup_steps)) * decay
            logp, _ = policy.token_logprobs(rows, return_entropy=False)
            loss = -logp.mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(policy.model.parameters(), 1.0)
            for optimizer, rate in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = rate * share
                optimizer.step()
                optimizer.zero_grad()
            if step % 10 == 0:
                progress.set_postfix_str(f"loss {loss.item():.3f}", refresh=False)
            progress.update()
            asked = interrupt.asked
            if asked or time.monotonic() - saved > SAVE_SECONDS:
                _save_state(run.warm_start, step + 1, policy, optimizers)
                saved = time.monotonic()
            if asked:
                told = f"stopped in step {step + 1} of {len(batches)} of the warm start"
                raise Stopped(f"{told}; continue with --resume {run.path}", interrupt.exit_code)


Optimizers = list[tuple[torch.optim.Optimizer, float]]
"""Optimizers and their learning rates."""


def _save_state(path: Path, step: int, policy: Policy, optimizers: Optimizers) -> None:
    state = {"step": step, "model": policy.model.state_dict(), "optimizers": [o.state_dict() for o, _ in optimizers]}
    with replacing(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:  # what torch makes of a full disk
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def _load_state(path: Path, policy: Policy, optimizers: Optimizers) -> int:
    """Go on where `_save_state` was; returns the steps done, 0 without a state."""
    if not path.is_file():
        return 0
    state = torch.load(path, map_location=policy.device, weights_only=True)
    policy.model.load_state_dict(state["model"])
    for (optimizer, _), own in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(own)
    return int(state["step"])


def _optimizers(model: torch.nn.Module, config: WarmStartConfig) -> Optimizers:
    embedding: Any = model
    tied = {id(embedding.get_input_embeddings().weight), id(embedding.get_output_embeddings().weight)}
    matrices = [p for p in model.parameters() if p.ndim == 2 and id(p) not in tied]
    rest = [p for p in model.parameters() if p.ndim != 2 or id(p) in tied]
    adamw = torch.optim.AdamW(rest, lr=config.learning_rate, weight_decay=0.01, betas=(0.9, 0.98), fused=True)
    return [(Muon(matrices, config.matrix_learning_rate), config.matrix_learning_rate), (adamw, config.learning_rate)]


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


def _length(row: Row) -> int:
    return len(row[0]) + len(row[1])


def _encode(policy: Policy, path: Path) -> list[list[Row]]:
    """Prompt and response ids of the traces, by phase."""
    tokenizer: Any = policy.tokenizer
    traces = read_traces(path)
    if not traces:
        raise file_error(path, "holds no trace, but warm_start.epochs is not 0")
    prompts = [policy.chat.render(trace.prompt) for trace in traces]
    prompt_ids = tokenizer(prompts, add_special_tokens=False)["input_ids"]
    response_ids = tokenizer([trace.response for trace in traces], add_special_tokens=False)["input_ids"]
    end = policy.turn_end
    rows = [(prompt, np.array([*response, end])) for prompt, response in zip(prompt_ids, response_ids, strict=True)]
    labelled = zip((trace.phase for trace in traces), rows, strict=True)
    return [[row for _, row in group] for _, group in groupby(labelled, key=lambda pair: pair[0])]
