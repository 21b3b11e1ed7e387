"""Messages between trainer and engine: pickled plain values, each behind its length, on a socket."""

from __future__ import annotations

import pickle
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

LENGTH = struct.Struct("<Q")
SLICE = 0.25
"""Seconds between two looks at whether the other side lives."""


class Channel:
    """One end of a socket. Raises EOFError where the other side is gone, TimeoutError after `deadline`."""

    def __init__(self, sock: socket.socket, alive: Callable[[], bool] = lambda: True) -> None:
        self.sock = sock
        self.alive = alive

    def send(self, message: object, deadline: float | None = None) -> None:
        """deadline: of `time.monotonic`; None waits for ever."""
        body = pickle.dumps(message, protocol=4)
        for part in (LENGTH.pack(len(body)), body):
            view = memoryview(part)
            while view:
                view = view[self._wait(lambda view=view: self.sock.send(view), deadline) :]  # type: ignore[misc]

    def receive(self, deadline: float | None = None) -> Any:
        (length,) = LENGTH.unpack(self._read(LENGTH.size, deadline))
        return pickle.loads(self._read(length, deadline))

    def close(self) -> None:
        self.sock.close()

    def _read(self, count: int, deadline: float | None) -> bytearray:
        buffer = bytearray(count)
        view = memoryview(buffer)
        while view:
            got = self._wait(lambda view=view: self.sock.recv_into(view), deadline)  # type: ignore[misc]
            if not got:
                raise EOFError
            view = view[got:]
        return buffer

    def _wait(self, call: Callable[[], int], deadline: float | None) -> int:
        """`call` again and again, in slices of time, until it moves some bytes."""
        while True:
            left = SLICE if deadline is None else min(SLICE, deadline - time.monotonic())
            if left <= 0:
                raise TimeoutError
            self.sock.settimeout(left)
            try:
                return call()
            except TimeoutError:
                if not self.alive():
                    raise EOFError from None
            except (BrokenPipeError, ConnectionResetError):
                raise EOFError from None
