"""Settings: nested frozen dataclasses. Defaults are the published ones; the demo's lie in `configs/demo.yaml`.

Source of the defaults: the training script published with ReRec (arXiv 2604.07851).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from rerec_engine.types import LOWEST_TEMPERATURE

Estimator = Literal["raae", "rank", "grpo", "dr_grpo", "rloo", "reinforce_pp", "gae"]
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
    """Weight of NDCG@K: is a right item named, and how early."""
    format: float = 0.1
    """Weight of the format: is there an answer in a box."""
    qas: float = 0.01
    """Weight of QAS: how much of what was asked the named item has."""
    pas: float = 0.01
    """Weight of PAS: how near the named item's embedding is to the right one's."""
    k: int = 1
    """Entries of an answer that NDCG@K looks at."""
    qas_mode: QasMode = "shared"
    """With several right items, QAS compares with the attributes that all share, or takes the max or mean over them."""
    qas_idf: bool = False
    """Weigh an attribute by its inverse document frequency, so that a rare one counts more than a common one."""
    pas_centred: bool = False
    """Subtract from PAS its mean over the query's candidates (over all items where there are none)."""
    ndcg_graded: bool = False
    """Let a wrong item gain its QAS in NDCG@K instead of 0."""
    repeat_penalty: float = 0.0
    """Take this times the share of an answer's entries that repeat an earlier one off the reward."""

    def __post_init__(self) -> None:
        _finite(**{f"reward.{n}": getattr(self, n) for n in ("ndcg", "format", "qas", "pas", "repeat_penalty")})
        _check(1 <= self.k <= 1000, "reward.k", "in 1..1000", self.k)
        _check(self.qas_mode in ("shared", "max", "mean"), "reward.qas_mode", "shared, max or mean", self.qas_mode)


@dataclass(frozen=True)
class DataConfig:
    """What is trained on."""

    path: str | None = None
    """Dataset directory, as rerec_engine.prepare writes it; none: the demo world, made from `seed`."""
    max_prompt_tokens: int = 768
    """Leave longer prompts out, counted and reported."""
    order: Literal["dataset", "fixed", "fresh"] = "dataset"
    """Order of a query's candidates in training: as in its file (fixed), drawn anew each time that it is asked (fresh),
    or what dataset.json says."""

    def __post_init__(self) -> None:
        _check(self.max_prompt_tokens > 0, "data.max_prompt_tokens", "positive", self.max_prompt_tokens)
        _check(self.order in ("dataset", "fixed", "fresh"), "data.order", "dataset, fixed or fresh", self.order)


@dataclass(frozen=True)
class ModelConfig:
    """The language model that is trained."""

    path: str | None = None
    """Directory of a Hugging Face causal LM, or its name on the Hub; none: a small Qwen2 made for the dataset."""
    revision: str | None = None
    """Branch, tag or commit of a name on the Hub; none: its main branch. A run keeps the commit that it began with."""
    trust_remote_code: bool = False
    """Run the Python code that a model brings along: anything that you may do, it may do."""
    chat_template: str | None = None
    """Chat template that makes the prompts: a file (jinja), or the name of one of the tokenizer's; none: its own."""
    chat_template_kwargs: dict[str, Any] = field(default_factory=dict)
    """Values of the template's variables, as JSON: {"enable_thinking": false}. Template and values go into final/."""
    dtype: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the passes; the trained weights stay fp32. auto: bf16 for a pretrained model on a CPU that
    multiplies it clearly faster, else fp32; a run keeps what it began with."""
    gradient_checkpointing: bool | None = None
    """Keep only the layers' inputs for the backward pass and compute the rest again: less memory, more time; none:
    where a pass would need more than half of the memory that is free at the start."""
    packing: bool = True
    """Update without padding, each prompt once for all its responses, and each response that was drawn several times
    once, where the model's attention allows it."""
    offload_reference: bool = False
    """Keep the KL's frozen reference in host memory between its uses. (LoRA needs no second model.)"""
    lora_rank: int = 0
    """Train a LoRA adapter of this rank on frozen weights, with a larger learning rate; 0: train all weights."""
    lora_alpha: int = 32
    """Scale the adapter by lora_alpha / lora_rank. (No dropout: log-probs would differ from the rollout engine's.)"""
    lora_targets: str = "all-linear"
    """Linear layers that get an adapter: names with commas between, or all-linear for all but embedding and LM head."""
    hidden_size: int = 128
    """Width of the model made on the spot, in units; unused with `path`, like the next two."""
    layers: int = 4
    """Layers of the model made on the spot."""
    heads: int = 4
    """Attention heads of the model made on the spot."""

    def __post_init__(self) -> None:
        _check(self.chat_template != "", "model.chat_template", "a file or a name", self.chat_template)
        _check(self.lora_rank >= 0, "model.lora_rank", ">= 0", self.lora_rank)
        _check(self.lora_alpha >= 1, "model.lora_alpha", ">= 1", self.lora_alpha)
        _check(all(map(str.strip, self.lora_targets.split(","))), "model.lora_targets", "names", self.lora_targets)


