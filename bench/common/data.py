"""Where the real data lies that some benchmarks need: below `$REREC_SHARED_DATA`, else `../shared/data`."""

from __future__ import annotations

import os
from pathlib import Path


def shared_data() -> Path:
    root = Path(__file__).resolve().parents[2]
    return Path(os.environ.get("REREC_SHARED_DATA") or root.parent / "shared" / "data")


def missing_data(*folders: str) -> str:
    """Why a benchmark of these folders must be skipped; empty: they are there."""
    missing = [str(shared_data() / name) for name in folders if not (shared_data() / name).is_dir()]
    return f"no {', '.join(missing)}: set REREC_SHARED_DATA" if missing else ""
