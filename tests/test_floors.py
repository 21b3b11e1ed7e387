"""Who may import whom: rooms stand on floors, and so do the files of a room. The rules are told in
docs/development.md."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "rerec_engine"
# From the ground up: a room may import rooms of lower floors alone, and files of one room those of lower floors there.
# The first floor is one layer: its files may know each other.
FLOORS = (
    {"errors", "types", "config", "files", "machine", "threads", "heap", "cli", "_core", "kernels"}
    | {"__init__", "__main__"},
    {"ops", "graph"},
    {"data", "model"},
    {"reward", "worlds", "runs"},
    {"constrain"},
    {"rollout"},
    {"metrics"},
    {"training", "assistant", "integrations"},
    {"evaluate", "recommend", "prepare"},
    {"report", "experiment", "serve", "share"},
    {"real", "train"},
)
# What stands alone knows less than its floor would allow.
MAY_IMPORT = {
    "_core": set(),
    "kernels": set(),
    "ops": {"kernels", "_core", "config", "types", "errors"},
    "integrations": {"reward", "ops", "config", "types", "errors"},
    "assistant": {"data", "graph", "metrics", "model", "_core", "config", "types", "errors", "files", "cli"},
}
# The files of each room, likewise. A new file is written where it belongs; an `__init__` is a room's face and may
# import all of it.
INSIDE = {
    "kernels": (
        "common row_loss tiles",
        "grpo logprob_forward segments",
        "anchored dense logprob",
        "linear_grpo",
    ),
    "assistant": (
        "conditions lexicon queries search stream units years",
        "amounts grounding mentions style",
        "exchange negation numbers superlatives",
        "measures naming reading text wording",
        "parse",
        "shortlist",
        "prepare ranker",
        "answer",
    ),
    "constrain": (
        "tokens",
        "titles",
    ),
    "cli": (
        "lazy parser run",
        "options waits",
    ),
    "data": (
        "articles candidates counts lengths matching options prompts rows sampling store",
        "description directory files.cells files.encoding files.times traces",
        "tables",
        "atomic dataset recbench_rows",
        "sources",
        "knowledge",
        "assemble facts gexf join profiles",
        "files.fetching files.hub files.numerals files.roles files.table",
        "movielens prompter recbench rerec_parquet",
        "files.delimited files.json_rows",
        "files.columns files.reading",
        "files.items",
        "files.joins files.log files.triples files.users",
        "files.presets files.sequences",
        "files.catalogue",
        "next_items",
    ),
    "experiment": (
        "retention suite table",
        "measure runner",
        "results",
        "__main__",
    ),
    "graph": (
        "attributes bpr catalogue interactions numbers ranking titles",
        "als lightgcn",
    ),
    "integrations": (
        "rank shared",
        "openrlhf trl verl_raae",
        "verl_agent",
        "verl",
    ),
    "metrics": (
        "bootstrap names predictions rankers ranking.measures ranking.popularity recbench",
        "answer_log catalogue_match ranking.sources report sasrec truth",
        "comparison evaluation orders ranking.report server",
        "answer_file outside ranking.model",
        "own",
        "ranked",
    ),
    "model": (
        "disk lora memory output pre_tokenizers ranks source templates thinking tiled_attention",
        "chat packed_attention text",
        "attention_check sequences",
        "arithmetic",
        "policy speech",
        "context critic gguf selfcheck small_model",
    ),
    "ops": (
        "dispatch native.onednn native.pool native.rows types workspace",
        "native.products",
        "gpu groups native.head native.segments objective reference.logprob segments tokens",
        "allowed",
        "logprob native.logprob native.policy_gradient reference.policy_gradient reference.segments",
        "native.linear_grpo policy_gradient reference.__init__",
        "native.__init__",
    ),
    "prepare": (
        "facts fetch long_prompts made model",
        "files places",
        "movielens recbench rerec_parquet requests",
        "command",
        "__main__",
    ),
    "real": (
        "films packages",
        "stages",
        "summary",
        "__main__",
    ),
    "report": (
        "rollouts",
        "run",
        "page",
        "__main__",
    ),
    "reward": (
        "entries opened phrases pieces tables tokens",
        "reasons targets vocabulary",
        "engine",
    ),
    "rollout": (
        "base cache child.__init__ child.engine_answers child.engine_program child.engine_weights "
        "child.engine_wire child.guard responses shared_memory",
        "prompt_attention waiting",
        "decoder process",
        "sampler vllm",
        "beams replica selfcheck",
        "loading",
    ),
    "runs": (
        "checkpoint environment lock records settings sources",
        "run_directory",
    ),
    "serve": (
        "backend errors vllm",
        "conversation limits",
        "guard job schema start",
        "wire",
        "app",
        "__main__",
    ),
    "share": (
        "card",
        "__main__",
    ),
    "training": (
        "clock curriculum entries fitting importance interrupt loss muon orders",
        "batches",
        "advantage records rollout_worker scoring shares warm_start_recipe",
        "update warm_start",
        "start_model trainer",
        "progress",
        "evaluation setup",
    ),
    "worlds": (
        "options world catalogue.conditions catalogue.english catalogue.grammar",
        "beliefs catalogue.shelf",
        "requests catalogue.amounts catalogue.candidates catalogue.groups catalogue.noun_phrase catalogue.phrases"
        " catalogue.spans",
        "traces catalogue.drafts",
        "writing catalogue.told catalogue.wording",
        "demo catalogue.inferred catalogue.traces catalogue.vocabulary",
        "movielens catalogue.kinds catalogue.rewrite",
        "doors catalogue.make",
    ),
}


def imported(source: str, package: str) -> set[str]:
    """Absolute names of the package's modules that `source`, a file of `package`, imports, at any depth of the code."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = (
                ".".join([*parents[: len(parents) - node.level + 1], node.module or ""]) if node.level else node.module
            )
            names.update(f"{(base or '').rstrip('.')}.{alias.name}" for alias in node.names)
    return {name for name in names if name.split(".")[0] == "rerec_engine"}


