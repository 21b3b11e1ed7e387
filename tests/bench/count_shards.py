"""One rank of several, for test_cost_model.py: bytes of its shards of weights, gradients and moments, on stdout.

Arguments: the model's sizes as JSON, port, rank, ranks.
"""

from __future__ import annotations

import json
import os
import sys

import torch
import torch.distributed as dist
from transformers import Qwen2Config, Qwen2ForCausalLM

from rerec_engine.model.policy import Policy

sizes, port, rank, ranks = sys.argv[1:]
torch.set_num_threads(1)
os.environ.update(RANK=rank, WORLD_SIZE=ranks, LOCAL_RANK=rank, MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
dist.init_process_group("gloo")
model = Qwen2ForCausalLM(Qwen2Config(**json.loads(sizes)))
policy = Policy(model, None, (1,), 0, torch.bfloat16)  # type: ignore[arg-type]  # no text here
policy.shard(torch.device("cpu"))
optimizer = torch.optim.AdamW(model.parameters(), fused=True)
policy.response_states([([3, 4, 5], [6, 7])])[0].float().sum().backward()
optimizer.step()
moments = [x for state in optimizer.state.values() for name, x in state.items() if name != "step"]
parts = ([p.data for p in model.parameters()], [p.grad for p in model.parameters()], moments)
print(*(sum(x.to_local().nbytes for x in part) for part in parts))
dist.destroy_process_group()
