"""One whole GRPO step of this engine against TRL's `GRPOTrainer`, on the CPU, from prompts to new weights.

    python -m bench.training.trl_step --data DIR --model DIR [--output bench/results/trl_step.json]   # with .[trl]
    python -m bench.training.trl_step --size pretrained --data data/real/films --model data/real/model

First both train from the same rollouts: the built-in sampler draws for either from its own weights with equal seeds;
rewards, losses and weights are compared after each step. Then each generates by itself for the same prompts, in turns,
a step each, so that what disturbs the machine disturbs all. Same model, limits, threads, AdamW and reward (TRL's
through `rerec_engine.integrations.trl`). TRL: `transformers.generate`, no gradient checkpointing, DAPO's mean over
tokens, no KL, the fastest of several micro-batch sizes; a pretrained model also under bf16's autocast and with
transformers' continuous batching, and ours in bf16 beside fp32 weights. Tokens are those of all responses. Our update
leaves out rows without a gradient (groups of equal rewards); `every row` has them in.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
import trl
from torch.nn.utils import parameters_to_vector as flat
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.grpo_trainer import Dataset

from rerec_engine.config import Config
from rerec_engine.integrations.trl import reward_function
from rerec_engine.model.policy import load_policy
from rerec_engine.rollout.base import derive_seed
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.runs.environment import processor
from rerec_engine.runs.settings import load_settings
from rerec_engine.train import one_step
from rerec_engine.training.curriculum import CurriculumQueue
from rerec_engine.training.setup import start
from rerec_engine.types import Query, Sampling


@dataclass(frozen=True)
class Way:
    """One setting of TRL. micro: responses of a micro-batch. continuous: transformers' continuous batching."""

    micro: int
    bf16: bool = False
    continuous: bool = False

    @property
    def name(self) -> str:
        words = [str(self.micro), "bf16" if self.bf16 else "", "continuous batching" if self.continuous else ""]
        return ", ".join(word for word in words if word)


@dataclass(frozen=True)
class Size:
    """A workload: queries of a step, tokens of a response at most, settings of ours, ways of TRL to choose from."""

    config: str
    queries: int
    new: int
    rate: float
    same: int
    """Steps from the same rollouts, and the queries of each."""
    same_queries: int
    rounds: int
    warm: int
    trial: int
    """Steps by which a way is judged, the first `warm` of them left out where there are more."""
    dtype: str
    ways: tuple[Way, ...]


MICRO = (16, 32, 64, 128)
SIZES = {
    "demo": Size("demo", 16, 160, 3e-4, 8, 16, 10, 2, 6, "fp32", tuple(Way(micro) for micro in MICRO)),
    "pretrained": Size(
        "real",
        8,
        128,
        1e-5,
        2,
        2,
        3,
        1,
        1,
        "auto",
        (Way(8, True), Way(16, True), Way(8), Way(8, True, continuous=True)),
    ),
}
RESPONSES = 8
THEIRS = dict(lr_scheduler_type="constant", optim="adamw_torch_fused", loss_type="dapo", num_generations=RESPONSES)
THEIRS |= dict(gradient_checkpointing=False, use_cpu=True, seed=1, shuffle_dataset=False)
THEIRS |= dict(report_to=[], logging_steps=10_000, save_strategy="no", disable_tqdm=True)
Step = dict[str, Any]
"""rate: tokens a second; trained: tokens that the update computed; reward and loss: means; stages: seconds."""


def settings(options: argparse.Namespace, folder: Path, steps: int, queries: int, dtype: str) -> Config:
    size: Size = SIZES[options.size]
    words = f"""
    --config rerec_engine/configs/{size.config}.yaml --device cpu --warm-start.epochs 0 --curriculum.enabled false
    --advantage.estimator grpo --advantage.outcome-gate false --rollout.engine sampler --model.dtype {dtype}
    --rollout.responses-per-query {RESPONSES} --rollout.max-new-tokens {size.new} --optim.learning-rate {size.rate}
    --optim.final-share 1.0 --optim.warmup-steps 0 --train.queries-per-step {queries}
    --train.queries-per-update {queries} --loss.clip-high 0.2 --loss.beta 0 --optim.weight-decay 0.01
    """.split()
    own = ["--output-dir", str(folder), "--data.path", options.data, "--model.path", options.model]
    return load_settings([*words, *own, "--train.steps", str(steps), "--threads", str(options.threads)])[0]


