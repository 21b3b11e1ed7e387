"""A record of `pytest bench/ --benchmark-only --benchmark-json=FILE`: medians, ratios, hardware, versions, commit.

python -m bench.common.summarise FILE --output bench/results/rewards.json
"""

from __future__ import annotations

import argparse
import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "numpy",
    "scipy",
    "numba",
    "scikit-learn",
    "ranx",
    "networkx",
    "triton",
    "liger-kernel",
)


def versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def summarise(record: dict[str, Any]) -> dict[str, Any]:
    machine = record["machine_info"]
    return {
        "cpu": machine.get("cpu", {}).get("brand_raw", machine["machine"]),
        "python": machine["python_version"],
        "versions": versions(),
        "commit": record["commit_info"]["id"],
        "date": record["datetime"][:10],
        "benchmarks": [
            {
                "name": bench["name"],
                "median_seconds": bench["stats"]["median"],
                "iqr_seconds": bench["stats"]["iqr"],
                "rounds": bench["stats"]["rounds"],
                **bench["extra_info"],
            }
            for bench in record["benchmarks"]
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    args.output.write_text(json.dumps(summarise(json.loads(args.file.read_text())), indent=1) + "\n")


if __name__ == "__main__":
    main()