def part(name: str) -> str:
    """`rerec_engine.graph.titles` -> `graph`; a name that the package's own `__init__` holds -> `__init__`."""
    first = [*name.split("."), "__init__"][1]
    is_part = any(PACKAGE.glob(f"{first}.py*")) or (PACKAGE / first).is_dir() or first == "_core"
    return first if is_part else "__init__"


def part_graph() -> dict[str, set[str]]:
    """Each part of the package with the other parts it imports."""
    graph: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        relative = path.relative_to(PACKAGE).with_suffix("")
        package = ".".join(["rerec_engine", *relative.parts[:-1]])
        own = relative.parts[0]
        graph.setdefault(own, set()).update({part(name) for name in imported(path.read_text(), package)} - {own})
    for path in (ROOT / "kernels").rglob("*.py"):
        package = ".".join(["rerec_engine", "kernels", *path.relative_to(ROOT / "kernels").parts[:-1]])
        parts = {part(name) for name in imported(path.read_text(), package)} - {"kernels"}
        graph.setdefault("kernels", set()).update(parts)
    return graph


def violations(graph: dict[str, set[str]]) -> list[str]:
    """Imports against the rules, each as `importer -> imported`, and rooms that stand on no floor."""
    floor = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
    rooms = set(graph).union(*graph.values())
    found = [f"{room} stands on no floor" for room in sorted(rooms - set(floor))]
    for importer, targets in sorted(graph.items()):
        level = floor.get(importer, len(FLOORS))
        allowed = {room for room, own in floor.items() if own < level or own == level == 0}
        found += [f"{importer} -> {t}" for t in sorted(targets - MAY_IMPORT.get(importer, allowed)) if t in floor]
    return found


def file_graph(room: str) -> dict[str, set[str]]:
    """Each file of a room, by its dotted name in there, with the other files of the room that it imports."""
    folder = ROOT / "kernels" if room == "kernels" else PACKAGE / room
    files = {".".join(path.relative_to(folder).with_suffix("").parts): path for path in folder.rglob("*.py")}
    graph: dict[str, set[str]] = {}
    for name, path in files.items():
        package = ".".join(["rerec_engine", room, *path.relative_to(folder).parts[:-1]])
        found = {target.removeprefix(f"rerec_engine.{room}.") for target in imported(path.read_text(), package)}
        graph[name] = {file_of(target, files) for target in found} - {name, ""}
    return graph


def file_of(target: str, files: Iterable[str]) -> str:
    """`native.head.SIZE` -> `native.head`; a package's name -> its `__init__`; what is none of the room's -> ""."""
    parts = target.split(".")
    names = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next((found for name in names for found in (name, f"{name}.__init__") if found in files), "")