def their_settings(config: Config, folder: Path, steps: int, way: Way) -> GRPOConfig:
    optim, loss = config.optim, config.loss
    rows = config.train.queries_per_step * RESPONSES
    adam = dict(adam_beta1=optim.beta1, adam_beta2=optim.beta2, weight_decay=optim.weight_decay)
    adam |= dict(learning_rate=optim.learning_rate, max_grad_norm=optim.max_grad_norm, bf16=way.bf16)
    sizes = dict(per_device_train_batch_size=way.micro, gradient_accumulation_steps=rows // way.micro, max_steps=steps)
    draw = dict(temperature=config.rollout.temperature, max_completion_length=config.rollout.max_new_tokens)
    draw |= dict(beta=loss.beta, epsilon=loss.clip_low, epsilon_high=loss.clip_high)
    draw |= dict(use_transformers_continuous_batching=way.continuous)
    return GRPOConfig(str(folder), **THEIRS, **adam, **sizes, **draw)


def column(steps: list[Step], name: str) -> np.ndarray:
    return np.array([step[name] for step in steps])


def spread(values: np.ndarray, digits: int) -> dict[str, float]:
    shares = {"least": 0, "median": 50, "most": 100}
    return {name: round(float(np.percentile(values, share)), digits) for name, share in shares.items()}


def summary(steps: list[Step]) -> dict[str, Any]:
    digits, stages = {"rate": 0, "seconds": 3, "tokens": 0}, [Step(step["stages"]) for step in steps]
    return {
        **{name: spread(column(steps, name), places) for name, places in digits.items()},
        "share_of_tokens_in_update": round(column(steps, "trained").sum() / column(steps, "tokens").sum(), 3),
        "stages": {name: round(float(np.median(column(stages, name))), 4) for name in stages[0]},
    }


class Ours:
    """Our loop, a step at a time. `asked`: the queries of all its steps."""

    def __init__(self, config: Config, every_row: bool = False) -> None:
        self.trainer, self.steps = start(config, None), list[Step]()
        queries = self.trainer.worker.queries
        self.queries = config.train.queries_per_step
        queue = CurriculumQueue(len(queries), config.curriculum, self.queries, config.seed)
        self.asked = [queries[i] for _ in range(config.train.steps) for i in queue.next_batch()]
        if every_row:
            self.trainer.updater._needed = lambda batch, rows: rows  # type: ignore[method-assign]

    def step(self) -> None:
        begin = time.perf_counter()
        record, batch = one_step(self.trainer)
        seconds, metrics, first = time.perf_counter() - begin, Step(record), self.queries * len(self.steps)
        assert batch.queries == self.asked[first : first + self.queries], "the two sides have different prompts"
        tokens, trained = int(batch.lengths.sum()), metrics["trained_tokens"]
        stages = {name[8:]: metrics[name] for name in metrics if name[:8] == "seconds_" and name != "seconds_total"}
        stages["rest"] = seconds - sum(stages.values())
        loss = metrics["loss"] * trained / tokens if trained else 0.0  # the metric is a mean over those trained
        found = dict(rate=tokens / seconds, seconds=seconds, tokens=tokens, trained=trained, loss=loss)
        self.steps.append({**found, "reward": metrics["reward"], "stages": stages})


def clocked(method: Any, stage: str) -> Any:
    """A method of TRL's trainer; its seconds are added to a stage's, its last result is kept."""

    def run(self: Theirs, *words: Any, **named: Any) -> Any:
        begin = time.perf_counter()
        self.begin = self.begin or begin
        found = method(self, *words, **named)
        self.last[stage] = found.detach() if isinstance(found, torch.Tensor) else found
        self.stage[stage] = self.stage.get(stage, 0.0) + time.perf_counter() - begin
        return found

    return run


class Theirs(GRPOTrainer):  # type: ignore[misc, unused-ignore]
    """TRL's trainer with a clock around its stages, until the optimizer has stepped; then comes `between`, off it."""

    _generate = clocked(GRPOTrainer._generate, "rollout")
    _calculate_rewards = clocked(GRPOTrainer._calculate_rewards, "reward")
    _batch = clocked(GRPOTrainer._generate_and_score_completions, "batch")
    compute_loss = clocked(GRPOTrainer.compute_loss, "forward and loss")
    training_step = clocked(GRPOTrainer.training_step, "training step")

    def __init__(self, config: Config, folder: Path, queries: list[Query], way: Way, draw: Any = None) -> None:
        self.policy, self.steps, self.begin = load_policy(str(config.model.path), "cpu"), list[Step](), 0.0
        self.stage, self.last, self.between, self.our_epsilon = Step(), Step(), list[Any](), False
        truths, among = ([[*getattr(q, name)] for q in queries] for name in ("ground_truth", "candidates"))
        rows = dict(prompt=[[*map(dict, q.messages)] for q in queries], ground_truth=truths, candidates=among)
        reward = reward_function(str(config.data.path), threads=config.threads)
        args = their_settings(config, folder, len(queries) // config.train.queries_per_step, way)
        own = dict(processing_class=self.policy.tokenizer, rollout_func=draw)
        super().__init__(self.policy.model, reward, args, Dataset.from_dict(rows), **own)
        assert torch.get_num_threads() == config.threads

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        found = self._batch(inputs)
        if self.our_epsilon:  # beside a group's standard deviation 1e-6 instead of 1e-4
            rewards = self.last["reward"].view(-1, RESPONSES)
            apart = rewards - rewards.mean(1, keepdim=True)
            found["advantages"] = (apart / (rewards.std(1, keepdim=True) + 1e-6)).flatten().float()
        return found

    def create_optimizer(self, *words: Any, **named: Any) -> Any:
        optimizer = super().create_optimizer(*words, **named)
        optimizer.register_step_post_hook(lambda *_: self.end_step(time.perf_counter() - self.begin))
        return optimizer

    def end_step(self, seconds: float) -> None:
        stage, last, tokens = self.stage, self.last, int(self.last["batch"]["completion_mask"].sum())
        batch, whole = stage.pop("batch"), stage.pop("training step")
        stage |= {"rest of the batch": batch - stage["rollout"] - stage["reward"]}
        stage |= {"backward": whole - batch - stage["forward and loss"], "clipping and optimizer": seconds - whole}
        found = dict(rate=tokens / seconds, seconds=seconds, tokens=tokens, trained=tokens, stages=stage)
        self.steps.append({**found, "reward": float(last["reward"].mean()), "loss": float(last["training step"])})
        for act in self.between:
            act()
        self.stage, self.last, self.begin = {}, {}, 0.0


def same_rollouts(config: Config, folder: Path, our_epsilon: bool) -> dict[str, Any]:
    """Both sides' rewards, losses and weights, step by step, the sampler drawing for both."""
    ours = Ours(config)
    first, weights, apart = flat(ours.trainer.policy.model.parameters()).detach(), list[torch.Tensor](), list[float]()
    for _ in range(config.train.steps):
        ours.step()
        weights.append(flat(ours.trainer.policy.model.parameters()).detach())

    def draw(prompts: list[Any], trainer: Theirs) -> dict[str, Any]:
        ids = [trainer.policy.encode_prompt(prompt) for prompt in prompts[::RESPONSES]]
        sampling = Sampling(
            config.rollout.max_new_tokens,
            config.rollout.temperature,
            derive_seed(config.seed, "rollout", len(apart), 0),
        )
        found = Sampler(trainer.policy).generate(ids, RESPONSES, sampling)
        drawn = dict(completion_ids=[[*r.token_ids] for r in found], logprobs=[[*r.logprobs] for r in found])
        return {"prompt_ids": [x for x in ids for _ in range(RESPONSES)], **drawn}

    def compare() -> None:
        now = weights.pop(0)
        apart.append(float((now - flat(trainer.model.parameters()).detach()).norm() / (now - first).norm()))

    trainer = Theirs(config, folder / "trl", ours.asked, Way(ours.queries * RESPONSES), draw)
    trainer.our_epsilon, trainer.between = our_epsilon, [compare]
    trainer.train()
    found: dict[str, Any] = {"weights_apart_over_movement": [float(f"{x:.2g}") for x in apart]}
    for what in ("reward", "loss", "tokens"):
        values = {name: column(steps, what) for name, steps in (("ours", ours.steps), ("trl", trainer.steps))}
        found[what] = {name: np.round(x, 6).tolist() for name, x in values.items()}
        found[f"{what}_difference"] = float(f"{np.abs(values['ours'] - values['trl']).max():.2g}")
    return found


def in_turns(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    size: Size = SIZES[options.size]
    warm, steps = options.warm, options.warm + options.rounds
    configs = [settings(options, folder / name, steps, size.queries, size.dtype) for name in ("ours", "every-row")]
    ours = {"ours": Ours(configs[0]), "every row": Ours(configs[1], every_row=True)}
    asked, tried, refused = ours["ours"].asked, dict[Way, float](), dict[str, str]()
    for way in size.ways:
        try:
            trial = Theirs(configs[0], folder / "trl", asked[: size.queries * options.trial], way)
            trial.train()
        except Exception as error:  # whatever keeps a way from running is told in its place
            refused[way.name] = f"{type(error).__name__}: {str(error).splitlines()[0]}"
            continue
        tried[way] = summary(trial.steps[min(warm, options.trial - 1) :])["rate"]["median"]
        print(f"TRL, {way.name}: {tried[way]:.0f} tokens/s", flush=True)
        del trial
    trainer = Theirs(configs[0], folder / "trl", asked, max(tried, key=lambda way: tried[way]))
    trainer.between = [side.step for side in ours.values()]
    trainer.train()
    base = column(trainer.steps[warm:], "rate")
    by_way = {way.name: rate for way, rate in tried.items()} | refused
    found: dict[str, Any] = {"trl_tokens_per_second_by_micro_batch": by_way, "trl": summary(trainer.steps[warm:])}
    for name, side in ours.items():
        rate, about = column(side.steps[warm:], "rate"), summary(side.steps[warm:])
        ratio = round(float(np.median(rate) / np.median(base)), 2)
        found[name] = {"times_trl": ratio, "times_trl_by_round": spread(rate / base, 2), **about}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", required=True, help="dataset directory")
    parser.add_argument("--model", required=True, help="model that both start from")
    parser.add_argument("--size", choices=list(SIZES), default="demo", help="of the model that is given")
    parser.add_argument("--threads", type=int, default=2)
    for name in ("rounds", "warm", "same", "trial"):
        parser.add_argument(f"--{name}", type=int, help="steps, in place of the size's")
    parser.add_argument("--output", type=Path, help="default: bench/results/trl_step.json or trl_step_pretrained.json")
    options = parser.parse_args()
    size = SIZES[options.size]
    for name in ("rounds", "warm", "same", "trial"):
        if getattr(options, name) is None:
            setattr(options, name, getattr(size, name))
    transformers.logging.set_verbosity_error()
    result: dict[str, Any] = {
        "hardware": {"processor": processor(), "cores": os.cpu_count(), "threads": options.threads},
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "trl": trl.__version__},
        "settings": {"size": asdict(size), "trl": THEIRS},
        "workload": f"{size.queries} queries x {RESPONSES} responses of at most {size.new} tokens, rate {size.rate}",
    }
    with tempfile.TemporaryDirectory() as name:
        for key, our_epsilon in (("same_rollouts", True), ("same_rollouts_trl_epsilon", False)):
            folder = Path(name) / key
            config = settings(options, folder, options.same, size.same_queries, "fp32")
            result[key] = found = same_rollouts(config, folder, our_epsilon)
            assert not our_epsilon or max(*found["weights_apart_over_movement"], found["reward_difference"]) < 0.01
        result["in_turns"] = in_turns(options, Path(name))
    print(json.dumps(result, indent=1))
    ending = "" if options.size == "demo" else f"_{options.size}"
    output = options.output or Path(f"bench/results/trl_step{ending}.json")
    output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
