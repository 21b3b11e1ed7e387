"""The data and the model that reinforcement starts from: given ones, or made for the run and warm-started."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rerec_engine.cli import waiting
from rerec_engine.config import Config
from rerec_engine.data.dataset import Dataset, load_dataset
from rerec_engine.data.traces import FILE as TRACES
from rerec_engine.errors import file_error
from rerec_engine.files import replacing_directory
from rerec_engine.model.arithmetic import AUTO, resolve_dtype
from rerec_engine.model.policy import Policy, load_policy, resolve_device
from rerec_engine.model.selfcheck import prove_policy
from rerec_engine.model.small_model import corpus_tokenizer, make_small_policy, phrase_tokenizer
from rerec_engine.model.source import Loading, check_model, find_config, find_model, is_directory
from rerec_engine.runs.run_directory import RunDir
from rerec_engine.training.fitting import fitted
from rerec_engine.training.warm_start import warm_start


def checked(config: Config) -> Config:
    """The settings of a new run, with the commit of a model on the Hub and the arithmetic that `auto` stands for here.
    Raises UserError where data or model are not there: what is mistyped leaves no run directory behind."""
    if config.data.path is not None and not Path(config.data.path).is_dir():
        load_dataset(config.data.path)  # which says so
    model = config.model
    if model.path is None:
        return replace(config, model=replace(model, dtype="fp32" if model.dtype == AUTO else model.dtype))
    with waiting(f"looking for the model {config.model.path}"):
        commit = check_model(model.path, model.revision)
        place = find_config(model.path, model.revision)
    dtype = resolve_dtype(model.dtype, place, resolve_device(config.device))
    return replace(config, model=replace(model, revision=commit or None, dtype=dtype))


def dataset_path(config: Config, run: RunDir, anew: bool) -> Path:
    """The dataset directory: the one that the settings name, or the demo's, made in the run directory."""
    if config.data.path is not None:
        return Path(config.data.path)
    from rerec_engine.worlds.demo import write_demo
    from rerec_engine.worlds.options import DemoOptions

    path = run.path / "data"
    if anew or not path.exists():
        with waiting("making the demo's films, books, requests and traces, and LightGCN's embeddings"):
            write_demo(path, DemoOptions(seed=config.seed))
    return path


def make_start_model(
    config: Config, run: RunDir, dataset: Dataset, before: Callable[[Policy], None] | None = None
) -> None:
    """Make the model that reinforcement starts from, and warm-start it, where the settings say so.

    What an earlier attempt of the same run left is used: a finished model, or a warm start that was cut short. before:
    called with the model before a warm start, which takes long.
    """
    if not _is_made(config) or run.start.is_dir():
        return
    pretrained = config.model.path is not None
    policy = _given(config) if pretrained else _made_on_the_spot(config, dataset)
    config = fitted(config, policy.model, policy.device)
    if pretrained:
        policy.prepare(config.model, config.seed)
    if config.warm_start.epochs:
        if before is not None:
            before(policy)
        prove_policy(policy)
        traces = Path(config.warm_start.path) if config.warm_start.path else dataset.path / TRACES
        warm_start(policy, traces, config, run)
    with replacing_directory(run.start) as temporary:
        policy.save(temporary)
    run.warm_start.unlink(missing_ok=True)


def start_source(config: Config, run: RunDir) -> str:
    """Where the model lies that reinforcement starts from."""
    return str(run.start) if _is_made(config) else str(config.model.path)


def loading_of(config: Config, source: str) -> Loading:
    """How a source of the run's model is read: what the run has saved has its chat template already."""
    given = Loading.of(config.model)
    return given if source == config.model.path else Loading(trust_remote_code=given.trust_remote_code)


def sources(config: Config, dataset: Dataset) -> dict[str, Path | str]:
    """What the run is made from, by what it is: a directory, or the revision of a model on the Hub."""
    found: dict[str, Path | str] = {"dataset": dataset.path}
    if config.model.path is not None:
        path, revision = config.model.path, config.model.revision
        found["model"] = find_model(path, revision) if is_directory(path) else revision or check_model(path)
    if config.model.chat_template is not None and Path(config.model.chat_template).is_file():
        found["chat template"] = Path(config.model.chat_template)
    if config.warm_start.path is not None and Path(config.warm_start.path).is_file():
        found["traces"] = Path(config.warm_start.path)
    return found


def _is_made(config: Config) -> bool:
    """Whether the model that reinforcement starts from is one that only this run has."""
    return config.model.path is None or config.warm_start.epochs > 0


def _given(config: Config) -> Policy:
    """The model that the settings name, with fp32 weights where they are trained themselves."""
    path, lora = str(config.model.path), config.model.lora_rank > 0
    loading = loading_of(config, path)
    return load_policy(path, config.device, config.model.dtype, master=None if lora else "fp32", loading=loading)


def _made_on_the_spot(config: Config, dataset: Dataset) -> Policy:
    vocabulary = dataset.path / "vocabulary.json"
    if vocabulary.is_file():
        try:
            tokenizer = phrase_tokenizer(json.loads(vocabulary.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise file_error(vocabulary, f"expected a JSON list of phrases: {error}") from error
    else:
        texts = [message["content"] for query in dataset.queries("train") for message in query.messages]
        tokenizer = corpus_tokenizer([*texts, *dataset.titles])
    longest = config.data.max_prompt_tokens + config.rollout.max_new_tokens
    return make_small_policy(tokenizer, config.model, max_tokens=longest, seed=config.seed, device=config.device)
