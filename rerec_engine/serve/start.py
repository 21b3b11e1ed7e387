"""Chooses the engine and puts the parts of a server together."""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import sys
from collections.abc import Callable

import torch

from rerec_engine.assistant.answer import Assistant
from rerec_engine.cli import waiting
from rerec_engine.data.dataset import Dataset, load_dataset
from rerec_engine.errors import UserError
from rerec_engine.heap import keep_memory
from rerec_engine.model.context import context_of
from rerec_engine.model.policy import Policy, load_policy
from rerec_engine.model.source import Loading, find_model
from rerec_engine.rollout.loading import constrain_answers
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.rollout.selfcheck import prove_sampler
from rerec_engine.serve.backend import Backend, SamplerBackend
from rerec_engine.serve.conversation import Conversation
from rerec_engine.serve.limits import Limits
from rerec_engine.serve.vllm import VllmBackend

CONTEXT = 4096
"""Tokens of an exchange with a model that names no limit."""


def find_vllm(named: str | None) -> str | None:
    """An interpreter that has vLLM: the one that is named, else this one where it does."""
    if named is not None:
        found = shutil.which(named)
        if found is None:
            raise UserError(f"--vllm-python {named}: no such program")
        return found
    return sys.executable if importlib.util.find_spec("vllm") is not None else None


def start_conversation(args: argparse.Namespace, limits_of: Callable[[str], Limits]) -> tuple[Conversation, Limits]:
    """The conversation that the command's arguments ask for, and the limits of its engine."""
    with waiting(f"reading {args.data}"):
        dataset, loading = load_dataset(args.data), Loading.of(args)
    python = None if args.engine == "sampler" else find_vllm(args.vllm_python)
    if args.engine == "vllm" and python is None:
        raise UserError("--engine vllm: vLLM is not installed here; name a Python that has it: --vllm-python")
    if python is not None:
        limits = limits_of("vllm")
        policy = load_policy(args.model, "cpu", empty=True, loading=loading)  # tokenizer and sizes alone
        try:
            print(f"starting vLLM ({python}) ...", file=sys.stderr, flush=True)
            backend: Backend = VllmBackend(
                python,
                find_model(args.model, loading.revision),
                policy.end_ids,
                context=context_of(policy) or CONTEXT,
                callers=limits.concurrent,
                arguments=args.vllm_args,
                trust_remote_code=loading.trust_remote_code,
            )
        except UserError as error:
            if args.engine == "vllm":
                raise
            print(f"the built-in sampler serves, since {error}", file=sys.stderr)
        else:
            return _conversation(dataset, policy, backend), limits
    limits = limits_of("sampler")
    keep_memory()
    with waiting("loading the model"):
        policy = load_policy(args.model, args.device, loading.dtype, loading=loading)
    if policy.device.type == "cpu":  # the callers share the cores
        torch.set_num_threads(max(1, torch.get_num_threads() // limits.concurrent))
    sampler = Sampler(policy)
    with waiting("the self-check"):
        prove_sampler(sampler, remedy="; --engine vllm draws with vLLM, where that knows the model")
    constrain_answers(sampler, dataset.catalogue, args.constrain, 0)
    backend = SamplerBackend(sampler, limits.concurrent)
    return _conversation(dataset, policy, backend), limits


def _conversation(dataset: Dataset, policy: Policy, backend: Backend) -> Conversation:
    context = context_of(policy) or CONTEXT
    assistant = Assistant(dataset, policy.chat, backend.stream, context=context)
    return Conversation(assistant, backend)
