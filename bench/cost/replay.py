"""The update's peak memory at a model's true size, on tensors without storage: `python -m bench.cost.replay --gpus 8`.

Two forward and backward passes of our policy's body, sharded by our code over ranks that do not exist, watched by
torch's memory tracker; of the LM head a few rows take part. A check of `cost_model.working`, which needs no GPU.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
from collections.abc import Iterator
from unittest import mock

import torch
import torch.distributed as dist
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed import device_mesh
from torch.distributed._tools.fsdp2_mem_tracker import FSDPMemTracker
from torch.distributed._tools.mem_tracker import MemTracker
from torch.testing._internal.distributed.fake_pg import FakeStore
from transformers import Qwen2Config, Qwen2ForCausalLM

from bench.cost.model import MODELS, Model, Setup, working
from rerec_engine.model.memory import checkpointed, enable_checkpointing
from rerec_engine.model.policy import Body, blocks
from rerec_engine.model.ranks import shard

CPU = torch.device("cpu")
HEAD_ROWS = 64


def qwen2_config(model: Model) -> dict[str, int | bool]:
    """Arguments of transformers' `Qwen2Config`."""
    return dict(
        vocab_size=model.vocab,
        hidden_size=model.hidden,
        num_hidden_layers=model.layers,
        num_attention_heads=model.heads,
        num_key_value_heads=model.kv_heads,
        intermediate_size=model.intermediate,
        tie_word_embeddings=model.tied,
    )


def qwen2(model: Model) -> Qwen2ForCausalLM:
    return Qwen2ForCausalLM(Qwen2Config(**qwen2_config(model))).eval()


@contextlib.contextmanager
def ranks(count: int) -> Iterator[None]:
    """This process as the first of `count` ranks, of which the others do not exist."""
    if count == 1:
        yield
        return
    dist.init_process_group("fake", rank=0, world_size=count, store=FakeStore())
    mesh = device_mesh.init_device_mesh("cpu", (count,))  # reads values, which fake tensors do not have
    try:
        with mock.patch.object(device_mesh, "init_device_mesh", return_value=mesh):
            yield
    finally:
        dist.destroy_process_group()


def replay(s: Setup) -> int:
    """The most bytes of weights, gradients and whatever else of the trainer but the optimizer's state."""
    with ranks(s.gpus), FakeTensorMode(allow_non_fake_inputs=True):
        model = qwen2(s.model)
        if s.checkpointing:
            enable_checkpointing(model)
        body = Body(model)
        tracker: MemTracker
        if s.sharded:
            shard(body, blocks(model), torch.bfloat16, CPU)
            tracker = FSDPMemTracker(body)
            tracker.track_inputs(())
        else:
            tracker = MemTracker()
            tracker.track_external(body)
        with tracker:
            for _ in range(2):
                tracker.reset_mod_stats()
                ids = torch.zeros(1, s.micro_batch, dtype=torch.long)
                with checkpointed(model), torch.autocast("cpu", torch.bfloat16, enabled=not s.sharded):
                    hidden = body(input_ids=ids, use_cache=False).last_hidden_state
                rows = hidden[0, :HEAD_ROWS].to(torch.bfloat16)
                del hidden
                (rows @ model.lm_head.weight.to(torch.bfloat16).T).float().sum().backward()
        total: int = tracker.get_tracker_snapshot("peak")[CPU]["Total"]
    return total


def expected(s: Setup) -> float:
    """What `cost_model` says of the same."""
    phases = {name: parts for name, parts in working(s).items() if name != "loss"}
    return 4 * s.model.parameters / s.gpus + max(sum(parts.values()) for parts in phases.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="Qwen2.5-7B", choices=MODELS)
    parser.add_argument("--layers", type=int, default=4, help="0: all of them")
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--micro-batch", type=int, default=8192)
    parser.add_argument("--checkpointing", action=argparse.BooleanOptionalAction, default=True)
    chosen = parser.parse_args()
    model = MODELS[chosen.model]
    model = dataclasses.replace(model, layers=chosen.layers or model.layers)
    s = Setup(model, gpus=chosen.gpus, micro_batch=chosen.micro_batch, checkpointing=chosen.checkpointing)
    print(json.dumps({"replayed": replay(s), "model": round(expected(s))}))


if __name__ == "__main__":
    main()
