"""The examples of docs/integrations.md, as they stand there but for the model."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from rerec_engine.integrations.openrlhf import reward_func
from rerec_engine.reward import RewardEngine

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "integrations.md").read_text()


def examples(section: str, language: str) -> list[str]:
    body = re.split(r"^## ", TEXT, flags=re.MULTILINE)
    [text] = [part for part in body if part.startswith(section + "\n")]
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def here(mini_demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the demo in data/demo."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "demo").symlink_to(mini_demo)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("section", ["Plain Python", "TRL", "OpenRLHF"])
def test_embedding_takes_about_ten_lines(section: str) -> None:
    code = [line for line in examples(section, "python")[0].splitlines() if line.strip()]
    assert len(code) <= 13


def test_plain_python(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transformers = pytest.importorskip("transformers", reason="no transformers: pip install .")
    from rerec_engine.model.small_model import corpus_tokenizer

    made = corpus_tokenizer(["It fits."], vocab_size=300)
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", lambda name: made)
    [code] = examples("Plain Python", "python")
    names: dict[str, Any] = {}
    exec(code, names)
    right = list(names["query"].candidates).index(names["query"].ground_truth[0])
    assert names["scores"].hit.tolist() == [float(i == right) for i in range(len(names["answers"]))]
    tokens = names["batch"]["attention_mask"][right].astype(bool)
    assert names["rewards"][right][tokens] == pytest.approx(float(names["scores"].total[right]))


def test_trl(here: Path) -> None:
    pytest.importorskip("trl", reason="TRL is not installed: make test-integrations")
    from rerec_engine.config import ModelConfig
    from rerec_engine.model.small_model import corpus_tokenizer, make_small_policy

    tokenizer = corpus_tokenizer(["Recommend a film"], vocab_size=300)
    config = ModelConfig(hidden_size=32, layers=1, heads=2)
    policy = make_small_policy(tokenizer, config, max_tokens=4096, seed=0, device="cpu")
    policy.model.save_pretrained(here / "model")
    tokenizer.save_pretrained(here / "model")
    [code] = examples("TRL", "python")
    tiny = (
        "GRPOConfig(max_steps=1, max_completion_length=4, logging_steps=1, report_to='none', use_cpu=True, bf16=False, "
    )
    names: dict[str, Any] = {}
    exec(code.replace("Qwen/Qwen2.5-1.5B-Instruct", "model").replace("GRPOConfig(", tiny), names)
    assert names["trainer"].state.log_history[0]["rewards/rerec_reward/answered"] == 0


@pytest.mark.parametrize("example", [0, 1], ids=["a reward a response", "a reward a token"])
def test_verl_knows_the_settings(example: int) -> None:
    """Composed with verl's own configuration; what starts with no + must be there already."""
    verl = pytest.importorskip("verl", reason="verl is not installed: make test-integrations")
    import hydra
    from verl.trainer.ppo.reward import get_custom_reward_fn

    command = shlex.split(examples("verl", "sh")[example].replace("\\\n", " "))
    overrides = command[command.index("verl.trainer.main_ppo") + 1 :]
    folder = Path(verl.__file__).parent / "trainer" / "config"
    with hydra.initialize_config_dir(str(folder), version_base=None):
        config = hydra.compose("ppo_trainer", [*overrides, "algorithm.filter_groups.metric=score"])
    if example == 0:
        assert get_custom_reward_fn(config).args[1] == {"data_dir": "data/demo"}
    else:
        assert config.reward.reward_kwargs == {"data_dir": "data/demo", "w_penalty": 0.3}
        assert config.trainer.use_v1


def test_openrlhf(here: Path) -> None:
    rewards, labels = examples("OpenRLHF", "python")
    exec(rewards, {})
    exec(labels, {})
    rows = [json.loads(line) for line in Path("train.jsonl").read_text().splitlines()]
    engine = RewardEngine.load("data/demo", threads=1)
    answers = [f"\\boxed{{{json.loads(row['label'])['ground_truth'][0]}}}" for row in rows]
    result = reward_func(["Q" + answer for answer in answers], ["Q"] * len(rows), [row["label"] for row in rows])
    assert result["scores"].tolist() == [1] * len(rows)
    assert result["rewards"].tolist() == engine.score(answers, answers_truths(rows)).total.tolist()


def answers_truths(rows: list[dict[str, Any]]) -> list[list[str]]:
    return [json.loads(row["label"])["ground_truth"] for row in rows]
