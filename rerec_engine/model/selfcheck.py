"""A policy proves itself before it trains: our log-probs of a few short sequences against the model's own.

The truth is `log_softmax(model(input_ids).logits)` over sequences of one length, without padding, in the policy's own
arithmetic. Beyond the bound what is ours gives way to what agrees (padded rows instead of packed ones, the model's own
logits), or the model is refused in one line. There is no list of architectures: the next one is measured too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rerec_engine.errors import RunError, UserError
from rerec_engine.model.arithmetic import DTYPES
from rerec_engine.model.lora import fresh_adapter, without_adapter
from rerec_engine.model.output import Output
from rerec_engine.model.policy import Policy, load_policy
from rerec_engine.model.ranks import Ranks
from rerec_engine.model.sequences import Row

BOUNDS = {torch.float32: 1e-3, torch.bfloat16: 1.0}
"""Nats, the most that a token's log-prob may differ. In bf16 rounding alone gave up to 0.23 between two layouts of the
same rows (24 random layers, logits spread by 4.5); of a trained model, a wrong mask, position or state gives several.
Scale and cap of the logits are measured in fp32 whatever the arithmetic (model/output.py)."""
LENGTH = 11
SPANS = ((0, 5, 11), (1, 5, 9), (2, 3, 8), (3, 3, 9))
"""Sequence, tokens of its prompt, end of its response. The first two share their prompt, and so do the others."""


@dataclass
class Proof:
    """What came out: the largest difference of log-probs (nats) over all ways that are used, and what is told."""

    logprob_max: float = 0.0
    told: list[str] = field(default_factory=list)

    def join(self, other: Proof) -> Proof:
        return Proof(max(self.logprob_max, other.logprob_max), [*self.told, *other.told])


class Case:
    """Four short sequences of random tokens, as rows of the trainer. ids [4, LENGTH] int64."""

    def __init__(self, policy: Policy) -> None:
        special = {policy.pad_id, *policy.end_ids, *policy.tokenizer.all_special_ids}
        size = min(len(policy.tokenizer), policy.model.config.get_text_config().vocab_size)
        usable = torch.tensor([i for i in range(size) if i not in special] or list(range(size)))
        generator = torch.Generator().manual_seed(0)
        self.ids = usable[torch.randint(len(usable), (len(SPANS), LENGTH), generator=generator)]
        self.ids[1, :5], self.ids[3, :3] = self.ids[0, :5], self.ids[2, :3]
        self.rows: list[Row] = [(self.ids[i, :p].tolist(), self.ids[i, p:end].tolist()) for i, p, end in SPANS]

    def pick(self, logprobs: Tensor) -> Tensor:
        """Of the rows' responses, [T], from those of every token but the first, [4, LENGTH - 1]."""
        return torch.cat([logprobs[i, p - 1 : end - 1] for i, p, end in SPANS])


@torch.no_grad()
def true_logprobs(policy: Policy, case: Case) -> Tensor:
    """The model's own log-probs of the case's responses, [T] fp32. With a sharded policy all ranks call it."""
    ids = case.ids.to(policy.device)
    try:
        with policy.autocast():
            logits = policy.body(own=True, input_ids=ids, use_cache=False).logits
    except Exception as error:  # whatever a model's own code raises
        way = "its own forward pass with the adapter" if policy.adapted else "its own forward pass"
        raise refusal(policy, way, math.inf, _line(error)) from error
    policy.reshard()
    logp = logits[:, :-1].float().log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
    return case.pick(logp)


def difference(found: Callable[[], Tensor], truth: Tensor) -> tuple[float, str]:
    """The largest difference in nats, and why it is infinite where it is: an error, or what is no number."""
    try:
        apart = float((found().to(truth.device) - truth).abs().max())
    except UserError:
        raise
    except Exception as error:  # as above
        return math.inf, _line(error)
    return (apart, "") if math.isfinite(apart) else (math.inf, "not finite")


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def refusal(policy: Policy, way: str, apart: float, why: str, remedy: str = "") -> UserError:
    """One line that names the architecture, the way and the figure."""
    name, bound = type(policy.model).__name__, BOUNDS[policy.dtype]
    told = f"our log-probs differ from the model's own by {apart:.2g} nats (bound {bound:g})"
    return UserError(f"{name}, {way}: {why or told}{remedy}")


