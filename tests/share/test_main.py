"""Publishing: what is sent to the Hub, and what is said where it is refused."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from rerec_engine.errors import UserError
from rerec_engine.share.__main__ import main, push


def share(hub, tmp_path: Path, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command, with a Hub and a home of its own."""
    own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "hf_secret", "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-m", "rerec_engine.share", *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=600, env={**os.environ, **own, **environment}
    )


@pytest.mark.slow
def test_final_is_uploaded_and_nothing_else(run, hub, tmp_path):
    done = share(hub, tmp_path, run, "--push-to-hub", "me/model", "--private")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"{hub.url}/me/model"
    made = next(json.loads(body) for _, path, body in hub.asked if path == "/api/repos/create")
    assert (made["organization"], made["name"], made["visibility"]) == ("me", "model", "private")
    commit = next(body for _, path, body in hub.asked if path == "/api/models/me/model/commit/main")
    lines = [json.loads(line) for line in commit.splitlines()]
    sent = {
        line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines if line["key"] == "file"
    }
    assert sent == {file.name: file.read_bytes() for file in (run / "final").iterdir()}
    assert {"README.md", "model.safetensors", "config.json", "tokenizer.json"} <= set(sent)
    assert all(name in done.stdout for name in sent)
    assert "hf_secret" not in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "(401): the token is missing or not valid"), (403, "(403): the token may not write there"), (500, "(500)")],
)
def test_a_refusal_is_one_line(run, hub, monkeypatch, status, message):
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.refuse = status
    with pytest.raises(UserError) as caught:
        push(run / "final", "me/model", private=False)
    assert f"the Hub refused me/model {message}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_network_is_one_line(run, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with pytest.raises(UserError, match=r"the Hub at http://127\.0\.0\.1:9 cannot be reached: [^\n]+$"):
        push(run / "final", "me/model", private=False)


def test_a_name_that_is_none(run):
    with pytest.raises(UserError, match="--push-to-hub: expected OWNER/NAME, got 'no owner'"):
        main([str(run), "--push-to-hub", "no owner"])
    assert not (run / "final" / "README.md").exists()
