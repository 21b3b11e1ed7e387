"""The page: template, style, script, chart library and data in one file."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from rerec_engine.files import write_text
from rerec_engine.report.run import ROLLOUT_BYTES, read_run


def write_report(*runs: Path, output: Path | None = None, tokenizer: Any = None) -> Path:
    """Write the report of one run, or of two side by side; returns where it is.

    tokenizer: the runs'; None: each run's own is loaded from its directory.

    Raises UserError for a directory without a run in it, a broken file, and a place that cannot be written.
    """
    data = {"runs": [read_run(run, ROLLOUT_BYTES // len(runs), tokenizer) for run in runs]}
    path = output or runs[0] / "report.html"
    write_text(path, render(data))
    return path


def render(data: dict[str, Any]) -> str:
    """The page with its data. Text of a model or a dataset is in the data alone, where nothing can end the script."""
    assets = files("rerec_engine.report") / "assets"
    names = ("page.html", "style.css", "uPlot.min.css", "uPlot.iife.min.js", "charts.js", "rollouts.js", "app.js")
    parts = {name.replace(".", "_"): (assets / name).read_text(encoding="utf-8") for name in names}
    page = Environment(undefined=StrictUndefined, autoescape=True).from_string(parts.pop("page_html"))
    return page.render(title=" and ".join(run["name"] for run in data["runs"]), data=embedded(data), parts=parts)


def embedded(data: dict[str, Any]) -> str:
    """JSON that may stand in a script element: no `<`, and none of the line ends that JavaScript knows beyond JSON."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text
