"""The warm start: supervised fine-tuning on a dataset's reasoning traces, clean ones first, then biased ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from rerec_engine.config import WarmStartConfig
from rerec_engine.data.traces import PHASES, read_traces
from rerec_engine.errors import file_error
from rerec_engine.policy import Policy, Row

WARMUP_STEPS = 50
FINAL_SHARE = 0.1
WINDOW = 16


def warm_start(policy: Policy, path: Path, config: WarmStartConfig, seed: int) -> None:
    """Fine-tune `policy` in place on the traces of `path` (`warm_start.parquet`).

    AdamW with a linear warm-up over 50 steps and a linear decay to a tenth of the learning rate; the loss is the mean
    negative log-prob of the responses' tokens.
    """
    steps = config.clean_steps + config.biased_steps
    batches = _batches(policy, path, config, seed)
    optimizer = torch.optim.AdamW(
        policy.model.parameters(), lr=config.learning_rate, weight_decay=0.01, betas=(0.9, 0.98), fused=True
    )
    bar = tqdm(range(steps), desc="warm start", unit="step", mininterval=1.0)
    for step in bar:
        decay = FINAL_SHARE + (1 - FINAL_SHARE) * (1 - step / steps)
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * min(1.0, (step + 1) / WARMUP_STEPS) * decay
        logp, _ = policy.token_logprobs(next(batches), return_entropy=False)
        loss = -logp.mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 10 == 0 or step == steps - 1:
            bar.set_postfix(loss=f"{loss.item():.3f}")


def _batches(policy: Policy, path: Path, config: WarmStartConfig, seed: int) -> Iterator[list[Row]]:
    """Batches of the clean phase, then of the biased one; those of similar length lie together, in random order."""
    rows = _encode(policy, path)
    rng = np.random.default_rng([seed, 3])
    for phase, steps in zip(PHASES, (config.clean_steps, config.biased_steps), strict=True):
        if steps and not rows[phase]:
            raise file_error(path, f"has no {phase} trace, but warm_start.{phase}_steps is {steps}")
        drawn = 0
        while drawn < steps:
            order = rng.permutation(len(rows[phase]))
            for start in range(0, len(order), WINDOW * config.batch):
                window = sorted(order[start : start + WINDOW * config.batch], key=lambda i: _length(rows[phase][i]))
                cut = [window[i : i + config.batch] for i in range(0, len(window), config.batch)]
                for i in rng.permutation(len(cut)):
                    yield [rows[phase][j] for j in cut[i]]
                    drawn += 1
                    if drawn == steps:
                        break
                if drawn == steps:
                    break


def _length(row: Row) -> int:
    return len(row[0]) + len(row[1])


def _encode(policy: Policy, path: Path) -> dict[str, list[Row]]:
    tokenizer: Any = policy.tokenizer
    traces = read_traces(path)
    prompts = [
        tokenizer.apply_chat_template(trace.prompt, add_generation_prompt=True, tokenize=False) for trace in traces
    ]
    prompt_ids = tokenizer(prompts, add_special_tokens=False)["input_ids"]
    response_ids = tokenizer([trace.response for trace in traces], add_special_tokens=False)["input_ids"]
    rows: dict[str, list[Row]] = {phase: [] for phase in PHASES}
    end = tokenizer.eos_token_id
    for trace, prompt, response in zip(traces, prompt_ids, response_ids, strict=True):
        rows[trace.phase].append((prompt, np.array(response + [end])))
    return rows
