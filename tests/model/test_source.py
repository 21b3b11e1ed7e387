"""Where a model is found: directories, runs, and names on the Hub, by every command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants
from model_hub import ModelHub, commit_of, serve
from safetensors.torch import load_file

from rerec_engine.data.dataset import load_dataset
from rerec_engine.errors import UserError
from rerec_engine.model import source
from rerec_engine.model.policy import load_policy
from rerec_engine.model.source import Loading, check_model, find_model, is_directory, wanted
from rerec_engine.runs.settings import load_settings, read_yaml

NAME = "owner/tiny"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def hub(monkeypatch, tmp_path, saved):
    """It has a model with a second branch and what nobody reads; the cache is empty."""
    folder = tmp_path / "hub"
    shutil.copytree(saved, folder / "main")
    (folder / "main" / "pytorch_model.bin").write_bytes(b"the same weights")
    (folder / "main" / "onnx").mkdir()
    (folder / "main" / "onnx" / "model.onnx").write_bytes(b"and again")
    shutil.copytree(saved, folder / "other")
    config = json.loads((folder / "other" / "config.json").read_text())
    (folder / "other" / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 0.5}))
    state = ModelHub(models={NAME: {"main": folder / "main", "other": folder / "other"}})
    server = serve(state)
    forget()
    point_at(monkeypatch, state.url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield state
    forget()
    server.shutdown()
    server.server_close()


def point_at(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """As HF_ENDPOINT does, which is read when the client is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


def forget() -> None:
    """As in a new process."""
    source._configuration.cache_clear()
    source._fetched.cache_clear()


def refused(path: str, revision: str | None = None) -> str:
    with pytest.raises(UserError) as raised:
        find_model(path, revision)
    with pytest.raises(UserError) as checked:
        check_model(path, revision)
    assert str(raised.value) == str(checked.value)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_directory_with_a_model_or_a_run_with_a_final_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "run" / "final").mkdir(parents=True)
    for path in ("run", "./run", "~/run", str(tmp_path / "run")):
        assert refused(path) == f"{path}: no model here: neither config.json nor final/config.json"
    (tmp_path / "run" / "adapter_config.json").write_text("{}")
    assert refused("run").startswith("run: a LoRA adapter alone (the run's final/ holds it merged) here: ")
    for place in ("run/final", "run"):  # a directory's own model comes first
        (tmp_path / place / "config.json").write_text("{}")
        assert find_model("run") == Path(place)
        assert find_model("~/run") == tmp_path / place
        assert check_model("run") == ""
    assert refused("run", "main") == "run: a directory has no revision 'main': that is for a name on the Hub"
    for path in ("~/nowhere", "./owner/name", "/owner/name", "a/b/c", "a b"):
        assert refused(path) == f"{path}: no such model directory, and no name on the Hub (ORG/NAME)"


def test_what_is_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not is_directory("Qwen/Qwen2.5-0.5B")
    (tmp_path / "Qwen").mkdir()  # of other models
    assert not is_directory("Qwen/Qwen2.5-0.5B")
    (tmp_path / "Qwen" / "Qwen2.5-0.5B").mkdir()
    assert is_directory("Qwen/Qwen2.5-0.5B")
    assert not is_directory("gpt2")


def test_a_name_is_fetched_once_with_a_bar_and_without_what_nobody_reads(hub, saved, capsys):
    main = hub.models[NAME]["main"]
    assert check_model(NAME) == commit_of(main)
    assert hub.fetched() == {"config.json"}
    place = find_model(NAME)
    assert place.name == commit_of(main)
    assert {"model.safetensors", "tokenizer.json"} <= hub.fetched()
    assert not {"pytorch_model.bin", "model.onnx"} & hub.fetched()
    assert "Fetching" in capsys.readouterr().err
    policy = load_policy(NAME, "cpu")
    assert policy.encode_prompt([{"role": "user", "content": "a"}]) == load_policy(str(saved), "cpu").encode_prompt(
        [{"role": "user", "content": "a"}]
    )
    (main / "config.json").write_text("{}")  # a new commit of the branch is not seen by this process
    assert load_policy(NAME, "cpu").model.config.model_type == "qwen2"
    forget()
    hub.asked.clear()
    assert find_model(NAME, commit_of(main)) == place
    assert hub.fetched() == set()


