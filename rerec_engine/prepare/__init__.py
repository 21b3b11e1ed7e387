"""Raw data -> dataset directory, GGUF -> model directory: one file a door.

From Python: `run(RecBench(output=..., source=...))`.
"""

from rerec_engine.prepare.command import TASKS, Task, main, run
from rerec_engine.prepare.fetch import Fetch
from rerec_engine.prepare.files import Files
from rerec_engine.prepare.made import Demo, NextItem, World
from rerec_engine.prepare.model import Model
from rerec_engine.prepare.movielens import MovieLens
from rerec_engine.prepare.places import Shares
from rerec_engine.prepare.recbench import RecBench
from rerec_engine.prepare.requests import Requests
from rerec_engine.prepare.rerec_parquet import RerecParquet

__all__ = [
    "TASKS",
    "Demo",
    "Fetch",
    "Files",
    "Model",
    "MovieLens",
    "NextItem",
    "RecBench",
    "Requests",
    "RerecParquet",
    "Shares",
    "Task",
    "World",
    "main",
    "run",
]
