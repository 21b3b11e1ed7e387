"""The training ops on the CPU, float32, all cores, against plain torch, torch.compile and Liger's CPU form.

Inputs are random. Every result is compared with float64 before anything is timed: ours must keep what docs/kernels.md
promises, and a peer that is wrong is reported with its error and not timed. The forms of a group are timed in turn,
round by round, so that a busy moment meets all of them; times are medians. Memory is the peak of a call beyond what
there was before it, its results included.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.common.memory import extra_mb
from bench.common.timing import benchmarked
from bench.ops.peers.case import ACCEPTED, PROMISED, Case, Op, Result, Truth, Unavailable, faults, make_case
from bench.ops.peers.forms import FORMS, SKIPPING, Form, Run, is_ours, surrogate
from bench.ops.peers.segments import make_segments, segments_of_tokens, segments_ours
from rerec_engine.ops import grpo_loss

Say = Callable[[str], None]
SHAPES = {"2048x256x8192": (2048, 256, 8192, 8), "1024x1536x32000": (1024, 1536, 32000, 8)}  # T, H, V, sequences
TEMPERATURE = 0.8
FORWARD = ("ours", "torch eager", "torch.compile", "Liger scaled CE", "verl torch", "TRL chunked")
STEP = ("ours", "torch eager", "torch.compile", "Liger fused GRPO")
ROUNDS = {"2048x256x8192": 9, "1024x1536x32000": 5}


@pytest.fixture(autouse=True)
def all_cores() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    yield
    torch.set_num_threads(before)


def cases(zero_share: float = 0.0) -> dict[str, Callable[[], Case]]:
    return {
        name: lambda t=t, h=h, v=v, b=b: make_case(t, h, v, b, zero_share=zero_share, temperature=TEMPERATURE)
        for name, (t, h, v, b) in SHAPES.items()
    }


def right(case: Case, truth: Truth, op: Op, forms: Mapping[str, Form], say: Say, label: str) -> dict[str, Run]:
    """The forms that can be run and are right, by name; ours must be."""
    kept = {}
    for name, form in forms.items():
        try:
            run = form(case)
            errors = truth.errors(case, op, run())
        except Unavailable as reason:
            say(f"{label}, {name}: left out: {reason}")
            continue
        wrong = faults(errors, case.hidden.dtype, PROMISED if is_ours(name) else ACCEPTED)
        if is_ours(name):
            assert not wrong, f"{label}, {name}: {wrong}"
        if wrong:
            say(f"{label}, {name}: WRONG, not timed: {wrong}")
        else:
            kept[name] = run
    return kept


def interleaved(benchmark: BenchmarkFixture, runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each, all of which have run; the first is the fixture's, the others run between its rounds."""
    first, *others = runs
    seconds: dict[str, list[float]] = {name: [] for name in others}

    def between() -> None:
        for name in others:
            begin = time.perf_counter()
            runs[name]()
            seconds[name].append(time.perf_counter() - begin)

    benchmark.pedantic(runs[first], setup=between, rounds=rounds)
    return {first: benchmarked(benchmark)} | {name: statistics.median(times) for name, times in seconds.items()}


def report(
    benchmark: BenchmarkFixture,
    say: Say,
    label: str,
    runs: Mapping[str, Callable[[], object]],
    targets: Mapping[str, float],
    rounds: int,
) -> dict[str, float | None]:
    """Time and weigh, store and print; `targets`: at most this share of that form's time is what ours is to take.
    Gives the extra MB of each."""
    mb = {name: extra_mb(run, warm=True) for name, run in runs.items()}
    seconds = interleaved(benchmark, runs, rounds)
    ours = next(iter(runs))
    for name, each in seconds.items():
        ratio, target = seconds[ours] / each, targets.get(name)
        benchmark.extra_info[name] = {"ms": each * 1e3, "extra MB": mb[name], "ours / it": ratio, "target": target}
        weight = "" if mb[name] is None else f", {mb[name]:.1f} MB"
        aim = "" if name == ours else f"; ours takes {ratio:.2f} of it" + (f" (target {target})" if target else "")
        say(f"{label}, {name}: {each * 1e3:.1f} ms{weight}{aim}")
    return mb


def bare_gemm(case: Case) -> Run:
    """The matrix product alone, into a buffer that exists before."""
    out = torch.empty(case.tokens, case.weight.shape[0])

    def run() -> Result:
        torch.mm(case.hidden, case.weight.T, out=out)
        return {}

    return run