def violations_inside(graph: dict[str, set[str]], floors: Iterable[str]) -> list[str]:
    """Imports that do not go down, each as `importer -> imported`, and files that stand on no floor, or twice."""
    named = [name for names in floors for name in names.split()]
    floor = {name: level for level, names in enumerate(floors) for name in names.split()}
    known = {name for name in graph if not name.endswith("__init__")}
    found = [f"{name} stands on no floor" for name in sorted(known - set(floor))]
    found += [f"{name} is not there" for name in sorted(set(floor) - set(graph))]
    found += [f"{name} stands on two floors" for name in sorted({n for n in named if named.count(n) > 1})]
    for importer in sorted(known & set(floor)):
        below = {name for name, level in floor.items() if level < floor[importer]}
        found += [f"{importer} -> {target}" for target in sorted((graph[importer] & set(floor)) - below)]
    return found


def test_imports_run_one_way() -> None:
    assert violations(part_graph()) == []


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({"train": {"graph", "evaluate"}, "graph": {"config"}, "evaluate": {"graph"}}, []),
        ({"training": {"train"}}, ["training -> train"]),
        ({"data": {"prepare"}}, ["data -> prepare"]),
        ({"ops": {"reward"}}, ["ops -> reward"]),
        ({"integrations": {"rollout"}}, ["integrations -> rollout"]),
        ({"assistant": {"worlds"}}, ["assistant -> worlds"]),
        ({"model": {"integrations"}}, ["model -> integrations"]),
        ({"types": {"config"}, "config": {"graph"}}, ["config -> graph"]),
        ({"kernels": {"config"}}, ["kernels -> config"]),
        ({"evaluate": {"train"}}, ["evaluate -> train"]),
        ({"data": {"graph"}, "graph": {"data"}}, ["graph -> data"]),
        ({"attic": {"graph"}}, ["attic stands on no floor"]),
    ],
    ids=range(12),
)
def test_rules_tell_a_wrong_import(graph: dict[str, set[str]], expected: list[str]) -> None:
    assert violations(graph) == expected


@pytest.mark.parametrize(
    ("source", "package", "expected"),
    [
        ("import rerec_engine.graph.titles as t", "rerec_engine", {"rerec_engine.graph.titles"}),
        ("from rerec_engine import graph, config", "rerec_engine", {"rerec_engine.graph", "rerec_engine.config"}),
        ("from ..config import Config", "rerec_engine.graph", {"rerec_engine.config.Config"}),
        ("from . import naive", "rerec_engine.ops", {"rerec_engine.ops.naive"}),
        ("def f():\n    from rerec_engine.train import main", "rerec_engine", {"rerec_engine.train.main"}),
        ("import numpy, rerec_engineering", "rerec_engine", set()),
    ],
)
def test_imports_are_read(source: str, package: str, expected: set[str]) -> None:
    assert imported(source, package) == expected


def test_parts_are_named_by_their_first_folder_or_file() -> None:
    assert part("rerec_engine.graph.titles.Catalogue") == "graph"
    assert part("rerec_engine.config.Config") == "config"
    assert part("rerec_engine._core.parse") == "_core"
    assert part("rerec_engine.__version__") == part("rerec_engine") == "__init__"


@pytest.mark.parametrize("room", sorted(INSIDE))
def test_files_of_a_room_stand_on_floors(room: str) -> None:
    assert violations_inside(file_graph(room), INSIDE[room]) == []


def test_every_room_has_floors() -> None:
    folders = {path.parent.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*/*.py")}
    assert folders | {"kernels"} == set(INSIDE)


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({"low": set(), "high": {"low"}}, []),
        ({"low": {"high"}, "high": set()}, ["low -> high"]),
        ({"low": set(), "high": set(), "beside": {"high"}}, ["beside -> high"]),
        ({"low": set(), "high": set(), "new": set()}, ["new stands on no floor"]),
        ({"low": set()}, ["high is not there"]),
    ],
)
def test_rules_tell_a_wrong_import_inside(graph: dict[str, set[str]], expected: list[str]) -> None:
    floors = ("low", "high beside") if "beside" in graph else ("low", "high")
    assert violations_inside(graph, floors) == expected


def test_a_target_is_the_file_that_holds_it() -> None:
    files = ["native.head", "native.__init__", "types"]
    assert file_of("native.head.SIZE", files) == "native.head"
    assert file_of("native", files) == file_of("native.linear", files) == "native.__init__"
    assert file_of("elsewhere.name", files) == ""
