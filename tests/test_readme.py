"""README.md as its three readers follow it: every snippet, and the demo in small."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rerec_engine.worlds import options

TEXT = re.sub(r"\\\n\s*", "", (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8"))
Follow = Callable[[str, list[str]], None]
WORLD = {"films": 40, "books": 40, "users": 40, "embedding_epochs": 2, "candidates": 6}
WORLD |= {"train_queries": 10, "val_queries": 10, "test_queries": 10}
WORLD |= {"short_traces": 600, "medium_traces": 50, "full_traces": 50, "biased_traces": 20}
SMALL = """--warm-start.epochs 1 --model.hidden-size 32 --model.layers 2 --train.steps 1 --train.queries-per-step 4
  --train.queries-per-update 4 --rollout.max-new-tokens 16 --train.eval-every 1 --threads 1 --device cpu"""


def test_rewards_and_loss() -> None:
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    engine, batch, truth = names["engine"], names["batch"], names["truth"]
    rewards = engine.token_rewards(batch["input_ids"], batch["attention_mask"], truth, names["tokenizer"])
    assert 0 < rewards[0, 0] < rewards[0, batch["attention_mask"][0].sum() - 1]  # the line that argues for it
    np.testing.assert_allclose(names["scores"].ndcg, [0, 1])
    assert names["hidden"].grad.abs().sum() > 0
    assert names["head"].grad.abs().sum() > 0


@pytest.mark.slow
def test_demo_and_recommendations(
    tmp_path: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The two commands under Recommendations; only the sizes of the demo's world and model are others."""
    section = TEXT[TEXT.index("## Recommendations") :]
    train, recommend = section[section.index("```\n") + 4 :].splitlines()[:2]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(options, "DemoOptions", functools.partial(options.DemoOptions, **WORLD))
    words = dict(word.split("=", 1) for word in shlex.split(train)[2:])
    follow("train", [*shlex.split(words["ARGS"]), *SMALL.split()])
    capsys.readouterr()
    python, _, module, *arguments = shlex.split(recommend)
    assert (python, module) == (".venv/bin/python", "rerec_engine.recommend")
    follow("recommend", arguments)
    assert capsys.readouterr().out.strip()
    assert (tmp_path / "runs" / "demo" / "report.html").is_file()
