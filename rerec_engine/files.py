"""Files written whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path


def write_json(path: str | Path, value: object) -> None:
    """Write under a temporary name and rename, so that a full disk never leaves half a file."""
    target = Path(path)
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
