from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rerec_engine.config import AdvantageConfig
from rerec_engine.errors import UserError
from rerec_engine.integrations.verl import compute_score, compute_score_batched, configure
from rerec_engine.ops import expand_segments, segment_advantage
from rerec_engine.reward import RewardEngine
from rerec_engine.training.advantage import token_advantages

RIGHT, WRONG, NONE = "\\boxed{Alien (1979)}", "Solaris is old.\nI take it.\n\\boxed{Solaris}", "no idea"
PROMPT = "Alien or Solaris?\n\\boxed{Alien (1979)}"


def test_scores_and_parts(engine: RewardEngine, data_dir: Path) -> None:
    extra = [{"id": "a", "candidates": np.array(["Hamlet (1996)"], dtype=object)}, {"candidates": []}, None]
    texts, truths = ["\\boxed{Hamlet}", WRONG, NONE], [np.array(["Hamlet (1996)"], dtype=object), ["Alien"], "Alien"]
    results = compute_score_batched(["films"] * 3, texts, truths, extra, data_dir=data_dir, threads=1)
    expected = engine.score(texts, ["Hamlet (1996)", "Alien", "Alien"], [["Hamlet (1996)"], None, None])
    for name, field in (("score", "total"), ("acc", "hit"), ("ndcg", "ndcg"), ("qas", "qas"), ("pas", "pas")):
        assert [result[name] for result in results] == getattr(expected, field).tolist()
    assert [result["acc"] for result in results] == [1.0, 0.0, 0.0]
    assert all(type(value) is float for result in results for value in result.values())
    configure(data_dir, threads=1)
    assert [compute_score("films", *row) for row in zip(texts, truths, extra, strict=True)] == results


def test_weights_come_from_the_keyword_arguments(data_dir: Path) -> None:
    result = compute_score("films", RIGHT, "Alien", data_dir=data_dir, threads=1, weights={"ndcg": 3.0, "format": 0.0})
    assert result["score"] == pytest.approx(3.02)


@pytest.mark.parametrize("opened", [False, True])
def test_verl_is_told_that_its_prompts_open_a_block_of_reasoning(data_dir: Path, opened: bool) -> None:
    results = [
        compute_score("films", text, "Alien", data_dir=data_dir, threads=1, opened=opened)
        for text in (RIGHT, f"x</think>{RIGHT}")
    ]
    assert [result["answered"] for result in results] == [float(not opened), 1.0]


def test_a_wrong_row_is_named(data_dir: Path) -> None:
    with pytest.raises(UserError, match="^films row train-3: .*'Hamlet' fits several items"):
        compute_score("films", RIGHT, "Hamlet", {"id": "train-3"}, data_dir=data_dir)
    extra = [{"index": 6}, {"index": 7}]
    with pytest.raises(UserError, match="^books row 7: .*'Emma' is not in the catalogue"):
        compute_score_batched(["films", "books"], [RIGHT, RIGHT], ["Alien", "Emma"], extra, data_dir=data_dir)


