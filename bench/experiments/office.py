"""Our evaluation beside published figures on one split, the Office products of MiniOneRec: `make office SOURCE=DIR`.

Reads what `evaluate --baselines --ranking` has written, one file a seed, and writes bench/results/office.json: HR and
NDCG at 3, 5 and 10 of all 3,459 products over the 4,866 test rows, beside the published ones (arXiv 2510.24431, table
of the repository AkaliKong/MiniOneRec), whose models were trained on 38,924 rows; ours have 9,484 transitions.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rerec_engine.experiment.table import interval
from rerec_engine.runs.environment import describe

ROOT = Path(__file__).resolve().parents[2]
MEASURES = ("HR@3", "NDCG@3", "HR@5", "NDCG@5", "HR@10", "NDCG@10")
PUBLISHED = {
    "GRU4Rec": (0.0629, 0.0528, 0.0789, 0.0595, 0.1019, 0.0669),
    "Caser": (0.0748, 0.0615, 0.0865, 0.0664, 0.1093, 0.0737),
    "SASRec": (0.0861, 0.0769, 0.0949, 0.0805, 0.1120, 0.0858),
    "HSTU": (0.1134, 0.1031, 0.1252, 0.1079, 0.1400, 0.1126),
    "TIGER": (0.0986, 0.0852, 0.1163, 0.0960, 0.1408, 0.1002),
    "LCRec": (0.0921, 0.0807, 0.1048, 0.0859, 0.1237, 0.0920),
    "BIGRec": (0.1069, 0.0961, 0.1204, 0.1017, 0.1434, 0.1091),
    "D3": (0.1204, 0.1055, 0.1406, 0.1139, 0.1634, 0.1213),
    "S-DPO": (0.1169, 0.1033, 0.1356, 0.1110, 0.1587, 0.1255),
    "MiniOneRec": (0.1217, 0.1088, 0.1420, 0.1172, 0.1634, 0.1242),
}
TEST_ROWS, PRODUCTS, TRANSITIONS, PUBLISHED_ROWS = 4866, 3459, 9484, 38924


def summary(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of the `ranking` of one file a seed: every system's figures, its intervals over queries those of the first seed.

    Raises ValueError for a report that is not of the whole test split.
    """
    for report in reports:
        if (report["queries"], report["catalogue"], report["split"]) != (TEST_ROWS, PRODUCTS, "test"):
            raise ValueError(f"expected all {TEST_ROWS} test rows over {PRODUCTS} products, got {report['queries']}")
    found: dict[str, Any] = {}
    for name, first in reports[0]["systems"].items():
        figures = [report["systems"][name]["groups"]["all"] for report in reports if name in report["systems"]]
        found[name] = {"queries": first["groups"]["all"]["queries"], "seeds": len(figures), "measures": {}}
        for measure in MEASURES:
            runs = [of["measures"][measure]["mean"] for of in figures]
            own = first["groups"]["all"]["measures"][measure]
            found[name]["measures"][measure] = {
                "mean": sum(runs) / len(runs),
                "over queries": [own["low"], own["high"]],
                "over seeds": list(interval(np.array(runs))) if len(runs) > 1 else None,
                "runs": runs,
            }
        for kind in ("coverage", "novelty", "popularity"):
            found[name][kind] = first[kind]["@10"]
        groups = {group: of for group, of in first["groups"].items() if group.endswith(" items")}
        found[name]["NDCG@10 by popularity"] = {group: of["measures"]["NDCG@10"] for group, of in groups.items()}
    return found


def rows(ours: Mapping[str, Any]) -> list[list[str]]:
    """The table: ours, then the published ones."""
    lines = [["", *MEASURES]]
    for name, of in ours.items():
        cells = [of["measures"][measure] for measure in MEASURES]
        lines.append(
            [name, *(f"{c['mean']:.4f} [{c['over queries'][0]:.4f}, {c['over queries'][1]:.4f}]" for c in cells)]
        )
    lines += [[f"{name} (published)", *(f"{x:.4f}" for x in figures)] for name, figures in PUBLISHED.items()]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="F.json", help="of evaluate, one a seed")
    parser.add_argument("--output", type=Path, default=ROOT / "bench" / "results" / "office.json")
    options = parser.parse_args()
    ours = summary([json.loads(path.read_text())["ranking"] for path in options.files])
    environment = describe()
    del environment["command"]  # its places are those of one machine
    record = {
        "environment": environment,
        "test rows": TEST_ROWS,
        "products": PRODUCTS,
        "training": {"ours, transitions": TRANSITIONS, "published, rows": PUBLISHED_ROWS},
        "systems": ours,
        "published": {name: dict(zip(MEASURES, figures, strict=True)) for name, figures in PUBLISHED.items()},
        "published in": "arXiv 2510.24431, github.com/AkaliKong/MiniOneRec at 81b4ba9",
    }
    options.output.write_text(json.dumps(record, indent=1) + "\n")
    for line in rows(ours):
        print("| " + " | ".join(line) + " |")


if __name__ == "__main__":
    main()
