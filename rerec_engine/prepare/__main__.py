"""python -m rerec_engine.prepare files|demo|world|next-item|recbench|movielens|rerec-parquet ... --output DIR"""

from __future__ import annotations

from rerec_engine.cli import run_command
from rerec_engine.prepare.command import main

if __name__ == "__main__":
    run_command(main)
