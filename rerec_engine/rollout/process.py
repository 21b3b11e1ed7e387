"""Child processes: one that answers messages, every one within a time limit, and how a process group ends."""

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
        self._finalizer = weakref.finalize(self, end_group, self.process, 0.0, os.getpid())
        self._hang_up = weakref.finalize(self, ours.close)

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
            _wait(self.process, 2)
            how = ending(self.process.poll())
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
        self._hang_up()

    def _broken(self, how: str, message: Mapping[str, Any]) -> RunError:
        last = last_line(self.log, self._log_start)
        said = f"; its last line in {self.log}: {last}" if last else f" (log: {self.log})"
        return RunError(f"the rollout engine (process {self.process.pid}) {how} at {message['op']}{said}{self.remedy}")


def end_group(process: subprocess.Popen[bytes], grace_seconds: float, owner: int) -> None:
    """End a process and all of its group, which it leads: SIGTERM, and SIGKILL when it has ended or at last.

    grace_seconds: how long it may take to end by itself; 0 kills it at once. owner: the process that started it; in a
    fork of that one nothing happens. For `weakref.finalize`.
    """
    if os.getpid() != owner:
        return
    try:
        if grace_seconds > 0:
            _signal_group(process.pid, signal.SIGTERM)
            _wait(process, grace_seconds)
    finally:
        _signal_group(process.pid, signal.SIGKILL)
    _wait(process, 10)


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


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


def ending(code: int | None) -> str:
    """How a process ended, for a sentence that begins with its name; code: as of `subprocess`, None while it runs."""
    if code is None:
        return "closed its connection"
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-code).name
        return f"was killed by signal {-code} ({name}{', perhaps for want of memory' if name == 'SIGKILL' else ''})"
    return f"was killed by signal {-code}"
