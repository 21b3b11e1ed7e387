"""A suite: a grid of settings and seeds, from a YAML file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rerec_engine.cli.options import word_of
from rerec_engine.config import Config
from rerec_engine.errors import UserError, file_error
from rerec_engine.runs.settings import CONFIGS, flatten, read_yaml, with_settings

BUILT_IN = Path(__file__).parent / "suites"
OWN_DATA = "data"
"""The suite's own dataset among its tests."""
KNOWN = {
    "title",
    "base",
    "data",
    "datasets",
    "tests",
    "permutations",
    "rank_by",
    "limit",
    "retention",
    "settings",
    "seeds",
    "against",
    "arms",
    "judge",
}


@dataclass(frozen=True)
class Suite:
    """name: of the file. base: the file of the package's settings over which the suite's come. data: options of
    `prepare demo` (or of the command that `prepare` names), or a dataset directory. inputs: what `{inputs}` stands
    for. datasets: further ones by name, each options over those of data. tests: those whose test split every final
    model is evaluated on, "data" the suite's own; the first is what arms are compared by (none: the test split of the
    arm's own data). permutations: orders of the candidates in which each of the tests is asked. rank_by: how each of
    them is ranked too, by `evaluate --ranking`; empty: not at all. limit: queries of a test at most. retention:
    whether what the models still know is measured. settings: those of all arms, over the base's; an arm's own come on
    top. against: the arm that the others are compared with. judge: the figure of eval.jsonl that they are compared by,
    accuracy or ndcg@K."""

    name: str
    title: str
    base: str
    data: dict[str, Any] | Path
    datasets: dict[str, dict[str, Any]]
    tests: tuple[str, ...]
    permutations: int
    rank_by: str
    limit: int | None
    retention: bool
    settings: dict[str, str]
    seeds: tuple[int, ...]
    against: str
    arms: dict[str, dict[str, str]]
    inputs: Path = Path("INPUTS")
    judge: str = "accuracy"

    def config(self, arm: str, places: Mapping[str, Path]) -> Config:
        """The settings of an arm; `{data}`, `{answers}`, `{inputs}`, `{NAME}` and `{NAME_answers}` of a
        dataset are filled in. Raises UserError for a bad one."""
        chosen = {**self.settings, **self.arms[arm]}
        try:
            filled = {name: value.format_map({"inputs": self.inputs, **places}) for name, value in chosen.items()}
            config = with_settings(read_yaml(CONFIGS / f"{self.base}.yaml"), filled)
            config.check()
        except (ValueError, KeyError) as error:
            raise UserError(f"suite {self.name}, arm {arm!r}: {error}") from None
        return config


def load_suite(source: str, movielens: Path | None = None, inputs: Path | None = None) -> Suite:
    """A suite's YAML file, or the name of one that comes with the package; movielens, inputs: the folders that its
    `{movielens}` and `{inputs}` stand for. Raises UserError for anything amiss."""
    path = Path(source)
    if not path.suffix and not path.exists():
        path = BUILT_IN / f"{source}.yaml"
        if not path.is_file():
            names = ", ".join(sorted(file.stem for file in BUILT_IN.glob("*.yaml")))
            raise UserError(f"no suite {source!r}: give a YAML file or one of {names}")
    if not path.is_file():
        raise file_error(path, "no such suite file")
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise file_error(path, f"not readable as YAML: {' '.join(str(error).split())}") from None
    return _suite(path, tree, movielens, inputs)