class TestInVerl:
    """Through verl's own code: loaders, registries, managers, estimators."""

    @pytest.fixture(autouse=True)
    def registered(self) -> None:
        pytest.importorskip("verl", reason="verl is not installed: make test-integrations")
        from rerec_engine.integrations.verl import register

        register()

    @pytest.fixture
    def tokenizer(self, byte_tokenizer: Any) -> Any:
        return byte_tokenizer

    @pytest.fixture
    def batch(self, tokenizer: Any, rows: list[dict[str, Any]]) -> Any:
        """A real DataProto: two prompts, four and two answers, prompts padded on the left, responses on the right."""
        from verl import DataProto

        texts = [RIGHT, WRONG, NONE, RIGHT, NONE, NONE]
        prompts = [tokenizer(PROMPT)["input_ids"]] * 4 + [tokenizer("A film?\n")["input_ids"]] * 2
        responses = [[*tokenizer(text)["input_ids"], tokenizer.eos_token_id] for text in texts]
        width, length = max(map(len, prompts)), max(map(len, responses)) + 3
        pad = tokenizer.pad_token_id
        tensors = {
            "prompts": torch.tensor([[pad] * (width - len(p)) + p for p in prompts]),
            "responses": torch.tensor([r + [pad] * (length - len(r)) for r in responses]),
            "attention_mask": torch.tensor(
                [
                    [0] * (width - len(p)) + [1] * len(p) + [1] * len(r) + [0] * (length - len(r))
                    for p, r in zip(prompts, responses, strict=True)
                ]
            ),
        }
        chosen = [rows[4]] * 4 + [rows[0]] * 2
        columns = {name: [row[name] for row in chosen] for name in ("data_source", "reward_model", "extra_info")}
        columns["uid"] = ["7a"] * 4 + ["03"] * 2
        return DataProto.from_dict(tensors, {name: np.array(v, dtype=object) for name, v in columns.items()})

    @pytest.fixture
    def config(self, data_dir: Path) -> Any:
        from omegaconf import OmegaConf

        function = {
            "path": "pkg://rerec_engine.integrations.verl",
            "name": "compute_score",
            "reward_kwargs": {"data_dir": str(data_dir), "threads": 1, "weights": {"qas": 0.5}},
        }
        return OmegaConf.create({"reward": {"custom_reward_function": function}})

    def test_reward_loop_calls_compute_score(self, config: Any, batch: Any, tokenizer: Any, data_dir: Path) -> None:
        from verl.experimental.reward_loop.reward_manager import get_reward_manager_cls
        from verl.trainer.ppo.reward import get_custom_reward_fn

        async def run() -> list[dict[str, Any]]:
            manager = get_reward_manager_cls("naive")(config, tokenizer, get_custom_reward_fn(config))
            return [await manager.run_single(batch[i : i + 1]) for i in range(len(batch))]

        outputs = asyncio.run(run())
        engine = RewardEngine.load(data_dir, threads=1)
        scores = engine.score([RIGHT, WRONG, NONE, RIGHT, NONE, NONE], [4] * 4 + [0] * 2)
        expected = scores.ndcg + 0.1 * scores.format + 0.5 * scores.qas + 0.01 * scores.pas
        assert [output["reward_score"] for output in outputs] == pytest.approx(expected.tolist(), abs=1e-6)
        assert [output["reward_extra_info"]["acc"] for output in outputs] == [1, 0, 0, 1, 0, 0]

    def test_batch_manager_calls_the_batched_form(
        self, batch: Any, tokenizer: Any, engine: RewardEngine, data_dir: Path
    ) -> None:
        from verl.workers.reward_manager import get_reward_manager_cls

        manager = get_reward_manager_cls("batch")(
            tokenizer, num_examine=0, compute_score=compute_score_batched, data_dir=str(data_dir), threads=1
        )
        result = manager(batch, return_dict=True)
        scores = engine.score([RIGHT, WRONG, NONE, RIGHT, NONE, NONE], [4] * 4 + [0] * 2)
        assert result["reward_tensor"].sum(dim=1).tolist() == scores.total.tolist()
        assert result["reward_extra_info"]["pas"] == scores.pas.tolist()

    def rewards(self, batch: Any, tokenizer: Any, data_dir: Path, **options: Any) -> Any:
        from verl.workers.reward_manager import get_reward_manager_cls

        manager = get_reward_manager_cls("raae")(
            tokenizer=tokenizer, num_examine=0, compute_score=None, reward_fn_key="data_source",
            data_dir=str(data_dir), threads=1, **options,
        )  # fmt: skip
        return manager(batch, return_dict=True)

    def test_reward_manager_yields_the_engines_token_rewards(
        self, batch: Any, tokenizer: Any, engine: RewardEngine, data_dir: Path
    ) -> None:
        result = self.rewards(batch, tokenizer, data_dir)
        responses = batch.batch["responses"]
        lengths = batch.batch["attention_mask"][:, -responses.shape[1] :].sum(dim=1)
        expected = engine.score_tokens(responses, lengths, [4] * 4 + [0] * 2, tokenizer)
        rewards = result["reward_tensor"]
        assert rewards.shape == responses.shape
        assert rewards.dtype == torch.float32
        assert np.array_equal(rewards.numpy(), expected.token_rewards)
        wrong = float(expected.scores.total[1])
        first = WRONG.index("\n")
        assert rewards[1, 0].item() == pytest.approx(wrong - 0.3 * abs(wrong))  # the line that names Solaris
        assert rewards[1, first + 1].item() == pytest.approx(wrong)
        assert result["reward_extra_info"]["score"] == expected.scores.total.tolist()
        harsh = self.rewards(batch, tokenizer, data_dir, w_penalty=0.6)["reward_tensor"]
        assert harsh[1, 0].item() == pytest.approx(wrong - 0.6 * abs(wrong))

    def test_reward_manager_scores_only_what_the_model_wrote(self, batch: Any, tokenizer: Any, data_dir: Path) -> None:
        mask = batch.batch["attention_mask"][:, batch.batch["prompts"].shape[1] :].clone()
        mask[0] = 0
        mask[0, -1] = 1  # a tool gave the answer
        batch.batch["response_mask"] = mask
        result = self.rewards(batch, tokenizer, data_dir)
        assert result["reward_extra_info"]["answered"][0] == 0
        assert result["reward_extra_info"]["acc"][3] == 1
        assert (result["reward_tensor"][mask == 0] == 0).all()

    def test_reward_manager_names_a_wrong_row(self, batch: Any, tokenizer: Any, data_dir: Path) -> None:
        batch.non_tensor_batch["reward_model"][5] = {"ground_truth": ["Her"]}
        with pytest.raises(UserError, match="^films row q0: .*'Her'"):
            self.rewards(batch, tokenizer, data_dir)

    def test_compute_advantage_equals_our_own(
        self, batch: Any, tokenizer: Any, engine: RewardEngine, data_dir: Path
    ) -> None:
        from verl.trainer.ppo.ray_trainer import compute_advantage

        batch.batch["token_level_rewards"] = self.rewards(batch, tokenizer, data_dir)["reward_tensor"]
        result = compute_advantage(batch, adv_estimator="raae", config=None).batch
        mask = result["response_mask"].bool()
        assert torch.equal(mask, batch.batch["attention_mask"][:, batch.batch["prompts"].shape[1] :].bool())
        group = torch.tensor([0, 0, 0, 0, 1, 1])
        scored = engine.score_tokens(result["responses"], mask, [4] * 4 + [0] * 2, tokenizer)
        lengths, penalised = torch.from_numpy(scored.segment_lengths), torch.from_numpy(scored.segment_penalised)
        ours = segment_advantage(
            lengths, penalised, torch.from_numpy(scored.cu_segments), torch.from_numpy(scored.scores.total), group
        )
        torch.testing.assert_close(result["advantages"][mask], expand_segments(ours, lengths), atol=1e-6, rtol=1e-6)
        rewards, bounds = result["token_level_rewards"][mask], np.concatenate([[0], mask.sum(dim=1).cumsum(0).numpy()])
        packed = token_advantages(rewards, scored.scores.total, bounds, group, AdvantageConfig()).advantages
        assert torch.equal(result["advantages"][mask], packed)
        assert (result["advantages"][~mask] == 0).all()
        assert (result["advantages"][4:] == 0).all()  # equal rewards: exactly 0
        assert torch.equal(result["returns"], result["advantages"])

    @pytest.mark.parametrize("seed", range(5))
    def test_estimator_in_float64(self, seed: int) -> None:
        from verl.trainer.ppo.core_algos import get_adv_estimator_fn

        rng = np.random.default_rng(seed)
        rewards, mask = rng.normal(size=(17, 23)) * 1e3, rng.random((17, 23)) < 0.6
        uids = np.array([f"uid-{i}" for i in rng.permutation(np.arange(17) % 5)], dtype=object)
        rewards[uids == "uid-3"] = 0.1  # constant
        mask[0] = False
        advantages, _ = get_adv_estimator_fn("raae")(
            token_level_rewards=torch.from_numpy(rewards), response_mask=torch.from_numpy(mask).long(), index=uids
        )
        expected = np.zeros_like(rewards)
        for uid in set(uids) - {"uid-3"}:
            own = mask & (uids == uid)[:, None]
            expected[own] = (rewards[own] - rewards[own].mean()) / rewards[own].std()
        assert advantages.dtype == torch.float64
        np.testing.assert_allclose(advantages.numpy(), expected, rtol=1e-12, atol=1e-12)
        assert (advantages.numpy()[uids == "uid-3"] == 0).all()

    async def trajectory(self, text: str, row: dict[str, Any], tokenizer: Any, data_dir: Path) -> Any:
        """What the agent loop makes of an answer that verl's server gives; the end token is cut off."""
        import hydra
        from omegaconf import OmegaConf
        from verl.experimental.agent_loop.agent_loop import DictConfigWrap, _agent_loop_registry
        from verl.workers.rollout.replica import TokenOutput

        ids = [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]

        class Server:
            async def generate(self, **_: Any) -> Any:
                return TokenOutput(token_ids=ids, log_probs=[-0.5] * len(ids))

        options = {"data_dir": str(data_dir), "threads": 1, "w_penalty": 0.5}
        rollout = {"prompt_length": 64, "response_length": len(ids) - 1}
        config = OmegaConf.create({"actor_rollout_ref": {"rollout": rollout}, "reward": {"reward_kwargs": options}})
        loop = hydra.utils.instantiate(
            _agent_loop_registry["raae_agent"],
            trainer_config=DictConfigWrap(config),
            server_manager=Server(),
            tokenizer=tokenizer,
            processor=None,
            dataset_cls=object,
            data_config=DictConfigWrap(OmegaConf.create({})),
        )
        return await loop.run({}, raw_prompt=[{"role": "user", "content": PROMPT}], **row)

    def test_agent_loop_gives_each_token_its_reward(
        self, tokenizer: Any, rows: list[dict[str, Any]], engine: RewardEngine, data_dir: Path
    ) -> None:
        output = asyncio.run(self.trajectory(WRONG, rows[4], tokenizer, data_dir))
        ids = tokenizer(WRONG)["input_ids"]
        expected = engine.score_tokens(torch.tensor([ids]), torch.tensor([len(ids)]), [4], tokenizer, w_penalty=0.5)
        assert output.reward_score == float(expected.scores.total[0])
        fields = output.as_dict()
        assert fields["responses"].tolist() == ids
        assert fields["rm_scores"].tolist() == expected.token_rewards[0].tolist()
        assert len(set(fields["rm_scores"].tolist())) == 2
        assert fields["rollout_log_probs"].tolist() == [-0.5] * len(ids)
        assert fields["extra_fields"]["reward_extra_info"]["acc"] == 0
        assert "token_rewards" not in fields

    def test_token_rewards_reach_the_advantage_of_the_trainer(
        self,
        tokenizer: Any,
        rows: list[dict[str, Any]],
        engine: RewardEngine,
        data_dir: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """verl's v1 worker and its advantage; only the queue between the two is replaced."""
        from verl import DataProto
        from verl.trainer.ppo.v1 import agent_loop_tq
        from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

        worker_class = agent_loop_tq.AgentLoopWorkerTQ.__ray_metadata__.modified_class
        worker = object.__new__(worker_class)
        worker.processor, worker.distillation_enabled = None, False
        worker.reward_loop_worker_handles = []  # calling one would fail: the loop has the reward
        stored: list[tuple[str, Any]] = []

        async def put(keys: list[str], fields: Any, **_: Any) -> None:
            stored.extend(zip(keys, fields, strict=True))

        monkeypatch.setattr(agent_loop_tq.tq, "async_kv_batch_put", put)

        async def run() -> None:
            for i, text in enumerate([RIGHT, WRONG, NONE]):
                row = dict(rows[4], uid="u", session_id=i, global_steps=0)
                output = await self.trajectory(text, row, tokenizer, data_dir)
                await worker._agent_loop_postprocess(output, False, raw_prompt=[], **row)

        asyncio.run(run())
        tensors = {
            name: torch.nn.utils.rnn.pad_sequence([fields[name] for _, fields in stored], batch_first=True)
            for name in ("rm_scores", "response_mask", "responses")
        }
        data = DataProto.from_dict(
            {"token_level_rewards": tensors["rm_scores"], "response_mask": tensors["response_mask"]},
            {"uid": np.array(["u"] * 3, dtype=object)},
        )
        data = compute_advantage_for_multi_trajectories(data, [key for key, _ in stored], "raae")
        mask = tensors["response_mask"].bool()
        rewards = engine.score_tokens(tensors["responses"], mask, [4] * 3, tokenizer, w_penalty=0.5).token_rewards
        values = rewards[mask.numpy()].astype(np.float64)
        expected = (values - values.mean()) / values.std()
        np.testing.assert_allclose(data.batch["advantages"][mask].numpy(), expected, rtol=1e-6)

    def test_verl_registers_us_from_the_environment(self) -> None:
        root = Path(__file__).resolve().parents[2]
        environment = dict(os.environ, VERL_USE_EXTERNAL_MODULES="rerec_engine.integrations.verl_agent", PYTHONPATH=".")
        code = (
            "import verl\n"
            "from verl.trainer.ppo.core_algos import get_adv_estimator_fn\n"
            "from verl.workers.reward_manager import get_reward_manager_cls\n"
            "from verl.experimental.agent_loop.agent_loop import _agent_loop_registry\n"
            "get_adv_estimator_fn('raae'), get_reward_manager_cls('raae'), _agent_loop_registry['raae_agent']\n"
        )
        run = subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