@dataclass(frozen=True)
class WarmStartConfig:
    """Supervised fine-tuning before reinforcement, on the reasoning traces of a dataset that has some (the demo)."""

    epochs: int = 0
    """Passes over the traces, in their order; 0: no warm start."""
    path: str | None = None
    """Parquet file of traces; none: the dataset's warm_start.parquet."""
    examples: int = 0
    """Learn from the first so many traces alone; 0: all."""
    tokens_per_batch: int = 2048
    """Tokens of one update, prompts included, on average."""
    learning_rate: float | None = None
    """Peak learning rate of AdamW; none: 3e-3 for a model made on the spot, 1e-4 with model.path, with model.lora_rank
    1e-3."""
    matrix_learning_rate: float | None = None
    """Peak learning rate of Muon, which then trains the layers' matrices; none: 0.02 for a model made on the spot, no
    Muon with model.path."""
    warmup_steps: int | None = None
    """Updates over which the learning rates rise to their peaks; none: 50, with model.path a twentieth of all."""

    def __post_init__(self) -> None:
        _check(self.epochs >= 0, "warm_start.epochs", ">= 0", self.epochs)
        _check(self.examples >= 0, "warm_start.examples", ">= 0", self.examples)
        _check(self.tokens_per_batch >= 1, "warm_start.tokens_per_batch", ">= 1", self.tokens_per_batch)
        for name in ("learning_rate", "matrix_learning_rate"):
            _check((rate := getattr(self, name)) is None or rate > 0, f"warm_start.{name}", "> 0, or none", rate)


@dataclass(frozen=True)
class VllmConfig:
    """vLLM in a process of its own, computing in `model.dtype`; read where rollout.engine is vllm."""

    python: str | None = None
    """Interpreter that has vLLM, such as .venv/vllm/bin/python; none: this one."""
    kv_cache_gb: float = 4.0
    """Memory for keys and values in GiB, on each GPU; vLLM recomputes what does not fit."""
    max_num_seqs: int = 256
    """Decode at most so many responses at a time."""
    tensor_parallel: int = 1
    """Spread one engine over so many GPUs: the rank's own and those after it."""
    enforce_eager: bool = False
    """Leave CUDA graphs out: a faster start, less memory, slower generation. Always so on the CPU."""
    sleep: bool = False
    """Between generations, move the engine's weights to host memory and free its keys and values (CUDA)."""
    threads: int = 0
    """CPU threads of the engine; 0: as many as training has."""
    timeout: float = 1800.0
    """Kill the engine as hung where its start, or one call, takes longer than this many seconds."""

    def __post_init__(self) -> None:
        _finite(**{f"rollout.vllm.{name}": getattr(self, name) for name in ("kv_cache_gb", "timeout")})
        for name in ("kv_cache_gb", "timeout"):
            _check(getattr(self, name) > 0, f"rollout.vllm.{name}", "positive", getattr(self, name))
        for name in ("max_num_seqs", "tensor_parallel"):
            _check(getattr(self, name) >= 1, f"rollout.vllm.{name}", ">= 1", getattr(self, name))
        _check(self.threads >= 0, "rollout.vllm.threads", ">= 0", self.threads)


@dataclass(frozen=True)
class RolloutConfig:
    """How responses are drawn."""

    engine: Literal["sampler", "vllm"] = "sampler"
    """Draw with the built-in sampler, or with vLLM."""
    responses_per_query: int = 5
    """Responses that make a group, G: they are compared with one another."""
    max_new_tokens: int = 768
    """Tokens of a response at most."""
    temperature: float = 1.0
    """Divide the logits by this before drawing."""
    dynamic_sampling: bool = False
    """Draw further queries until the step has enough groups whose rewards differ (DAPO)."""
    max_draws: int = 3
    """With dynamic sampling, draw at most so many times the step's queries."""
    constrain: Literal["off", "candidates", "catalogue"] = "off"
    """Within the answer's box allow only tokens that continue or end a title, of the query's candidates or of the
    catalogue: no answer is invented, and log-probs are those of what could be drawn."""
    cache_gb: float = 0.0
    """Memory for the sampler's keys and values in GiB: prompts that do not fit wait until responses end. 0: 2 on a CPU,
    0.4 of what is free on a GPU."""
    overlap: bool = False
    """Draw the next step's responses while this one's update runs; they are then one update old."""
    vllm: VllmConfig = field(default_factory=VllmConfig)

    def __post_init__(self) -> None:
        _check(self.responses_per_query >= 1, "rollout.responses_per_query", ">= 1", self.responses_per_query)
        _check(self.max_new_tokens >= 1, "rollout.max_new_tokens", ">= 1", self.max_new_tokens)
        drawn = LOWEST_TEMPERATURE <= self.temperature < math.inf
        _check(drawn, "rollout.temperature", f"finite and >= {LOWEST_TEMPERATURE}", self.temperature)
        _check(self.max_draws >= 1, "rollout.max_draws", ">= 1", self.max_draws)
        _check(0 <= self.cache_gb < math.inf, "rollout.cache_gb", "a finite number >= 0", self.cache_gb)