@torch.no_grad()
def prove_policy(policy: Policy, critic: Any = None) -> Proof:
    """The trainer's ways: padded and packed rows, adapter on and off, the critic. Changes `policy.packed` and
    `policy.output` to what agrees. Raises UserError where nothing does. All ranks of a sharded policy call it."""
    case, proof = Case(policy), Proof()
    with perturbed(policy):
        proof = proof.join(_prove_rows(policy, case))
    if policy.adapted:
        with without_adapter(policy.model):
            off = _apart(policy, case, policy.packed, true_logprobs(policy, case))
        if off[0] > BOUNDS[policy.dtype]:
            raise refusal(policy, "the adapter switched off", *off)
        proof.logprob_max = max(proof.logprob_max, off[0])
    if critic is not None:
        critic.packed = policy.packed
        try:
            with policy.autocast():
                finite = bool(critic(case.rows).isfinite().all())
        except Exception as error:  # as above
            raise refusal(policy, "the critic", math.inf, _line(error)) from error
        if not finite:
            raise refusal(policy, "the critic", math.inf, "values that are not finite")
        if policy.sharded:
            critic.reshard()
    return proof


def _prove_rows(policy: Policy, case: Case) -> Proof:
    bound, truth, told = BOUNDS[policy.dtype], true_logprobs(policy, case), []
    apart, why = _apart(policy, case, False, truth)
    if apart > bound and not policy.output.own:
        first = apart, why
        policy.output = Output(own=True)
        apart, why = _apart(policy, case, False, truth)
        if apart > bound:
            apart, why = first
    if apart > bound:
        raise refusal(policy, "padded rows", apart, why)
    name = type(policy.model).__name__
    if policy.output.own:
        told.append(f"{name}: updates and sampler take the model's own logits, which need more memory")
    if policy.packed:
        packed, why = _apart(policy, case, True, truth)
        if packed <= bound:
            return Proof(max(apart, packed), told)
        policy.packed = False
        told.append(f"{name}: padded rows, since packed ones give {why or f'log-probs {packed:.2g} nats off'}")
    return Proof(apart, told)


def _apart(policy: Policy, case: Case, packed: bool, truth: Tensor) -> tuple[float, str]:
    kept, policy.packed = policy.packed, packed
    try:
        return difference(lambda: policy.token_logprobs(case.rows, return_entropy=False)[0], truth)
    finally:
        policy.packed = kept
        policy.reshard()


def prove_saved(policy: Policy, path: str | Path, ranks: Ranks | None = None) -> float:
    """What was saved, loaded again: the largest difference (nats) of its log-probs from those of the policy itself.

    All ranks call it, the first one loads. Raises RunError beyond the bound.
    """
    case = Case(policy)
    truth = true_logprobs(policy, case)
    return (ranks or Ranks()).main_does(lambda: _loaded_apart(policy, path, case, truth))


def _loaded_apart(policy: Policy, path: str | Path, case: Case, truth: Tensor) -> float:
    names = {dtype: name for name, dtype in DTYPES.items()}
    loaded = load_policy(str(path), _room(policy), names[policy.dtype], names[policy.model.dtype])
    apart, why = difference(lambda: true_logprobs(loaded, case), truth)
    if apart > BOUNDS[policy.dtype]:
        told = f"log-probs {apart:.2g} nats off those of the model in training (bound {BOUNDS[policy.dtype]:g})"
        name = type(policy.model).__name__
        raise RunError(f"{path}: loaded again, {name} gives {why or told}; the checkpoints hold what was trained")
    return apart


def _room(policy: Policy) -> torch.device:
    """Where a second model of the policy's size can lie beside it."""
    device, size = policy.device, sum(p.numel() * p.element_size() for p in policy.model.parameters())
    tight = device.type == "cuda" and torch.cuda.mem_get_info(device)[0] < 2 * size
    return torch.device("cpu") if tight or policy.sharded else device


@contextmanager
def perturbed(policy: Policy) -> Iterator[None]:
    """Within, an adapter that changes nothing yet changes something; a sharded one stays as it is."""
    with fresh_adapter(policy.model) if policy.adapted and not policy.sharded else nullcontext():
        yield
