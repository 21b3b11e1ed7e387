"""What libraries make of a full disk, as the OSError that it is."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError


@contextmanager
def disk_errors(path: str | Path) -> Iterator[None]:
    """Within, safetensors', tokenizers' and torch's own errors of writing below `path` are OSErrors.

    torch: of `torch.save` into an open file; into a name it writes by itself, and forgets why it could not.
    """
    try:
        yield
    except SafetensorError as error:
        raise OSError(errno.EIO, str(error), str(path)) from error
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise OSError(errno.EIO, str(error), str(path)) from error  # tokenizers'
