"""The sweep: every causal-LM architecture that transformers knows trains, samples, is saved and loaded, or is refused
in one line; docs/architectures.md tells what happens."""

from __future__ import annotations

from pathlib import Path

import pytest
import transformers
from architectures import LOOSER, line_of, model_types, try_out

DOCUMENT = Path(__file__).parents[2] / "docs" / "architectures.md"
KINDS = model_types()
PARTS = 12
BOUND = 1e-4


def told() -> dict[str, str]:
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")][1:]
    return {line.split(" | ")[0].removeprefix("| "): line for line in lines}


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_every_architecture_works_or_is_refused_in_one_line(part, tmp_path):
    known = told()
    for kind in KINDS[part::PARTS]:
        out = try_out(kind, tmp_path / kind)
        assert out.difference is None or out.difference <= (1e-3 if kind in LOOSER else BOUND), out
        assert "\n" not in out.why
        if kind in known and DOCUMENT.read_text().find(transformers.__version__.rsplit(".", 1)[0]) > 0:
            assert line_of(out) == known[kind], "out of date: PYTHONPATH=. python tests/model/architectures.py"


def test_the_table_is_of_all_architectures():
    """Of the version of transformers that it names."""
    version = transformers.__version__.rsplit(".", 1)[0]
    if f"transformers\n{version} knows" not in DOCUMENT.read_text():
        pytest.skip(f"the table is not of transformers {version}: PYTHONPATH=. python tests/model/architectures.py")
    assert sorted(told()) == KINDS
    assert sum("| works |" in line for line in told().values()) >= 60
