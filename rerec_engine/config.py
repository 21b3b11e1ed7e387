"""Settings: nested frozen dataclasses. Defaults are the published ones; the demo's lie in `configs/demo.yaml`.

Source of the defaults: the training script published with ReRec (arXiv 2604.07851).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

Estimator = Literal["raae", "grpo", "dr_grpo", "rloo", "reinforce_pp", "gae"]
QasMode = Literal["shared", "max", "mean"]


def _check(condition: bool, name: str, expected: str, value: object) -> None:
    if not condition:
        raise ValueError(f"{name} must be {expected}, got {value!r}")


def _finite(**values: float) -> None:
    for name, value in values.items():
        _check(math.isfinite(value), name, "a finite number", value)


@dataclass(frozen=True)
class RewardWeights:
    """Weights and options of r = w_ndcg NDCG@K + w_format format + w_qas QAS + w_pas PAS."""

    ndcg: float = 1.0
    format: float = 0.1
    qas: float = 0.01
    pas: float = 0.01
    k: int = 1
    """K of NDCG@K."""
    qas_mode: QasMode = "shared"
    """Several ground truths: the attributes that all share, or the max / mean over them."""
    qas_idf: bool = False
    """An attribute counts its inverse document frequency, so that a rare one weighs more than a common one."""
    pas_centred: bool = False
    """PAS minus its mean over the query's candidates (over all items where there are none)."""
    ndcg_graded: bool = False
    """A wrong item gains its QAS in NDCG@K instead of 0."""
    repeat_penalty: float = 0.0
    """Times the share of an answer's entries that repeat an earlier one, taken off the reward."""

    def __post_init__(self) -> None:
        _finite(**{f"reward.{n}": getattr(self, n) for n in ("ndcg", "format", "qas", "pas", "repeat_penalty")})
        _check(1 <= self.k <= 1000, "reward.k", "in 1..1000", self.k)
        _check(self.qas_mode in ("shared", "max", "mean"), "reward.qas_mode", "shared, max or mean", self.qas_mode)


@dataclass(frozen=True)
class DataConfig:
    path: str | None = None
    """Dataset directory (see `prepare`). None: the demo world, made from `seed`."""
    max_prompt_tokens: int = 768
    """A longer prompt is left out, counted and reported."""

    def __post_init__(self) -> None:
        _check(self.max_prompt_tokens > 0, "data.max_prompt_tokens", "positive", self.max_prompt_tokens)


@dataclass(frozen=True)
class ModelConfig:
    path: str | None = None
    """Hugging Face causal LM directory or hub name. None: a small Qwen2 made on the spot for the dataset."""
    dtype: Literal["fp32", "bf16"] = "fp32"
    gradient_checkpointing: bool = False
    """Keep the layers' inputs alone for the backward pass, and compute the rest again: less memory, more time."""
    packing: bool = True
    """Updates without padding, each prompt once for all its responses, where the model's attention allows it."""
    offload_reference: bool = False
    """The KL's frozen reference waits in host memory between its uses. (LoRA needs no second model.)"""
    lora_rank: int = 0
    """Train a LoRA adapter of this rank on frozen weights; 0: train all weights. Wants a larger learning rate."""
    lora_alpha: int = 32
    """The adapter counts lora_alpha / lora_rank. (No dropout: log-probs would differ from the rollout engine's.)"""
    lora_targets: str = "all-linear"
    """Names of the linear layers that get an adapter, comma-separated, or all-linear: all but embedding and LM head."""
    hidden_size: int = 128
    """Size of the model made on the spot; unused with `path`, like the next two."""
    layers: int = 4
    heads: int = 4

    def __post_init__(self) -> None:
        _check(self.lora_rank >= 0, "model.lora_rank", ">= 0", self.lora_rank)
        _check(self.lora_alpha >= 1, "model.lora_alpha", ">= 1", self.lora_alpha)
        _check(all(map(str.strip, self.lora_targets.split(","))), "model.lora_targets", "names", self.lora_targets)


@dataclass(frozen=True)
class WarmStartConfig:
    """Supervised fine-tuning before reinforcement, on the reasoning traces of a dataset that has some (the demo)."""

    epochs: int = 0
    """Passes over the traces, in their order; 0: none."""
    path: str | None = None
    """Parquet file of traces; None: the dataset's warm_start.parquet."""
    tokens_per_batch: int = 2048
    learning_rate: float = 3e-3
    """Of AdamW, which trains embeddings and norms."""
    matrix_learning_rate: float = 0.02
    """Of Muon, which trains the layers' matrices."""
    warmup_steps: int = 50

    def __post_init__(self) -> None:
        _check(self.epochs >= 0, "warm_start.epochs", ">= 0", self.epochs)
        _check(self.tokens_per_batch >= 1, "warm_start.tokens_per_batch", ">= 1", self.tokens_per_batch)
        _check(self.learning_rate > 0, "warm_start.learning_rate", "> 0", self.learning_rate)
        _check(self.matrix_learning_rate > 0, "warm_start.matrix_learning_rate", "> 0", self.matrix_learning_rate)


