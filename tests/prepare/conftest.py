"""Raw data in small that the doors of this folder read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder laid out like the real one, small: 60 films, 12 explicit queries."""
    root = tmp_path / "source"
    for name in ("recbenchplus/decoded", "ml-1m", "ml-1m-dbpedia"):
        (root / name).mkdir(parents=True)
    (root / "ml-1m/movies.dat").write_text("".join(f"{i}::Film {i} ({1900 + i})::War|Drama\n" for i in range(1, 61)))
    (root / "ml-1m/item_map.txt").write_text("".join(f"{i} {i - 1}\n" for i in range(1, 61)))
    (root / "ml-1m/user_map.txt").write_text("".join(f"{i + 1} {i}\n" for i in range(5)))
    (root / "ml-1m/train.txt").write_text(
        "".join(f"{u} {' '.join(str((7 * u + j) % 60) for j in range(9))}\n" for u in range(5))
    )
    (root / "ml-1m/test.txt").write_text("".join(f"{u} {(7 * u + 20) % 60}\n" for u in range(5)))
    (root / "ml-1m-dbpedia/item_attributes.tsv").write_text(
        "movielens_id\trelation\tattribute\n" + "".join(f"{i}\tstarring\tdbr:Star_{i % 9}\n" for i in range(1, 61))
    )
    rows = [
        {"id": str(i), "gt_size": 1, "gt_item_ids": [i], "gt_other": [], "complete": i != 12, "query": f"Query {i}?"}
        for i in range(1, 13)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (root / "recbenchplus/decoded/decoded_Explicit.jsonl").write_text(lines)
    return root
