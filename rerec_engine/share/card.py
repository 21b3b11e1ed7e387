"""The model card of a run: what was trained on what, how well it does, where it ends. From the run directory alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pyarrow.parquet as pq
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from rerec_engine.config import Config
from rerec_engine.data.dataset import Dataset, load_dataset
from rerec_engine.errors import UserError, file_error
from rerec_engine.files import write_text
from rerec_engine.metrics.report import with_interval
from rerec_engine.runs.records import read_records, token_count
from rerec_engine.runs.settings import PLACES, changed, read_yaml

TEMPLATE = Path(__file__).parent / "card.md"
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def write_card(run: Path) -> Path:
    """Write final/README.md of a run directory; returns its path. Raises UserError where there is no final model."""
    final = run / "final"
    if not (run / "config.yaml").is_file():
        raise file_error(run, "no config.yaml there; expected a run directory (train's --output)")
    if not (final / "config.json").is_file():
        raise file_error(final, "no trained model there: the run has not ended")
    config = read_yaml(run / "config.yaml")
    facts = _facts(run, config)
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(cell=cell, literal=repr)
    environment.globals["with_interval"] = with_interval
    text = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(facts)
    front = _front_matter(facts).to_yaml(line_break="\n")
    path = final / "README.md"
    write_text(path, f"---\n{front}\n---\n\n{text.rstrip()}\n")
    ModelCard.load(path)
    return path


def cell(text: object) -> str:
    """Text from data or settings for a line or a table's cell: on one line, nothing in it is Markdown or HTML."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(str(text).split()))


def _facts(run: Path, config: Config) -> dict[str, Any]:
    dataset = _dataset(run, config)
    evaluations = read_records(run / "eval.jsonl")
    metrics = read_records(run / "metrics.jsonl")
    by_moment = {line["moment"]: line for line in evaluations}
    environment = run / "environment.json"
    return {
        "name": run.resolve().name,
        "base": base_model(config),
        "config": config,
        "settings": {name: value for name, value in changed(config).items() if name not in PLACES},
        "steps": metrics[-1]["step"] if metrics else 0,
        "tokens": token_count(metrics),
        "minutes": sum(line["seconds_total"] for line in metrics) / 60,
        "environment": json.loads(environment.read_text(encoding="utf-8")) if environment.is_file() else None,
        "before": by_moment.get("before"),
        "after": by_moment.get("after"),
        "data": _about(dataset),
        "example": _example(dataset),
        "parts": parts(config),
    }


def base_model(config: Config) -> str | None:
    """The model's name on the Hub, where it came from there."""
    path = config.model.path
    return path if path and HUB_NAME.fullmatch(path) and not Path(path).exists() else None


def parts(config: Config) -> list[str]:
    """What of ReRec was switched on, in words."""
    weights = {name: getattr(config.reward, name) for name in ("ndcg", "format", "qas", "pas")}
    told = ", ".join(f"{name} {weight:g}" for name, weight in weights.items() if weight)
    found = [f"reward: {told} (NDCG@{config.reward.k})"]
    if config.advantage.estimator == "raae":
        found.append(f"reasoning-aware advantages (w_penalty {config.advantage.w_penalty:g})")
    else:
        found.append(f"advantages: {config.advantage.estimator}")
    if config.curriculum.enabled:
        found.append(f"online curriculum (tau {config.curriculum.tau:g})")
    return found


def _dataset(run: Path, config: Config) -> Dataset | None:
    """The run's dataset, None where it is gone."""
    for path in (run / "data", Path(config.data.path or run / "data")):
        try:
            return load_dataset(path)
        except UserError:
            continue
    return None


def _example(dataset: Dataset | None) -> str:
    """The prompt of a query, of the test split where there is one."""
    if dataset is not None:
        for split in ("test", *dataset.splits):
            if split in dataset.splits and (queries := dataset.queries(split)):
                return queries[0].messages[-1]["content"]
    return "A request, then the candidates, one a line"


def _about(dataset: Dataset | None) -> dict[str, Any] | None:
    if dataset is None:
        return None
    tables = {
        split: pq.read_table(dataset.path / f"{split}.parquet", columns=["data_source"]) for split in dataset.splits
    }
    sources = sorted({source for table in tables.values() for source in table["data_source"].unique().to_pylist()})
    return {
        "sources": sources,
        "invented": dataset.description.invented,
        "sentences_alone": dataset.description.prompt_form.closed,
        "queries": {split: table.num_rows for split, table in tables.items()},
        "items": dataset.item_count,
        "attributes": len(dataset.attributes),
        "relations": sorted(set(dataset.attributes.relations)),
        "users": dataset.interactions.shape[0],
    }


def _front_matter(facts: Mapping[str, Any]) -> ModelCardData:
    after = facts["after"]
    results = None
    if after is not None:
        source = facts["data"]["sources"][0] if facts["data"] and facts["data"]["sources"] else "own"
        place = {
            "task_type": "text-generation",
            "dataset_type": source,
            "dataset_name": source,
            "dataset_split": after["split"],
        }
        found = {name: value for name, value in after.items() if name == "accuracy" or name.startswith("ndcg@")}
        results = [EvalResult(metric_type=name, metric_value=round(value, 4), **place) for name, value in found.items()]
    return ModelCardData(
        base_model=facts["base"],
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["recommendation", "reasoning", "reinforcement-learning", "rerec"],
        model_name=facts["name"],
        eval_results=results,
        ignore_metadata_errors=False,
    )