def _suite(path: Path, tree: Any, movielens: Path | None, inputs: Path | None) -> Suite:
    if not isinstance(tree, dict) or not isinstance(tree.get("arms"), dict) or not tree["arms"]:
        raise file_error(path, "expected a mapping with `arms`, settings by arm")
    if unknown := set(tree) - KNOWN:
        raise file_error(path, f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(sorted(KNOWN))}")
    seeds = tree.get("seeds", 5)
    arms = {str(name): _settings(path, f"arm {name}", own) for name, own in tree["arms"].items()}
    against = tree.get("against", next(iter(arms)))
    if against not in arms:
        raise file_error(path, f"against: no arm {against!r}")
    if not isinstance(seeds, int) or seeds < 1:
        raise file_error(path, f"seeds: expected how many, at least 1, got {seeds!r}")
    data = tree.get("data") or {}
    if isinstance(data, dict) and data.get("movielens") == "{movielens}":
        if movielens is None:
            raise UserError(f"suite {path.stem} is of real sequences: give movielens (docs/data.md)")
        data = {**data, "movielens": str(movielens.resolve())}
    if isinstance(data, str) and data.startswith("{inputs}"):
        if inputs is None:
            raise UserError(
                f"suite {path.stem} is of real data: give --inputs, the folder that holds {data[9:]} and model"
            )
        data = data.format(inputs=inputs.resolve())
    base = str(tree.get("base", "demo"))
    if not (CONFIGS / f"{base}.yaml").is_file():
        raise file_error(path, f"base: no settings {base!r} in the package")
    datasets, tests, retention = tree.get("datasets") or {}, tree.get("tests") or [], bool(tree.get("retention"))
    if not isinstance(datasets, dict) or not all(isinstance(own, dict) for own in datasets.values()):
        raise file_error(path, "datasets: expected options of `prepare demo` by name")
    if (datasets or retention) and not isinstance(data, dict):
        raise file_error(path, "datasets and retention go with the demo's data alone")
    if not isinstance(tests, list) or not set(tests) <= {*datasets, OWN_DATA}:
        raise file_error(path, f"tests: expected a list of datasets ({', '.join([OWN_DATA, *datasets])})")
    if not re.fullmatch(r"accuracy|ndcg@[1-9]\d*", judge := str(tree.get("judge", "accuracy"))):
        raise file_error(path, f"judge: expected accuracy or ndcg@K, got {judge!r}")
    permutations = tree.get("permutations", 1)
    if not isinstance(permutations, int) or permutations < 1 or (permutations > 1 and not tests):
        raise file_error(path, f"permutations: expected how many orders of `tests`, at least 1, got {permutations!r}")
    rank_by, limit = str(tree.get("rank_by") or ""), tree.get("limit")
    if rank_by and not tests:
        raise file_error(path, "rank_by: there are no `tests` to rank")
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise file_error(path, f"limit: expected how many queries of a test, at least 1, got {limit!r}")
    return Suite(
        name=path.stem,
        title=str(tree.get("title", path.stem)),
        base=base,
        data=data if isinstance(data, dict) else path.parent / str(data),
        datasets=datasets,
        tests=tuple(tests),
        permutations=permutations,
        rank_by=rank_by,
        limit=limit,
        retention=retention,
        settings=_settings(path, "settings", tree.get("settings")),
        seeds=tuple(range(seeds)),
        against=against,
        arms=arms,
        judge=judge,
        **({} if inputs is None else {"inputs": inputs.resolve()}),
    )


def _settings(path: Path, place: str, tree: Any) -> dict[str, str]:
    """Settings by dotted name, each one known, as the command line takes them."""
    if not isinstance(tree or {}, dict):
        raise file_error(path, f"{place}: expected settings by name, got {tree!r}")
    known = flatten(Config())
    flat = dict(_flat(tree or {}, known))
    for name in flat:
        if name not in known:
            raise file_error(path, f"{place}: unknown setting {name!r}")
    return {name: word_of(value) if isinstance(value, dict) else str(value) for name, value in flat.items()}


def _flat(tree: dict[str, Any], known: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, value in tree.items():
        full = f"{prefix}{name}".replace("-", "_")
        inner = isinstance(value, dict) and full not in known
        pairs += _flat(value, known, f"{full}.") if inner else [(full, value)]
    return pairs
