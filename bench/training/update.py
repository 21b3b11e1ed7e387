"""The update of a model of SmolLM2's shape (135 M parameters, random weights): where its processor time goes.

    python -m bench.training.update [--dtype fp32|bf16] [--queries 2] [--rounds 3] [--output FILE]

Groups of a prompt of 360 tokens and eight responses of 55. Three ways in turn: MKL's products and SDPA block by block,
as torch alone would have it; oneDNN's products; and attention in tiles besides. Where oneDNN is no faster on this
processor there is one way. Gradients of all ways are compared in fp32 before. Processor time of the process, medians
over rounds and of the ratios within a round, so that other processes disturb little. The rate of products alone is that
of the model's largest layer, taken in every round too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from bench.rollout.pretrained import make_policy
from rerec_engine.config import Config, LossConfig, ModelConfig, TrainConfig
from rerec_engine.model import packed_attention
from rerec_engine.model.policy import DTYPES, Policy
from rerec_engine.ops.native import head, onednn, products
from rerec_engine.runs.environment import processor
from rerec_engine.training.batches import TrainingBatch
from rerec_engine.training.update import Updater

PROMPT, RESPONSE, RESPONSES, VOCABULARY = 360, 55, 8, 49152
WAYS = {"torch alone": (False, False), "oneDNN's products": (True, False), "and attention in tiles": (True, True)}
"""Whether products go through oneDNN, whether attention goes in tiles."""
AGREE = 1e-4
"""Norm of the difference of two ways' gradients, as a share of the norm."""


def make_batch(queries: int) -> TrainingBatch:
    rng = np.random.default_rng(0)
    responses = queries * RESPONSES
    tokens = responses * RESPONSE
    return TrainingBatch(
        queries=[None] * queries,  # type: ignore[list-item]
        prompt_ids=[rng.integers(VOCABULARY, size=PROMPT).tolist() for _ in range(queries)],
        token_ids=torch.from_numpy(rng.integers(VOCABULARY, size=tokens)),
        cu_seqlens=torch.arange(responses + 1) * RESPONSE,
        group=torch.arange(queries).repeat_interleave(RESPONSES),
        rollout_logprobs=torch.full((tokens,), -10.8),
        finish=["stop"] * responses,
        weight_version=torch.zeros(responses, dtype=torch.long),
        scores={},
        token_rewards=torch.zeros(tokens),
        advantages=torch.from_numpy(rng.standard_normal(tokens)).float(),
        old_logprobs=torch.full((tokens,), -10.8),
    )


def as_mkl(dtype: torch.dtype) -> torch.dtype:
    """What the head multiplies bf16 as where MKL makes the products."""
    return dtype if dtype == torch.bfloat16 and products._gemm() is not None else torch.float32


def in_way(name: str, job: Callable[[], Any]) -> Any:
    """The result of a job with the products and the attention of a way."""
    through_onednn, tiled = WAYS[name]
    setting = onednn._setting()
    before = setting and setting.fp32_precision
    with ExitStack() as stack:
        if setting:
            stack.callback(setattr, setting, "fp32_precision", before)
            setting.fp32_precision = "bf16" if through_onednn else "none"
        if not through_onednn:
            stack.enter_context(patch.object(head, "operand_dtype", as_mkl))
        stack.enter_context(patch.object(packed_attention, "with_onednn", lambda: tiled))
        return job()


def seconds(job: Callable[[], Any]) -> float:
    """Of the processor, all threads."""
    before = time.process_time()
    job()
    return time.process_time() - before


def product_rate(dtype: torch.dtype) -> float:
    """GFLOP a second of the processor, [2048, 576] by [576, 1536]."""
    x, weight = torch.randn(2048, 576).to(dtype), torch.randn(1536, 576).to(dtype)
    job = lambda: [torch.nn.functional.linear(x, weight) for _ in range(10)]  # noqa: E731
    job()
    return 10 * 2 * 2048 * 576 * 1536 / min(seconds(job) for _ in range(3)) / 1e9


def operations(policy: Policy, batch: TrainingBatch) -> float:
    """Of an update's products in GFLOP: six a weight and token in the layers, and in the head a response's token."""
    layers = sum(p.numel() for name, p in policy.model.named_parameters() if ".layers." in name)
    laid = len(batch.queries) * PROMPT + len(batch.token_ids)
    return 6 * (layers * laid + policy.head.numel() * len(batch.token_ids)) / 1e9


def make_updater(dtype: torch.dtype, queries: int) -> Updater:
    policy = make_policy(dtype)
    policy.prepare(ModelConfig(gradient_checkpointing=False), 0)
    train = TrainConfig(queries_per_update=queries, tokens_per_micro_batch=2048)
    return Updater(policy, Config(loss=LossConfig(beta=0.0), train=train), None, None)


def check(ways: list[str]) -> dict[str, float]:
    """Of the ways' gradients from the first way's, in fp32: asserted, then returned."""
    updater, batch = make_updater(torch.float32, 1), make_batch(1)

    def gradients() -> torch.Tensor:
        updater.policy.model.zero_grad()
        updater._accumulate(batch, batch.rows)
        return torch.cat([p.grad.flatten() for p in updater.policy.model.parameters() if p.grad is not None])

    truth = in_way(ways[0], gradients)
    apart = {way: float((in_way(way, gradients) - truth).norm() / truth.norm()) for way in ways[1:]}
    assert all(x < AGREE for x in apart.values()), apart
    return apart


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dtype", choices=sorted(DTYPES), default="bf16")
    parser.add_argument("--queries", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    dtype = DTYPES[options.dtype]
    ways = list(WAYS) if onednn.beats_mkl() else list(WAYS)[:1]
    apart = check(ways)
    updater, batch = make_updater(dtype, options.queries), make_batch(options.queries)
    taken: dict[str, list[float]] = {way: [] for way in ways}
    rates = []
    for _ in range(options.rounds + 1):
        for way in ways:
            taken[way].append(in_way(way, lambda: seconds(lambda: updater.update(batch, 1))))
        rates.append(in_way(ways[-1], lambda: product_rate(dtype)))
    work = operations(updater.policy, batch)
    rate = statistics.median(rates)
    told: dict[str, Any] = {"processor": processor(), "cores": os.cpu_count(), "torch": torch.__version__}
    told |= {"threads": torch.get_num_threads(), "dtype": options.dtype, "queries": options.queries}
    told |= {"product_gflops": round(rate), "gradients_apart": apart, "ways": {}}
    for way in ways:
        own = taken[way][1:]  # the first sets up
        ratios = [first / second for first, second in zip(taken[ways[0]][1:], own, strict=True)]
        told["ways"][way] = {
            "seconds": round(statistics.median(own), 2),
            "times_as_fast": round(statistics.median(ratios), 2),
            "share_of_the_products_rate": round(work / statistics.median(own) / rate, 2),
        }
    text = json.dumps(told, indent=2)
    print(text)
    if options.output is not None:
        options.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
