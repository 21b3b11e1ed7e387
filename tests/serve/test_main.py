"""The command: how it starts, and what it says where it cannot."""

from __future__ import annotations

import socket
import sys

import pytest

pytest.importorskip("uvicorn", reason="uvicorn is missing: pip install .[serve]")

pytest.importorskip("httpx", reason="httpx is missing: pip install .[test]")

from fastapi.testclient import TestClient

from rerec_engine.errors import UserError
from rerec_engine.serve import __main__ as command


def words(tiny_model, mini_demo, *more):
    return ["--model", str(tiny_model), "--data", str(mini_demo), *more]


def test_port_in_use_is_told(tiny_model, mini_demo):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            UserError, match=f"cannot listen at 127.0.0.1 port {port}: .*; name another --host or --port"
        ):
            command.main(words(tiny_model, mini_demo, "--port", str(port)))


def test_without_its_libraries_the_extra_is_named(tiny_model, mini_demo, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    with pytest.raises(UserError, match=r"fastapi is not installed: pip install 'rerec-engine\[serve\]'"):
        command.main(words(tiny_model, mini_demo))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--port", "70000"], "--port must be in 0..65535"),
        (["--timeout", "0"], "--timeout: expected 1 or more"),
        (["--engine", "other"], "--engine: invalid choice"),
    ],
)
def test_bad_options(tiny_model, mini_demo, option, message):
    with pytest.raises(UserError) as caught:
        command.main(words(tiny_model, mini_demo, *option))
    assert message in str(caught.value)


def test_vllm_that_is_not_there(tiny_model, mini_demo, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"--vllm-python \S+: no such program"):
        command.main(words(tiny_model, mini_demo, "--port", "0", "--vllm-python", str(tmp_path / "python")))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="--engine vllm: vLLM is not installed here"):
        command.main(words(tiny_model, mini_demo, "--port", "0", "--engine", "vllm"))


@pytest.mark.parametrize("key", [None, "secret"])
def test_other_addresses_are_warned_of_without_a_key(tiny_model, mini_demo, monkeypatch, capsys, key):
    asked = {}

    async def serve(server, bound, backend, ready):
        asked.update(app=server.config.app, ready=ready)
        bound.close()

    monkeypatch.setattr(command, "_serve", serve)
    monkeypatch.delenv(command.KEY, raising=False)
    if key:
        monkeypatch.setenv(command.KEY, key)
    options = ["--host", "0.0.0.0", "--port", "0", "--engine", "sampler", "--device", "cpu"]
    command.main(words(tiny_model, mini_demo, *options))
    assert ("warning: everybody who reaches 0.0.0.0 can ask" in capsys.readouterr().err) == (key is None)
    assert asked["ready"].startswith("chat: http://0.0.0.0:")
    with TestClient(asked["app"]) as client:
        assert client.get("/v1/models").status_code == (401 if key else 200)


def test_url_of_a_version_6_address():
    assert command.url("::1", 80) == "http://[::1]:80"
