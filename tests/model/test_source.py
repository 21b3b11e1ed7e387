"""Where a model is found: directories, runs, and names on the Hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from rerec_engine.errors import UserError
from rerec_engine.model.source import check_source, model_directory, model_source


def message(raised: pytest.ExceptionInfo[UserError]) -> str:
    return str(raised.value)


def test_model_directory_finds_the_final_model_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "final").mkdir()
    with pytest.raises(UserError, match="no model here"):
        model_directory(str(tmp_path))
    (tmp_path / "final" / "config.json").write_text("{}")
    assert model_directory(str(tmp_path)) == tmp_path / "final"
    with pytest.raises(UserError, match="nowhere: no such model directory"):
        model_directory(str(tmp_path / "nowhere"))


def test_a_run_directorys_own_model_comes_first_and_hub_names_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert model_directory("Qwen/Qwen2.5-0.5B") == Path("Qwen/Qwen2.5-0.5B")
    (tmp_path / "Qwen").mkdir()  # now it is a path
    with pytest.raises(UserError, match=r"Qwen2.5-0.5B: no such model directory, and no name on the Hub \(ORG/NAME\)"):
        model_directory("Qwen/Qwen2.5-0.5B")
    for place in ("final", "."):
        (tmp_path / "Qwen" / place).mkdir(exist_ok=True)
        (tmp_path / "Qwen" / place / "config.json").write_text("{}")
        assert model_directory("Qwen") == Path("Qwen") / place


def test_a_source_is_a_directory_with_a_model_or_a_name(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert model_source("Qwen/Qwen2.5-0.5B") == "Qwen/Qwen2.5-0.5B"
    with pytest.raises(UserError) as raised:
        model_source("~/here")
    assert message(raised) == "~/here: no model here (config.json is missing)"
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError) as raised:
        model_source("~/here")
    kind = "a LoRA adapter alone (the run's final/ holds it merged)"
    assert message(raised) == f"~/here: {kind} here (config.json is missing)"
    (tmp_path / "here" / "config.json").write_text("{}")
    assert model_source("~/here") == str(tmp_path / "here")


def test_a_source_is_a_model_a_runs_final_or_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run" / "final").mkdir(parents=True)
    with pytest.raises(UserError, match=r"^run: no model here \(config.json is missing\)"):
        model_source("run")
    (tmp_path / "run" / "final" / "config.json").write_text("{}")
    assert model_source("run") == "run/final"
    assert model_source("run/final") == "run/final"
    check_source("run")
    assert model_source("owner/name") == "owner/name"
    with pytest.raises(UserError, match=r"^\./owner/name: no model here"):
        model_source("./owner/name")
    (tmp_path / "run" / "adapter_config.json").write_text("{}")
    (tmp_path / "run" / "final" / "config.json").unlink()
    with pytest.raises(UserError, match="a LoRA adapter alone"):
        model_source("run")


def test_a_name_that_the_hub_does_not_have(monkeypatch):
    def refuse(name):
        raise OSError(f"{name} is not a valid model identifier\nmore")

    monkeypatch.setattr("rerec_engine.model.source.AutoConfig.from_pretrained", refuse)
    message = (
        "^nowhere: no such directory here, and the Hub gives no such model: nowhere is not a valid model identifier$"
    )
    with pytest.raises(UserError, match=message):
        check_source("nowhere")
