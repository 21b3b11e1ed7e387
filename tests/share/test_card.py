"""The card tells what the run directory holds, and its code runs."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from huggingface_hub import ModelCard

from rerec_engine.errors import UserError
from rerec_engine.runs.settings import read_yaml, with_settings, write_yaml
from rerec_engine.share.card import base_model, cell, write_card


def test_figures_are_the_runs(run):
    path = write_card(run)
    assert path == run / "final" / "README.md"
    card = ModelCard.load(path)
    accuracy, ndcg = card.data.eval_results
    assert (accuracy.metric_type, accuracy.metric_value, accuracy.dataset_split) == ("accuracy", 0.65, "test")
    assert (ndcg.metric_type, ndcg.metric_value) == ("ndcg@1", 0.65)
    assert (card.data.library_name, card.data.base_model, card.data.model_name) == ("transformers", None, "my_run")
    text = card.text
    assert "| accuracy | 0.100 [0.050, 0.200] | 0.650 [0.612, 0.200] |" in text
    assert "| explicit | 0.110 [0.012, 0.345] | 0.110 [0.012, 0.345] |" in text
    assert "| with an answer in a box | 0.750 | 0.750 |" in text
    assert "80 items with" in text and "train 40, val 10, test 20" in text
    assert "2 steps of 32 queries with 8 responses each, 0.6 M response tokens, 1 minutes of steps" in text
    assert "| `rollout.max_new_tokens` | 12 |" in text
    assert "output_dir" not in text
    assert str(run) not in text
    assert "35 % of its answers" in text
    assert "{{" not in text and "{%" not in text


def test_its_code_runs(run, monkeypatch):
    write_card(run)
    blocks = re.findall(r"```python\n(.*?)```", (run / "final" / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 1
    monkeypatch.chdir(run / "final")
    names: dict = {}
    exec(compile(blocks[0], "README.md", "exec"), names)
    assert 1 <= names["output"].shape[1] - names["inputs"]["input_ids"].shape[1] <= 12


def test_text_of_others_is_no_markup(run):
    write_card(run)
    assert "| odd \\| \\<b\\>\\*one\\* | 0.120 | 0.120 |" in (run / "final" / "README.md").read_text()
    assert cell("a\n# b\t[c](d) `e` <script>") == "a \\# b \\[c\\](d) \\`e\\` \\<script\\>"


def test_what_is_not_there_is_said(run):
    (run / "eval.jsonl").unlink()
    (run / "metrics.jsonl").unlink()
    (run / "data").unlink()
    card = ModelCard.load(write_card(run))
    assert card.data.eval_results is None
    assert "It was not evaluated" in card.text
    assert "The dataset was no longer there" in card.text
    assert "0 steps of" in card.text


def test_a_base_model_of_the_hub_is_named(run):
    config = with_settings(read_yaml(run / "config.yaml"), {"model.path": "Qwen/Qwen2.5-3B-Instruct"})
    write_yaml(config, run / "config.yaml")
    assert ModelCard.load(write_card(run)).data.base_model == "Qwen/Qwen2.5-3B-Instruct"
    for path in ("/models/mine", "models/a/b", str(run)):
        assert base_model(with_settings(config, {"model.path": path})) is None


def test_a_run_that_has_not_ended(run):
    shutil.rmtree(run / "final")
    with pytest.raises(UserError, match="no trained model there: the run has not ended"):
        write_card(run)


def test_interval_of_one_moment_alone(run):
    lines = [json.loads(line) for line in (run / "eval.jsonl").read_text().splitlines()]
    (run / "eval.jsonl").write_text(json.dumps(lines[1]) + "\n")
    text = ModelCard.load(write_card(run)).text
    assert "| | after |\n|---|---|\n| accuracy | 0.650 [0.612, 0.200] |\n" in text


def test_a_place_without_a_run_is_told(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: no config\.yaml there; expected a run directory"):
        write_card(tmp_path / "nowhere")
