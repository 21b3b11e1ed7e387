"""Runs a command in a process group that ends with whoever started it.

    python keeper.py DESCRIPTOR COMMAND...

DESCRIPTOR is the reading end of a pipe whose other end the starter holds and never writes to: when it closes, however
the starter ended, the group gets SIGTERM and a little later SIGKILL. Needs the standard library alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

GRACE_SECONDS = 5.0


def main() -> None:
    """Start the command and wait for its end; exits with its exit code, and leaves nothing of its group."""
    pipe, command = int(sys.argv[1]), sys.argv[2:]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def watch() -> None:
        os.read(pipe, 1)
        _signal_group(child, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_SECONDS)
        _signal_group(child, signal.SIGKILL)

    def stop(*_: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=watch, daemon=True).start()
    try:
        code = child.wait()
    finally:
        _signal_group(child, signal.SIGKILL)
    sys.exit(code if code >= 0 else 128 - code)


def _signal_group(child: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


if __name__ == "__main__":
    main()
