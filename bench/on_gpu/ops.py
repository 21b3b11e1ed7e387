"""The ops at the shapes of real models: each form is compared with float64, then timed and weighed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from bench.on_gpu.clock import Clock, outcome
from bench.ops.peers.case import ACCEPTED, NAMES, ON_TENSOR_CORES, Case, Op, Truth, Unavailable, faults, make_case
from bench.ops.peers.forms import FORMS, SKIPPING, Form, is_ours, surrogate
from bench.ops.peers.segments import make_segments, segments_of_tokens, segments_ours
from rerec_engine.ops import grpo_loss

Record = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    model: str
    width: int  # H
    vocabulary: int  # V
    tokens: tuple[int, ...]  # T, each a multiple of `length`
    length: int  # tokens a sequence


@dataclass(frozen=True)
class Task:
    """An op as one table: which forms, over which inputs, and the products with all logits that it needs at least."""

    name: str
    op: Op
    forms: Mapping[str, Form]
    products: float
    zero_share: float = 0.0


TASKS = (
    Task("token_logprob, forward", "logprob", FORMS["logprob"], 1),
    Task("token_logprob, forward + backward", "logprob_grad", FORMS["logprob_grad"], 3),
    Task("GRPO step", "grpo", FORMS["grpo"], 3),
    Task("GRPO step, frozen head", "grpo_frozen", FORMS["grpo_frozen"], 2),
    Task("GRPO step, half of the rows at zero advantage", "grpo", FORMS["grpo"] | SKIPPING, 1.5, zero_share=0.5),
)


def measure_ops(clock: Clock, shapes: tuple[Shape, ...], dtype: torch.dtype) -> Iterator[Record]:
    """A record for every model, number of tokens, task and form."""
    for shape in shapes:
        for tokens in shape.tokens:
            for share in sorted({task.zero_share for task in TASKS}):
                sequences = tokens // shape.length
                about = {"model": shape.model, "tokens": tokens, "width": shape.width, "vocabulary": shape.vocabulary}
                case = make_case(tokens, shape.width, shape.vocabulary, sequences, clock.device, dtype, share)
                truth = Truth.of(case)
                clock.release()
                for task in (task for task in TASKS if task.zero_share == share):
                    for record in measure_task(clock, case, truth, task):
                        yield about | record
                del case, truth
                clock.release()


def measure_task(clock: Clock, case: Case, truth: Truth, task: Task) -> list[Record]:
    records = [measure_form(clock, case, truth, task, name, form) for name, form in task.forms.items()]
    return with_ratios(records)


def measure_form(clock: Clock, case: Case, truth: Truth, task: Task, name: str, form: Form) -> Record:
    """`status`: ok, wrong (no time), OOM, absent (a library that is not there or cannot take part) or error."""
    record: Record = {"task": task.name, "form": name, "status": "ok"}
    with outcome(record, clock):
        try:
            run = form(case)
            result = run()
        except Unavailable as reason:
            return record | {"status": "absent", "reason": str(reason)}
        record["errors"] = truth.errors(case, task.op, result)
        del result
        wrong = faults(record["errors"], case.hidden.dtype, ON_TENSOR_CORES if is_ours(name) else ACCEPTED)
        if wrong:
            return record | {"status": "wrong", "reason": ", ".join(f"{k} {v:.1e}" for k, v in wrong.items())}
        record["peak_mb"] = clock.peak_mb(run)
        record["ms"] = clock.ms(run)
        record["tflops"] = task.products * case.gemm_flop() / record["ms"] / 1e9
    return record


def measure_small(clock: Clock, tokens: tuple[int, ...]) -> Iterator[Record]:
    """`grpo_loss` and `segment_advantage`, which work on tokens alone."""
    for count in tokens:
        tables = {"grpo_loss": _losses(count, clock.device), "segment_advantage": _segments(count, clock.device)}
        for task, forms in tables.items():
            records = []
            for name, (run, truth, limit) in forms.items():
                record: Record = {"model": "tokens alone", "tokens": count, "task": task, "form": name, "status": "ok"}
                with outcome(record, clock):
                    difference = (run().double() - truth).abs().max() / truth.abs().max()
                    record["errors"] = {"relative": float(difference)}
                    if not difference <= limit:
                        record |= {"status": "wrong", "reason": f"relative {float(difference):.1e}"}
                    else:
                        record["peak_mb"], record["ms"] = clock.peak_mb(run), clock.ms(run)
                records.append(record)
            yield from with_ratios(records)


Small = dict[str, tuple[Callable[[], torch.Tensor], torch.Tensor, float]]
"""By form: what is run, what float64 gives, and by how much of its largest value the two may differ."""


def _losses(tokens: int, device: torch.device) -> Small:
    """The gradient of log-probs; plain torch gives the loss alone, ours its metrics as well."""
    make = torch.Generator(device).manual_seed(0)
    logp, noise, adv = (torch.randn(tokens, generator=make, device=device) for _ in "abc")
    old = logp + 0.05 * noise

    def gradient(loss: Callable[..., torch.Tensor], dtype: torch.dtype = torch.float32) -> torch.Tensor:
        x = logp.to(dtype, copy=True).requires_grad_()
        loss(x, old.to(dtype), adv.to(dtype)).backward()
        assert x.grad is not None
        return x.grad

    truth = gradient(surrogate, torch.float64)
    compiled = torch.compile(surrogate, dynamic=False)
    return {
        "ours": (lambda: gradient(lambda x, o, a: grpo_loss(x, o, None, a)[0]), truth, 1e-5),
        "torch eager": (lambda: gradient(surrogate), truth, 1e-3),
        "torch.compile": (lambda: gradient(compiled), truth, 1e-3),
    }


def _segments(tokens: int, device: torch.device) -> Small:
    batch = make_segments(responses=max(8, tokens // 400), segments=12, tokens=tokens).to(device)
    truth = segments_of_tokens(batch, torch.float64)
    return {
        "ours": (lambda: segments_ours(batch), truth, 1e-5),
        "token by token": (lambda: segments_of_tokens(batch, torch.float32), truth, 1e-2),
    }


def with_ratios(records: list[Record]) -> list[Record]:
    """`times_ours`: the form's time over that of our fastest form which does the same."""
    fastest = min((r["ms"] for r in records if is_ours(r["form"]) and "ms" in r), default=None)
    return [r | {"times_ours": r["ms"] / fastest} if fastest and "ms" in r else r for r in records]


def dtype_name(dtype: torch.dtype) -> str:
    return NAMES[dtype]


def line(record: Record) -> str:
    head = f"{record['model']}, {record['tokens']} tokens, {record['task']}, {record['form']}"
    if "ms" not in record:
        return f"{head}: {record['status']}: {record.get('reason', '')}"
    rate = f", {record['tflops']:.1f} TFLOP/s" if "tflops" in record else ""
    memory = "" if record["peak_mb"] is None else f", {record['peak_mb']:.0f} MB"
    ratio = f", {record['times_ours']:.2f}x ours" if "times_ours" in record else ""
    return f"{head}: {record['ms']:.3f} ms{rate}{memory}{ratio}"