@dataclass(frozen=True)
class VllmConfig:
    """vLLM, in a process of its own; read with `rollout.engine: vllm`. It computes in `model.dtype`."""

    python: str | None = None
    """Interpreter that has vLLM, where this one has not, e.g. .venv/vllm/bin/python. None: this one."""
    kv_cache_gb: float = 4.0
    """Memory for keys and values, GiB (per GPU with tensor parallelism). vLLM recomputes what does not fit."""
    max_num_seqs: int = 256
    """Responses that are decoded at a time."""
    tensor_parallel: int = 1
    """GPUs that one engine spreads over: the rank's own and those after it."""
    enforce_eager: bool = False
    """Leave CUDA graphs out: a faster start and less memory, slower generation. Always so on the CPU."""
    sleep: bool = False
    """CUDA: between generations the engine's weights lie in host memory and its keys and values are freed."""
    threads: int = 0
    """CPU threads of the engine; 0: as many as the trainer has."""
    timeout: float = 1800.0
    """Seconds for the engine's start, and for each call; then it counts as hung and is killed."""

    def __post_init__(self) -> None:
        _finite(**{f"rollout.vllm.{name}": getattr(self, name) for name in ("kv_cache_gb", "timeout")})
        for name in ("kv_cache_gb", "timeout"):
            _check(getattr(self, name) > 0, f"rollout.vllm.{name}", "positive", getattr(self, name))
        for name in ("max_num_seqs", "tensor_parallel"):
            _check(getattr(self, name) >= 1, f"rollout.vllm.{name}", ">= 1", getattr(self, name))
        _check(self.threads >= 0, "rollout.vllm.threads", ">= 0", self.threads)


@dataclass(frozen=True)
class RolloutConfig:
    engine: Literal["sampler", "vllm"] = "sampler"
    responses_per_query: int = 5
    """G."""
    max_new_tokens: int = 768
    temperature: float = 1.0
    dynamic_sampling: bool = False
    """DAPO: draw on until the step has enough groups whose rewards differ."""
    max_draws: int = 3
    """Dynamic sampling: at most this many times the step's queries are drawn."""
    overlap: bool = False
    """Generate the next step's responses while this one's update runs: they are then one update old."""
    vllm: VllmConfig = field(default_factory=VllmConfig)

    def __post_init__(self) -> None:
        _check(self.responses_per_query >= 1, "rollout.responses_per_query", ">= 1", self.responses_per_query)
        _check(self.max_new_tokens >= 1, "rollout.max_new_tokens", ">= 1", self.max_new_tokens)
        _check(self.temperature > 0, "rollout.temperature", "> 0", self.temperature)
        _check(self.max_draws >= 1, "rollout.max_draws", ">= 1", self.max_draws)


@dataclass(frozen=True)
class AdvantageConfig:
    estimator: Estimator = "raae"
    w_penalty: float = 0.3
    """RAAE: a penalised segment's reward is r - w_penalty |r|."""
    w_credit: float = 0.0
    """A segment that rejects a wrong candidate for an attribute it lacks has reward r + w_credit |r|."""
    outcome_gate: bool = False
    """A group in which no answer is right gets zero advantage, so that shaping alone never trains."""
    gae_gamma: float = 1.0
    gae_lambda: float = 0.95

    def __post_init__(self) -> None:
        _check(0 <= self.w_penalty <= 10, "advantage.w_penalty", "in 0..10", self.w_penalty)
        _check(0 <= self.w_credit <= 10, "advantage.w_credit", "in 0..10", self.w_credit)
        _check(0 <= self.gae_gamma <= 1, "advantage.gae_gamma", "in 0..1", self.gae_gamma)
        _check(0 <= self.gae_lambda <= 1, "advantage.gae_lambda", "in 0..1", self.gae_lambda)


@dataclass(frozen=True)
class CurriculumConfig:
    enabled: bool = True
    tau: float = 0.1
    """A query whose difficulty is below tau counts as mastered and is dropped."""
    difficulty: Literal["ndcg", "reward"] = "ndcg"
    """1 - NDCG (the published code) or 1 - reward (the paper), averaged over the G responses."""
    probe_share: float = 0.05
    """Share of the dropped queries that is asked again each epoch, and readmitted where forgotten."""

    def __post_init__(self) -> None:
        _check(0 <= self.tau <= 2, "curriculum.tau", "in 0..2", self.tau)
        _check(0 <= self.probe_share <= 1, "curriculum.probe_share", "in 0..1", self.probe_share)