@dataclass(frozen=True)
class AdvantageConfig:
    """How rewards become the tokens' advantages."""

    estimator: Estimator = "raae"
    """Advantage of a token: ReRec's raae, which looks at segments of the reasoning; rank, which besides gives each
    entry of a list answer an advantage of its own (reward.k of at least 2); or one of their peers."""
    w_penalty: float = 0.3
    """Lower the reward r of a segment with a mistake by w_penalty |r| (raae and rank, like the next two)."""
    w_credit: float = 0.0
    """Raise r by w_credit |r| in a segment that rejects a wrong candidate for an attribute it lacks."""
    w_false: float = 0.0
    """Lower r by w_false |r| in a segment that says of an item what the attribute graph denies, besides w_penalty."""
    w_verdict: float = 0.0
    """Replace this share of NDCG by a segment's own outcome, 1 or 0, where it judges a candidate rightly or wrongly (a
    line that names one candidate alone, with a "yes" or "no"), 0 to 1 (raae and rank)."""
    w_invalid: float = 0.1
    """Give an entry of a list answer -w_invalid where it repeats an earlier one or is in no catalogue (rank)."""
    outcome_gate: bool = False
    """Give a group in which no answer is right zero advantage, so that shaping alone never trains."""
    gae_gamma: float = 1.0
    """Discount of later rewards for each token (gae)."""
    gae_lambda: float = 0.95
    """Weight of longer returns against the critic's values, 0 to 1 (gae)."""

    def __post_init__(self) -> None:
        _check(0 <= self.w_penalty <= 10, "advantage.w_penalty", "in 0..10", self.w_penalty)
        _check(0 <= self.w_credit <= 10, "advantage.w_credit", "in 0..10", self.w_credit)
        _check(0 <= self.w_false <= 10, "advantage.w_false", "in 0..10", self.w_false)
        _check(0 <= self.w_verdict <= 1, "advantage.w_verdict", "in 0..1", self.w_verdict)
        _check(0 <= self.w_invalid <= 10, "advantage.w_invalid", "in 0..10", self.w_invalid)
        _check(0 <= self.gae_gamma <= 1, "advantage.gae_gamma", "in 0..1", self.gae_gamma)
        _check(0 <= self.gae_lambda <= 1, "advantage.gae_lambda", "in 0..1", self.gae_lambda)


@dataclass(frozen=True)
class CurriculumConfig:
    """Which queries are asked, and in which order: easy ones first, mastered ones no more."""

    enabled: bool = True
    """Order and drop queries by difficulty; false: ask all of them in random order."""
    tau: float = 0.1
    """Drop a query as mastered where its difficulty is below this."""
    difficulty: Literal["ndcg", "reward"] = "ndcg"
    """Difficulty: 1 - NDCG (the published code) or 1 - reward (the paper), averaged over a group."""
    probe_share: float = 0.05
    """Ask this share of the dropped queries again each epoch, and readmit those that were forgotten."""

    def __post_init__(self) -> None:
        _check(0 <= self.tau <= 2, "curriculum.tau", "in 0..2", self.tau)
        _check(0 <= self.probe_share <= 1, "curriculum.probe_share", "in 0..1", self.probe_share)


