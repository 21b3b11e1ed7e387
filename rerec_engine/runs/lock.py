"""One run at a time in a directory: a lock that the operating system drops with the process that holds it."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from rerec_engine.errors import UserError, file_error

NAME = ".lock"


class RunLock:
    """Held from when it is made until `release`, or the end of the process however it ends; children do not inherit it.

    On a file system that knows no locks it is none. Raises UserError where another run holds it.
    """

    def __init__(self, run: Path) -> None:
        path = run / NAME
        try:
            self._file = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise file_error(path, f"cannot write: {error.strerror or error}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                self._file.seek(0)
                holder = self._file.read().strip()
                self._file.close()
                told = f" (process {holder})" if holder.isdigit() else ""
                raise UserError(f"{run}: a run is going on there{told}; wait for its end, or stop it") from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        self._file.close()
