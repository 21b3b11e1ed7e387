"""A child process that answers messages, every one within a time limit, and that never outlives this process."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rerec_engine.errors import RunError, UserError
from rerec_engine.rollout.child.engine_wire import Channel

CLOSE_SECONDS = 10.0
NOISE = re.compile(r"resource_tracker|leaked|\b(?:INFO|WARNING) \d|warnings\.warn|^\s|^Traceback|^[\^~ ]*$")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class EngineProcess:
    """Starts `python program SOCKET DESCRIPTORS... PARENT_ID` as a process group of its own; output goes to `log`.

    What goes wrong is a `RunError` of one line, or a `UserError` where the child says so; after either the whole group
    is gone.
    """

    def __init__(
        self,
        python: str,
        program: Path,
        log: Path,
        environment: Mapping[str, str],
        descriptors: Sequence[int] = (),
        remedy: str = "",
    ) -> None:
        self.log, self.remedy = log, remedy
        log.parent.mkdir(parents=True, exist_ok=True)
        ours, theirs = socket.socketpair()
        fds = [theirs.fileno(), *descriptors]
        with open(log, "ab") as output:
            self._log_start = output.tell()
            try:
                self.process = subprocess.Popen(
                    [python, str(program), *map(str, fds), str(os.getpid())],
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=fds,
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise UserError(f"rollout.vllm.python: cannot start {python}: {error.strerror}") from error
            finally:
                theirs.close()
        self._channel = Channel(ours, alive=lambda: self.process.poll() is None)
        self._finalizer = weakref.finalize(self, _end, self.process, ours, os.getpid())

    @property
    def running(self) -> bool:
        return self._finalizer.alive and self.process.poll() is None

    def ask(self, message: Mapping[str, Any], seconds: float) -> Any:
        """The child's answer to a message; the whole exchange takes at most `seconds`."""
        if not self._finalizer.alive:
            raise self._broken("was closed or has ended before", message)
        deadline = time.monotonic() + seconds
        try:
            self._channel.send(dict(message), deadline)
            answer = self._channel.receive(deadline)
        except TimeoutError:
            self.kill()
            raise self._broken(
                f"gave no answer in {seconds:g} s (rollout.vllm.timeout) and was killed", message
            ) from None
        except (EOFError, OSError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(2)
            how = _ending(self.process.poll())
            self.kill()
            raise self._broken(how, message) from None
        except BaseException:  # Ctrl-C in the middle of an exchange: the next answer would be this one's
            self.kill()
            raise
        if answer[0] == "ok":
            return answer[1]
        _, kind, text = answer
        self.kill()
        if kind == "setting":
            raise UserError(text)
        raise RunError(f"the rollout engine failed at {message['op']}: {text} (log: {self.log}){self.remedy}")

    def close(self, message: Mapping[str, Any] | None = None) -> None:
        """Ask the child to end, with `message`; then end its whole group."""
        if message is not None and self.running:
            with contextlib.suppress(RunError, UserError):
                self.ask(message, CLOSE_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the whole group now."""
        self._finalizer()

    def _broken(self, how: str, message: Mapping[str, Any]) -> RunError:
        last = last_line(self.log, self._log_start)
        said = f"; its last line in {self.log}: {last}" if last else f" (log: {self.log})"
        return RunError(f"the rollout engine (process {self.process.pid}) {how} at {message['op']}{said}{self.remedy}")


def last_line(log: Path, start: int = 0) -> str:
    """The last line of a log that says something: of an error where there is one, else any; "" where there is none."""
    try:
        with open(log, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(start, size - 65536))
            text = COLOUR.sub("", file.read().decode(errors="replace"))
    except OSError:
        return ""
    lines = [line for line in text.splitlines() if line.strip() and not NOISE.search(line)]
    errors = [line for line in lines if re.search(r"\w*(Error|Exception)\b|^error|^Killed|\bFATAL\b", line)]
    return " ".join((errors or lines or [""])[-1].split())[:500]


def _ending(code: int | None) -> str:
    if code is None:
        return "closed its connection"
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-code).name
        return f"was killed by signal {-code} ({name}{', perhaps for want of memory' if name == 'SIGKILL' else ''})"
    return f"was killed by signal {-code}"


def _end(process: subprocess.Popen[bytes], sock: socket.socket, owner: int) -> None:
    if os.getpid() != owner:  # a fork of this process at its end
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    sock.close()