def chosen(forms: Mapping[str, Form], names: tuple[str, ...]) -> dict[str, Form]:
    return {name: forms[name] for name in names}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.benchmark(group="token_logprob, forward")
def test_token_logprob(benchmark: BenchmarkFixture, say: Say, shape: str) -> None:
    case = cases()[shape]()
    label = f"token_logprob {shape}"
    with torch.no_grad():
        runs = right(case, Truth.of(case), "logprob", chosen(FORMS["logprob"], FORWARD), say, label)
        runs["GEMM alone"] = bare_gemm(case)
        mb = report(benchmark, say, label, runs, {"GEMM alone": 1.1}, ROUNDS[shape])
    say(f"{label}, ours: {mb['ours']} MB beyond the inputs (target 4)")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.benchmark(group="GRPO, forward and backward")
def test_grpo_step(benchmark: BenchmarkFixture, say: Say, shape: str) -> None:
    case = cases()[shape]()
    label = f"GRPO step {shape}"
    runs = right(case, Truth.of(case), "grpo", chosen(FORMS["grpo"], STEP), say, label)
    targets = {"torch eager": 0.75, "Liger fused GRPO": 0.65}
    mb = report(benchmark, say, label, runs, targets, ROUNDS[shape])
    if mb["ours"] is not None and mb["torch eager"]:
        share = mb["ours"] / mb["torch eager"]
        benchmark.extra_info["memory, ours / torch eager"] = share
        say(f"{label}: {share:.3f} of torch eager's extra memory (target 0.1 at {next(iter(SHAPES))})")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.benchmark(group="GRPO, half of the rows at zero advantage")
def test_half_of_the_rows(benchmark: BenchmarkFixture, say: Say, shape: str) -> None:
    """ "rows skipped" computes nothing of such rows; plain "ours" computes their log-probs for the metrics."""
    case = cases(zero_share=0.5)[shape]()
    label = f"GRPO step, half at zero, {shape}"
    forms = {"ours, rows skipped": SKIPPING["ours, rows skipped"], **chosen(FORMS["grpo"], ("ours", "torch eager"))}
    runs = right(case, Truth.of(case), "grpo", forms, say, label)
    report(benchmark, say, label, runs, {"torch eager": 0.45}, ROUNDS[shape])


@pytest.mark.benchmark(group="segment advantage of 400,000 tokens")
def test_segment_advantage(benchmark: BenchmarkFixture, say: Say) -> None:
    """Against the same statistics from tokens: rewards expanded, then summed by group."""
    batch = make_segments(responses=1024, segments=12, tokens=400_000)
    expected = segments_of_tokens(batch, torch.float64)
    runs: dict[str, Callable[[], object]] = {
        "ours": lambda: segments_ours(batch),
        "token by token": lambda: segments_of_tokens(batch, torch.float32),
    }
    torch.testing.assert_close(segments_ours(batch).double(), expected, rtol=0, atol=1e-5)
    error = float((segments_of_tokens(batch, torch.float32) - expected).abs().max())
    benchmark.extra_info["error of token by token"] = error
    report(benchmark, say, f"segment_advantage {len(expected)} tokens", runs, {"token by token": 0.1}, 51)
    say(f"segment_advantage: token by token in float32 is off by up to {error:.1e}, ours by at most 1e-5")


@pytest.mark.benchmark(group="grpo_loss of 65,536 tokens, forward and backward")
def test_grpo_loss(benchmark: BenchmarkFixture, say: Say) -> None:
    """The loss from log-probs. Plain torch gives the loss alone, ours its metrics as well."""
    tokens = 65_536
    make = torch.Generator().manual_seed(0)
    logp, noise, adv = (torch.randn(tokens, generator=make) for _ in "abc")
    old = logp + 0.05 * noise

    def gradient(loss: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]) -> torch.Tensor:
        x = logp.detach().requires_grad_()
        loss(x, old, adv).backward()
        assert x.grad is not None
        return x.grad

    runs = {
        "ours": lambda: gradient(lambda x, o, a: grpo_loss(x, o, None, a)[0]),
        "torch eager": lambda: gradient(surrogate),
    }
    torch.testing.assert_close(runs["ours"](), runs["torch eager"](), rtol=1e-5, atol=1e-9)
    report(benchmark, say, f"grpo_loss {tokens} tokens", runs, {}, 51)
