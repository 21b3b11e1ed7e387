"""vLLM as it comes, for `generation.py`: weights read from the model's files and repacked for oneDNN, never pushed.

The engine's program otherwise, with the arguments that the trainer starts it with.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "rerec_engine" / "rollout" / "child"))

import engine_program


class FileWeights:
    """In the place of the worker extension that loads from shared memory."""

    def load_shared(self, *_: Any) -> list[str]:
        return []


class FileEngine(engine_program.Engine):
    def __init__(self, message: dict[str, Any], memory: int) -> None:
        message["arguments"]["load_format"] = "auto"
        super().__init__(message, memory)


if __name__ == "__main__":
    extension: Any = types.ModuleType("engine_weights")
    extension.SharedWeights = FileWeights
    sys.modules["engine_weights"] = extension
    engine_program.Engine = FileEngine  # type: ignore[misc]
    engine_program.main()