@pytest.mark.parametrize("shards", [False, True])
def test_a_mirror_that_lists_no_files(hub, shards):
    hub.lists = False
    folder = hub.models[NAME]["main"]
    if shards:
        (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
        names = load_file(folder / "model-00001-of-00001.safetensors")
        index = {"metadata": {}, "weight_map": dict.fromkeys(names, "model-00001-of-00001.safetensors")}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert load_policy(NAME, "cpu").tokenizer.chat_template
    assert ("model.safetensors" in hub.fetched()) != shards


def test_revisions(hub):
    other = hub.models[NAME]["other"]
    for revision in ("other", commit_of(other)):
        assert check_model(NAME, revision) == commit_of(other)
        assert load_policy(NAME, "cpu", loading=Loading(revision=revision)).model.config.rms_norm_eps == 0.5
    no = f"{NAME}: no such directory here, and the Hub has no revision 'v9' of it"
    assert refused(NAME, "v9") == no


def test_without_a_hub_what_was_fetched_is_used(hub, monkeypatch):
    place = find_model(NAME)
    for silent in ("offline", "no network"):
        with monkeypatch.context() as patch:
            point_at(patch, "http://127.0.0.1:9")
            patch.setattr(constants, "HF_HUB_OFFLINE", silent == "offline")
            forget()
            assert find_model(NAME) == find_model(NAME, place.name) == place
            assert load_policy(NAME, "cpu").source == NAME


def test_a_clear_word_where_there_is_no_hub(hub, monkeypatch):
    start = f"{NAME}: no such directory here, and "
    point_at(monkeypatch, "http://127.0.0.1:9")
    without, end = "and the Hub's cache does not hold", "or name a directory"
    silent = f"http://127.0.0.1:9 cannot be reached, {without} it: try again with a network, {end}"
    assert refused(NAME) == f"{start}{silent}"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for revision, of in ((None, "it"), ("v2", "revision 'v2' of it")):
        told = f"HF_HUB_OFFLINE is set, {without} {of}: unset it to fetch the model, {end}"
        assert refused(NAME, revision) == f"{start}{told}"


def test_what_the_hub_does_not_give(hub):
    own = "or one that your token (`hf auth login`) may not see"
    assert refused("owner/none") == f"owner/none: no such directory here, and the Hub has no such model, {own}"
    hub.gated.add(NAME)
    assert f"the Hub gives it to those who took its terms: {hub.url}/{NAME}, then `hf auth login`" in refused(NAME)
    hub.gated.clear()
    (hub.models[NAME]["main"] / "config.json").unlink()
    assert refused(NAME).endswith("what the Hub has under that name is no transformers model (config.json is missing)")


def test_files_that_are_read():
    beside = ["config.json", "tokenizer.model", "merges.txt", "chat_template.jinja", "modeling_own.py"]
    named = ["additional_chat_templates/rag.jinja", "model-00001-of-00002.safetensors"]
    others = ["README.md", "consolidated.safetensors", "original/config.json", "x.gguf", "pytorch_model.bin"]
    assert sorted(wanted([*beside, *named, *others])) == sorted([*beside, *named])
    assert wanted(["pytorch_model.bin", "tf_model.h5"]) == ["pytorch_model.bin"]
    assert wanted(["lm.safetensors", "pytorch_model.bin"]) == ["lm.safetensors"]
    assert wanted([]) == []


OWN_CODE = """
from transformers import Qwen2Config, Qwen2ForCausalLM
class OwnConfig(Qwen2Config):
    model_type = "own"
class OwnForCausalLM(Qwen2ForCausalLM):
    config_class = OwnConfig
"""


def test_a_models_own_code_runs_where_it_is_trusted_alone(hub, tmp_path):
    folder = hub.models[NAME]["main"]
    config = json.loads((folder / "config.json").read_text())
    own = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnForCausalLM"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "own", "auto_map": own}))
    (folder / "own.py").write_text(OWN_CODE)
    with pytest.raises(UserError, match=r"^owner/tiny: the model brings code of its own: read it, then set"):
        load_policy(NAME, "cpu")
    policy = load_policy(NAME, "cpu", loading=Loading(trust_remote_code=True))
    policy.save(tmp_path / "final")
    assert (tmp_path / "final" / "own.py").is_file()
    again = load_policy(str(tmp_path / "final"), "cpu", loading=Loading(trust_remote_code=True))
    assert type(again.model).__name__ == "OwnForCausalLM"


@pytest.mark.parametrize("command", ["evaluate", "recommend"])
def test_commands_take_a_name(hub, follow, mini_demo, command, capsys):
    words = ["--model", NAME, "--data", str(mini_demo), "--revision", "other", "--device", "cpu"]
    more = {"evaluate": ["--limit", "1"], "recommend": [load_dataset(mini_demo).titles[0]]}
    follow(command, [*words, "--max-new-tokens", "2", *more[command]])
    assert "model.safetensors" in hub.fetched()
    assert capsys.readouterr().out


def evaluate(data: Path, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """`evaluate --model owner/tiny` in a process of its own, whose cache is in `home`."""
    words = ["--model", NAME, "--data", str(data), "--device", "cpu", "--limit", "1", "--max-new-tokens", "2"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGINGFACE_"))}
    return subprocess.run(
        [sys.executable, "-m", "rerec_engine.evaluate", *words],
        cwd=ROOT,
        env={**kept, "HF_HOME": str(home), "OMP_NUM_THREADS": "1", "NO_PROXY": "127.0.0.1", **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_the_environment_names_the_hub(hub, mini_demo, tmp_path):
    done = evaluate(mini_demo, tmp_path / "home", HF_ENDPOINT=hub.url)
    assert done.returncode == 0, done.stderr
    assert {"config.json", "model.safetensors"} <= hub.fetched()
    assert "accuracy" in done.stdout
    hub.asked.clear()
    offline = evaluate(mini_demo, tmp_path / "home", HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="1")
    assert (offline.returncode, offline.stdout, hub.asked) == (0, done.stdout, [])


def test_the_environment_says_that_there_is_no_hub(hub, mini_demo, tmp_path):
    done = evaluate(mini_demo, tmp_path / "home", HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="1")
    assert (done.returncode, done.stdout, hub.asked) == (2, "", [])
    assert done.stderr.splitlines()[-1] == (
        f"error: {NAME}: no such directory here, and HF_HUB_OFFLINE is set, and the Hub's cache does not "
        "hold it: unset it to fetch the model, or name a directory"
    )
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_run_keeps_the_commit_that_it_began_with(hub, mini_demo, tmp_path):
    from rerec_engine.train import train

    run = tmp_path / "run"
    words = ["--model", NAME, "--data", str(mini_demo), "--output", str(run), "--train.steps", "0", "--device", "cpu"]
    words += ["--rollout.max-new-tokens", "2", "--loss.beta", "0", "--train.report", "false", "--threads", "1"]
    train(*load_settings(words))
    commit = commit_of(hub.models[NAME]["main"])
    assert read_yaml(run / "config.yaml").model.revision == commit
    assert json.loads((run / "sources.json").read_text())["model"] == {"revision": commit}
    assert (run / "final" / "model.safetensors").is_file()
    hub.models[NAME]["main"] = hub.models[NAME].pop("other")  # the branch moves on
    hub.models[NAME]["before"] = tmp_path / "hub" / "main"
    forget()
    train(*load_settings(["--resume", str(run)]))
