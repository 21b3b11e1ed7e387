"""The command from end to end, on a demo world and a tiny model that has learnt one answer by heart."""

from __future__ import annotations

import io
import json
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from rerec_engine import recommend
from rerec_engine.config import ModelConfig
from rerec_engine.data.dataset import Dataset, load_dataset
from rerec_engine.errors import UserError
from rerec_engine.model.policy import Policy
from rerec_engine.model.small_model import make_small_policy, phrase_tokenizer
from rerec_engine.worlds.demo import write_demo
from rerec_engine.worlds.options import DemoOptions


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("demo") / "data"
    few = {field.name: 5 for field in fields(DemoOptions) if field.name.endswith(("_queries", "_traces"))}
    write_demo(path, DemoOptions(films=40, books=40, users=20, embedding_epochs=1, **few))
    return load_dataset(path)


def learn(policy: Policy, prompt: list[int], response: list[int]) -> None:
    """Learn one response by heart."""
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=1e-2)
    for _ in range(200):
        logp, _ = policy.token_logprobs([(prompt, response)], return_entropy=False)
        loss = -logp.mean()
        if loss.item() < 0.02:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02


@pytest.fixture(scope="module")
def model(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    query = data.queries("test")[0]
    tokenizer = phrase_tokenizer([f" {title}" for title in data.titles])
    policy = make_small_policy(tokenizer, ModelConfig(hidden_size=32, layers=2, heads=2), max_tokens=2048, seed=0)
    title = data.titles[query.ground_truth[0]]
    response = tokenizer.encode(f"Naïve: {title}\n\\boxed{{ {title}}}", add_special_tokens=False)
    learn(policy, policy.encode_prompt(query.messages), [*response, policy.end_ids[0]])
    path = tmp_path_factory.mktemp("run") / "final"
    policy.save(path)
    return path


def request(data: Dataset) -> str:
    return data.queries("test")[0].messages[0]["content"].split("\n")[0]


def run(model: Path, data: Dataset, *argv: str) -> None:
    recommend.main(
        ["--model", str(model), "--data", str(data.path), "--device", "cpu", "--max-new-tokens", "40", *argv]
    )


def test_reasoning_comes_first_then_the_item_with_its_attributes(
    model: Path, data: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    run(model.parent, data, request(data))  # a run directory stands for its final/
    out = capsys.readouterr().out
    title = data.titles[data.queries("test")[0].ground_truth[0]]
    _, value = data.attributes.attributes_of(data.queries("test")[0].ground_truth[0])[0]
    assert "\n20 candidates: those of query test-0, whose request is the same as this one" in f"\n{out}"
    assert out.index("Naïve:") < out.index(f"1. {title}") < out.index(value, out.index("1. "))
    assert "boxed" not in out
    assert "note:" not in out


def test_json_holds_the_same(model: Path, data: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    run(model, data, "--json", request(data))
    answer = json.loads(capsys.readouterr().out)
    item = data.queries("test")[0].ground_truth[0]
    assert [entry["item_id"] for entry in answer["items"]] == [item]
    assert answer["items"][0]["among_candidates"] is True
    assert answer["reasoning"].startswith("Naïve:")
    assert len(answer["candidates"]) == 20
    assert answer["notes"] == []


def test_cut_off_answer_is_told(model: Path, data: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    run(model, data, "--max-new-tokens", "3", request(data))
    out = capsys.readouterr().out
    assert "note: cut off after 3 tokens (--max-new-tokens)" in out
    assert "note: the response holds no answer in a box" in out
    assert "\n1. " not in out


def test_chat_answers_each_line_and_survives_a_bad_one(
    model: Path, data: Dataset, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = f"{request(data)}\n\n{'x' * 9000}\ncaf\udce9 drama\n{request(data)}\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    run(model, data, "--json")
    captured = capsys.readouterr()
    answers = [json.loads(line) for line in captured.out.splitlines()]
    assert len(answers) == 2
    assert answers[0] == answers[1]
    too_long, no_text = captured.err.splitlines()
    assert too_long == "error: a request has 1 to 8000 characters, got 9000"
    assert no_text == r"error: byte 0xe9 is no UTF-8: 'caf\udce9 drama'"


def test_chat_keeps_the_turns_until_new(
    model: Path, data: Dataset, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{request(data)}\nanother\n/help\n/new\nanother\n"))
    run(model, data, "--json", "--top-k", "1")
    captured = capsys.readouterr()
    first, second, third = (json.loads(line) for line in captured.out.splitlines())
    assert second["follows"]
    assert not third["follows"]
    assert second["conditions"] == first["conditions"] != third["conditions"]
    assert first["items"][0]["title"] not in second["candidates"]
    assert "/new starts afresh" in captured.err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--user", "99", "x"], r"user '99' is not known: give a row, 0 to 19"),
        (["--candidates", " ; ", "x"], "--candidates: no title"),
        (["--candidates", "No Such Film", "x"], "--candidates: No Such Film: in no catalogue"),
        (["--candidates", "Caf\udce9", "x"], r"byte 0xe9 is no .*: 'Caf\\udce9'"),
        (["--temperature", "1e-39", "x"], r"temperature must be 0 \(greedy\), or 0.01 or more, got 1e-39"),
        ([""], "a request has 1 to"),
    ],
)
def test_bad_requests_are_refused(model: Path, data: Dataset, argv: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(model, data, *argv)


def test_missing_model_and_data_are_named(model: Path, data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such model directory"):
        run(tmp_path / "nowhere", data, "x")
    with pytest.raises(UserError, match="no such dataset directory"):
        recommend.main(["--model", str(model), "--data", str(tmp_path / "nowhere"), "x"])


def test_search_model_that_is_none_is_told(model: Path, data: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("model2vec", reason="no model2vec: pip install .[search]")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read as a model2vec model"):
        run(model, data, "--search-model", str(tmp_path), "x")
