"""The record of `bench/gpu.py` as JSON and as markdown tables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

Record = dict[str, Any]
NOTES = """\
TFLOP/s count the products that the task needs at least (forward 1, gradient of log-probs and GRPO step 3, frozen head
2; with half of the rows at zero advantage 1.5), for every form alike; share is of the GEMM rate of this run. Memory is
the peak beyond the inputs, with the gradients that the form returns. "x ours" is a form's time over that of our fastest
form in its table. Errors are against float64: logp, entropy and loss in nats, gradients relative. A form that is wrong
has no time. Weights are random: forms that skip small probabilities find less to skip than in a trained model.
"""


def file_name(record: Record) -> str:
    """gpu-<device>-<date>, in letters, digits and hyphens."""
    device = re.sub(r"[^a-z0-9]+", "-", record["environment"]["device"].lower()).strip("-")
    return f"{'smoke' if record['smoke'] else 'gpu'}-{device}-{record['environment']['date']}"


def write(record: Record, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"json": json.dumps(record, indent=1) + "\n", "md": markdown(record)}
    paths = []
    for ending, text in texts.items():
        path = folder / f"{file_name(record)}.{ending}"
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def markdown(record: Record) -> str:
    environment, limits = record["environment"], record["limits"]
    versions = ", ".join(f"{name} {v or 'absent'}" for name, v in environment["versions"].items())
    facts = ", ".join(f"{k} {v}" for k, v in environment.items() if k not in ("device", "versions"))
    parts = [f"# {environment['device']}: the training ops"]
    if record["smoke"]:
        parts.append("**Smoke run: tiny shapes, to show that the script works. None of these times means anything.**")
    rates = "; ".join(
        f"{when}: GEMM {each['gemm_tflops']:.4g} TFLOP/s ({each['gemm_size']} cubed), copy {each['copy_gb_s']:.4g} GB/s"
        for when, each in limits.items()
    )
    if "stopped" in record:
        parts.append(f"**The run stopped early: {record['stopped']}**")
    parts += [f"{facts}.\n{versions}.\nMeasured {rates}. Inputs {record['dtype']}.", NOTES.rstrip()]
    parts += [
        checks(record["checks"]),
        *ops(record["ops"], limits.get("before", {}).get("gemm_tflops", 0.0)),
        whole(record["step"]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def checks(records: Sequence[Record]) -> str:
    """How many checks of the ops hold, and those that do not."""
    failed = [r for r in records if not r["ok"]]
    head = f"## Checks\n\n{len(records) - len(failed)} of {len(records)} hold."
    rows = [[r["check"], r["dtype"], f"{r['tokens']}", r.get("reason") or errors(r)] for r in failed]
    return head + ("\n\n" + table(["check", "dtype", "tokens", "found"], rows) if rows else "")


def ops(records: Iterable[Record], gemm_tflops: float) -> list[str]:
    """A table for each model, number of tokens and task."""
    head = ["form", "ms", "TFLOP/s", "share", "peak MB", "x ours", "errors"]

    def key(record: Record) -> tuple[str, int, str]:
        return record["model"], record["tokens"], record["task"]

    parts = []
    for (model, tokens, task), group in groupby(records, key):
        rows = [op_row(record, gemm_tflops) for record in group if record["status"] != "absent"]
        parts.append(f"## {task}: {model}, {tokens} tokens\n\n" + table(head, rows))
    return [*parts, absent(records)]


def op_row(record: Record, gemm_tflops: float) -> list[str]:
    if record["status"] != "ok":
        return [record["form"], record["status"], *[""] * 4, record["reason"]]
    rate = record.get("tflops")
    return [
        record["form"],
        f"{record['ms']:.3f}",
        "" if rate is None else f"{rate:.1f}",
        "" if rate is None else f"{100 * rate / gemm_tflops:.0f} %",
        number(record["peak_mb"]),
        f"{record['times_ours']:.2f}" if "times_ours" in record else "",
        errors(record),
    ]


def absent(records: Iterable[Record]) -> str:
    """Every form that took no part, once for every reason."""
    found = dict.fromkeys((r["form"], r["reason"]) for r in records if r["status"] == "absent")
    return "## Not taking part\n\n" + table(["form", "reason"], [list(pair) for pair in found]) if found else ""


def whole(records: Sequence[Record]) -> str:
    if not records:
        return ""
    first = records[0]
    about = (
        f"{first['parameters'] / 1e9:.2f} billion random parameters, {first['layers']} layers, {first['tokens']} "
        f"tokens in sequences of {first['length']}, gradient checkpointing {'on' if first['checkpointing'] else 'off'}."
    )
    rows = [
        [r["form"], f"{r['ms']:.1f}", number(r["peak_mb"]), f"{r['loss_difference']:.1e}"]
        if r["status"] == "ok"
        else [r["form"], r["status"], "", r["reason"]]
        for r in records
    ]
    return f"## Whole step\n\n{about}\n\n" + table(["form", "ms", "peak MB", "loss against ours"], rows)


def errors(record: Record) -> str:
    return ", ".join(f"{name} {error:.1e}" for name, error in record["errors"].items())


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