@dataclass(frozen=True)
class LossConfig:
    """The clipped policy-gradient loss and what is added to it."""

    clip_low: float = 0.2
    """Clip a probability ratio below 1 - clip_low."""
    clip_high: float = 0.2
    """Clip a probability ratio above 1 + clip_high; larger than clip_low is DAPO's clip-higher."""
    beta: float = 0.01
    """Weight of the KL against the frozen reference; 0: no KL, and no reference in memory."""
    kl: Literal["k1", "k2", "k3"] = "k3"
    """Estimate of the KL, where it is in the loss."""
    kl_in: Literal["loss", "reward"] = "loss"
    """Put the KL into the loss, or take it off every token's reward as PPO does (gae and reinforce_pp only)."""
    entropy: float = 0.0
    """Weight of the entropy bonus."""
    ratio: Literal["token", "entry", "sequence"] = "token"
    """Take a probability ratio for each token, one for all tokens of an answer's entry (Rank-GRPO), or one for all
    tokens of a response (GSPO)."""
    importance_cap: float = 0.0
    """0: take the probability ratio against the rollout engine's log-probs. At least 1, such as 2: truncated importance
    sampling; take it against the trainer's own log-probs before the step's first update, and multiply advantages by
    min(trainer's / engine's probability, importance_cap). Costs one more forward pass."""
    aggregation: Literal["token_mean", "sequence_mean", "dr_grpo"] = "token_mean"
    """Average over all tokens, over each response and then over responses, or divide by a constant (dr_grpo)."""
    value_clip: float = 0.2
    """Let the critic's values move at most this far in a step (gae)."""
    value_weight: float = 0.5
    """Weight of the critic's loss (gae)."""

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
    """AdamW, for the policy and the critic."""

    learning_rate: float = 5e-6
    """Learning rate of the policy."""
    critic_learning_rate: float = 1e-5
    """Learning rate of the critic (gae)."""
    weight_decay: float = 0.01
    """Shrink weights by this times the learning rate at each update."""
    beta1: float = 0.9
    """Decay of AdamW's mean of gradients."""
    beta2: float = 0.95
    """Decay of AdamW's mean of squared gradients."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises to its full value."""
    final_share: float = 1.0
    """Learning rate of the last step as a share of the full one, linear in between; 1: constant."""
    max_grad_norm: float = 1.0
    """Scale a gradient whose norm is larger down to this norm."""

    def __post_init__(self) -> None:
        _check(0 <= self.final_share <= 1, "optim.final_share", "in 0..1", self.final_share)
        _check(self.learning_rate > 0, "optim.learning_rate", "> 0", self.learning_rate)
        _check(self.max_grad_norm > 0, "optim.max_grad_norm", "> 0", self.max_grad_norm)


@dataclass(frozen=True)
class TrainConfig:
    """The loop: how long it goes on, and what it writes on the way."""

    steps: int = 100
    """Steps of reinforcement; 0: the warm start and the evaluations alone."""
    queries_per_step: int = 512
    """Queries asked in a step."""
    queries_per_update: int = 256
    """Queries of a step that one optimizer update learns from."""
    tokens_per_micro_batch: int | None = None
    """Prompt and response tokens, padding included, in one forward and backward pass at most; none: 16384, on a CPU
    fewer where the activations would take more than 3 GB."""
    eval_every: int = 20
    """Steps between evaluations on the val split; 0: only before and after."""
    eval_queries: int = 200
    """Queries of an evaluation during training; 0: all."""
    checkpoint_every: int = 20
    """Steps between checkpoints; 0: only before and after."""
    keep_checkpoints: int = 2
    """Keep so many checkpoints, the newest ones."""
    max_skipped_updates: int = 10
    """End the run after so many updates in a row whose gradient is not finite; 0: never."""
    save_rollouts_every: int = 10
    """Steps between rollouts/step_N.parquet, which hold a step's responses; 0: only the first step's."""
    report: bool = True
    """Write report.html at every evaluation, and at the end."""

    def __post_init__(self) -> None:
        for name in ("queries_per_step", "queries_per_update"):
            _check(getattr(self, name) >= 1, f"train.{name}", ">= 1", getattr(self, name))
        tokens = self.tokens_per_micro_batch
        _check(tokens is None or tokens >= 1, "train.tokens_per_micro_batch", ">= 1, or none", tokens)
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
    """Seed of all that is drawn."""
    device: str = "auto"
    """auto (CUDA where there is one), cpu, cuda or cuda:N."""
    threads: int = 0
    """CPU threads; 0: all cores, or OMP_NUM_THREADS. Beside other processes they give way, see docs/training.md."""
    output_dir: str | None = None
    """Run directory; none: runs/<time>."""

    def check(self) -> None:
        """Raise ValueError for settings that do not go together.

        Not part of making a `Config`: a file may hold one of such settings and the command line the other.
        """
        if self.rollout.overlap:
            expected = "false where rollout.overlap is true"
            _check(not self.rollout.vllm.sleep, "rollout.vllm.sleep", expected, self.rollout.vllm.sleep)
        if self.model.lora_rank:
            rate = self.warm_start.matrix_learning_rate
            _check(rate is None, "warm_start.matrix_learning_rate", "none where model.lora_rank is set", rate)
        if self.advantage.estimator == "rank":
            _check(self.reward.k >= 2, "reward.k", ">= 2 where advantage.estimator is rank", self.reward.k)
        if self.loss.kl_in == "reward":
            estimator, expected = self.advantage.estimator, "gae or reinforce_pp where loss.kl_in is reward"
            _check(estimator in ("gae", "reinforce_pp"), "advantage.estimator", expected, estimator)