@dataclass(frozen=True)
class LossConfig:
    clip_low: float = 0.2
    clip_high: float = 0.2
    """Larger than clip_low: DAPO's clip-higher."""
    beta: float = 0.01
    """Weight of the KL against the frozen reference; 0 leaves the reference out."""
    kl: Literal["k1", "k2", "k3"] = "k3"
    """Estimate of the KL, where it is in the loss."""
    kl_in: Literal["loss", "reward"] = "loss"
    """reward: the KL is a penalty on every token's reward instead, as in PPO; for the estimators gae and
    reinforce_pp."""
    entropy: float = 0.0
    """Weight of the entropy bonus."""
    ratio: Literal["token", "sequence"] = "token"
    """sequence: GSPO, one probability ratio for all tokens of a response."""
    importance_cap: float = 0.0
    """0: off, the probability ratio is taken against the rollout engine's log-probs. At least 1, e.g. 2: truncated
    importance sampling; the ratio is taken against the trainer's own log-probs before the step's first update, and
    advantages are multiplied by min(trainer's / engine's probability, importance_cap). Costs one more forward pass."""
    aggregation: Literal["token_mean", "sequence_mean", "dr_grpo"] = "token_mean"
    value_clip: float = 0.2
    """PPO: clip range of the critic's values."""
    value_weight: float = 0.5

    def __post_init__(self) -> None:
        _check(0 < self.clip_low < 1, "loss.clip_low", "in (0, 1)", self.clip_low)
        _check(self.clip_high > 0, "loss.clip_high", "> 0", self.clip_high)
        _check(self.beta >= 0, "loss.beta", ">= 0", self.beta)
        _finite(**{"loss.entropy": self.entropy})
        _check(self.value_clip > 0, "loss.value_clip", "> 0", self.value_clip)
        _check(0 <= self.value_weight < math.inf, "loss.value_weight", "a finite number >= 0", self.value_weight)
        _check(self.kl_in in ("loss", "reward"), "loss.kl_in", "loss or reward", self.kl_in)
        cap = self.importance_cap
        _check(cap == 0 or 1 <= cap < math.inf, "loss.importance_cap", "0 or a finite number >= 1", cap)


@dataclass(frozen=True)
class OptimConfig:
    learning_rate: float = 5e-6
    critic_learning_rate: float = 1e-5
    weight_decay: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.95
    warmup_steps: int = 0
    final_share: float = 1.0
    """Learning rate of the last step as a share of the full one, linear in between; 1: constant."""
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        _check(0 <= self.final_share <= 1, "optim.final_share", "in 0..1", self.final_share)
        _check(self.learning_rate > 0, "optim.learning_rate", "> 0", self.learning_rate)
        _check(self.max_grad_norm > 0, "optim.max_grad_norm", "> 0", self.max_grad_norm)


@dataclass(frozen=True)
class TrainConfig:
    steps: int = 100
    """0: the warm start and the evaluations alone."""
    queries_per_step: int = 512
    queries_per_update: int = 256
    """One optimizer update per this many queries of a step."""
    tokens_per_micro_batch: int = 16384
    """Upper bound of prompt + response tokens, padding included, in one forward and backward pass."""
    eval_every: int = 20
    """Steps between evaluations on the val split; 0: only before and after."""
    eval_queries: int = 200
    """Validation queries used for the evaluations during training; 0: all."""
    checkpoint_every: int = 20
    keep_checkpoints: int = 2
    max_skipped_updates: int = 10
    """So many updates in a row whose gradient is not finite end the run; 0: none do."""
    save_rollouts_every: int = 10
    report: bool = True
    """Write report.html at every evaluation, and at the end."""

    def __post_init__(self) -> None:
        for name in ("queries_per_step", "queries_per_update", "tokens_per_micro_batch"):
            _check(getattr(self, name) >= 1, f"train.{name}", ">= 1", getattr(self, name))
        for name in (
            "steps",
            "eval_every",
            "eval_queries",
            "checkpoint_every",
            "save_rollouts_every",
            "max_skipped_updates",
        ):
            _check(getattr(self, name) >= 0, f"train.{name}", ">= 0", getattr(self, name))
        _check(self.keep_checkpoints >= 1, "train.keep_checkpoints", ">= 1", self.keep_checkpoints)


@dataclass(frozen=True)
class Config:
    """Everything a run depends on; the resolved form is saved as `config.yaml`."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    warm_start: WarmStartConfig = field(default_factory=WarmStartConfig)
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    reward: RewardWeights = field(default_factory=RewardWeights)
    advantage: AdvantageConfig = field(default_factory=AdvantageConfig)
    curriculum: CurriculumConfig = field(default_factory=CurriculumConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    seed: int = 0
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    threads: int = 0
    """CPU threads; 0: all cores."""
    output_dir: str | None = None
    """Run directory; None: runs/<time>."""

    def check(self) -> None:
        """Raise ValueError for settings that do not go together.

        Not part of making a `Config`: a file may hold one of such settings and the command line the other.
        """
        if self.rollout.overlap:
            expected = "false where rollout.overlap is true"
            _check(not self.rollout.vllm.sleep, "rollout.vllm.sleep", expected, self.rollout.vllm.sleep)
        if self.loss.kl_in == "reward":
            estimator, expected = self.advantage.estimator, "gae or reinforce_pp where loss.kl_in is reward"
            _check(estimator in ("gae", "reinforce_pp"), "advantage.estimator", expected, estimator)
