"""Runs a command that dies with its starter, however that one ends.

    python guard.py STARTER_PID COMMAND...

Needs the standard library alone. Start it in a session of its own: whatever the command starts dies with it too.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time

MOST_OPEN = 65536
"""Descriptors that are closed."""
LOOK_SECONDS = 0.5
"""Between two looks at the processes, where the system cannot wait for one that is no child."""


def guard(starter_pid: int) -> None:
    """Fork a watcher that kills this process group once its leader (this process) or the starter has ended.

    To be called by the leader, a child of the starter, before it starts anything. Exits where the starter is gone.
    """
    watched = (starter_pid, os.getpid())
    if os.getpgrp() != os.getpid():
        sys.exit("guard: not the leader of a process group")
    if os.getppid() != starter_pid:
        sys.exit(1)
    if os.fork():
        return
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # of the group's gentle end, which this outlives
        signal.signal(number, signal.SIG_IGN)
    most = os.sysconf("SC_OPEN_MAX")  # -1 where there is no limit
    os.closerange(0, min(most, MOST_OPEN) if most > 0 else MOST_OPEN)  # so that the starter sees its ends close
    try:
        _wait_for_end(watched)
    finally:
        os.killpg(0, signal.SIGKILL)


def _wait_for_end(pids: tuple[int, int]) -> None:
    """Until the first of the processes has ended."""
    poll = select.poll()
    try:
        for pid in pids:
            poll.register(os.pidfd_open(pid), select.POLLIN)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):  # an old kernel, or another system
        with contextlib.suppress(ProcessLookupError, PermissionError):
            while os.getppid() == pids[1]:
                os.kill(pids[0], 0)
                time.sleep(LOOK_SECONDS)
        return
    poll.poll()


def main() -> None:
    """Guard this process, then become the command; 127 where it cannot be run."""
    guard(int(sys.argv[1]))
    command = sys.argv[2:]
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(127)


if __name__ == "__main__":
    main()
