"""Memory and time of a training step, on paper: `python -m bench.cost.model [--model Qwen2.5-7B] [--gpus 8] ...`

Bytes follow from the code and are checked against measurement (`tests/bench/test_cost_model.py`). Seconds rest on the
assumptions below and have not been measured on a GPU. docs/scaling.md has the tables.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

GIB = 2**30
FP32, BF16 = 4, 2  # bytes

# Assumed, all of them; none is measured.
TRAIN_SHARE = 0.4  # of the published FLOP rate, in forward and backward passes
PREFILL_SHARE = 0.5
BANDWIDTH_SHARE = 0.7  # of the published memory bandwidth, in decoding and in the optimizer
LINK_SHARE = 0.8  # of the published rate between GPUs
DECODE_OVERHEAD = 5e-3  # s a decoding step: scheduler, launches, seeded draws
ALL_REDUCE = 15e-6  # s, two a layer in each decoding step under tensor parallelism
PAGEABLE = 6e9  # bytes/s between a GPU and pageable host memory
COPY = 5e9  # bytes/s of one thread's copy within host memory
HOST = 200e9  # bytes/s of all copies of a host together, each counted as read and written
TRAINER_OTHER = 1.5 * GIB  # CUDA context, NCCL buffers, workspaces of matrix products
ENGINE_OTHER = 3.0 * GIB  # awake: CUDA context, CUDA graphs, activations of prefill
ENGINE_ASLEEP = 1.5 * GIB
SLACK = 0.05  # of what comes and goes, that the caching allocator holds besides
WORKSPACE = 1.0 * GIB  # kernels/common.py, WORKSPACE_MB


@dataclass(frozen=True)
class Gpu:
    """Published figures of a card and its links: data sheets of H100 SXM, H200 SXM and DGX H100."""

    memory: float  # bytes that programs can use
    flops: float  # dense bf16
    bandwidth: float  # of its memory, bytes/s
    nvlink: float = 450e9  # bytes/s in one direction
    pcie: float = 64e9  # bytes/s in one direction, generation 5 x16


GPUS = {
    "H100": Gpu(memory=78 * GIB, flops=989e12, bandwidth=3.35e12),
    "H200": Gpu(memory=138 * GIB, flops=989e12, bandwidth=4.8e12),
}
NETWORK = 400e9  # bytes/s of a host in one direction: 8 adapters of 400 Gbit/s (DGX H100)


@dataclass(frozen=True)
class Model:
    """Sizes of a Qwen2 model: biases on q, k and v alone, gated MLP, grouped queries."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocab: int
    tied: bool

    @property
    def kv_width(self) -> int:
        return self.hidden // self.heads * self.kv_heads

    @property
    def layer_matrices(self) -> int:
        """Weights of a layer's matrix products."""
        return self.hidden * (2 * self.hidden + 2 * self.kv_width + 3 * self.intermediate)

    @property
    def layer(self) -> int:
        return self.layer_matrices + self.hidden + 2 * self.kv_width + 2 * self.hidden  # biases, two norms

    @property
    def head(self) -> int:
        return self.vocab * self.hidden

    @property
    def root(self) -> int:
        """What FSDP2 keeps in its outermost group, gathered from forward to backward: embedding, LM head, last norm."""
        return self.head * (1 if self.tied else 2) + self.hidden

    @property
    def parameters(self) -> int:
        return self.layers * self.layer + self.root

    @property
    def matrices(self) -> int:
        """Weights that a token is multiplied with, LM head left out."""
        return self.layers * self.layer_matrices

    @property
    def kv_bytes(self) -> int:
        """Keys and values of a token, bf16."""
        return self.layers * 2 * self.kv_width * BF16

    def adapter(self, rank: int) -> int:
        """Parameters of a LoRA adapter on all linear layers."""
        h, k, i = self.hidden, self.kv_width, self.intermediate
        return self.layers * rank * (2 * (h + h) + 2 * (h + k) + 3 * (h + i))


MODELS = {  # config.json of the published models
    "Qwen2.5-3B": Model(2048, 36, 16, 2, 11008, 151936, True),
    "Qwen2.5-7B": Model(3584, 28, 28, 4, 18944, 152064, False),
    "Qwen2.5-32B": Model(5120, 64, 40, 8, 27648, 152064, False),
}


@dataclass(frozen=True)
class Setup:
    """A run. Defaults are the published settings, every prompt and response at its limit: an upper bound."""

    model: Model
    gpus: int = 8
    gpu: Gpu = GPUS["H100"]
    gpus_per_host: int = 8
    network: float = NETWORK
    queries: int = 512
    responses: int = 5  # G
    prompt: int = 768
    response: int = 768
    updates: int = 2  # optimizer steps a step
    micro_batch: int = 16384  # tokens
    checkpointing: bool = True
    packing: bool = True  # a prompt once for all its responses
    reference: bool = True  # loss.beta > 0
    offload_reference: bool = False
    lora_rank: int = 0
    tensor_parallel: int = 1
    kv_gb: float = 24.0  # GiB per GPU
    max_num_seqs: int = 256
    sleep: bool = True

    @property
    def sharded(self) -> bool:
        return self.gpus > 1

    @property
    def narrow(self) -> bool:
        """Whether the residual stream is bf16: FSDP2 casts weights; autocast leaves the embedding fp32."""
        return self.sharded or self.lora_rank > 0

    @property
    def trained(self) -> int:
        """Parameters that are trained."""
        return self.model.adapter(self.lora_rank) if self.lora_rank else self.model.parameters

    @property
    def hosts(self) -> int:
        return math.ceil(self.gpus / self.gpus_per_host)

    @property
    def engines(self) -> int:
        return self.gpus // self.tensor_parallel

    @property
    def tokens(self) -> int:
        """Tokens that go through the model in a pass over the step's batch."""
        prompts = self.queries * (1 if self.packing else self.responses)
        return prompts * self.prompt + self.response_tokens

    @property
    def response_tokens(self) -> int:
        return self.queries * self.responses * self.response


def layer_activations(model: Model, narrow: bool = True) -> int:
    """Bytes that a layer keeps of a token for its backward pass, arithmetic in bf16.

    narrow: with a residual stream in bf16. Else autocast: it is fp32, and each linear layer keeps a copy of its input.
    """
    h, k, i = model.hidden, model.kv_width, model.intermediate
    norms = 2 * (2 * FP32 * h + FP32) if not narrow else 2 * ((FP32 + BF16) * h + FP32)
    inputs = BF16 * h * (2 if narrow else 5)  # of q, k, v and of gate, up
    attention = BF16 * (h + 2 * k + h) + FP32 * model.heads  # q, k, v, result; log-sum-exp
    return norms + inputs + attention + BF16 * 4 * i


def held(s: Setup) -> dict[str, float]:
    """Bytes that the trainer holds on a GPU all the time, by part."""
    m, lora = s.model, s.lora_rank > 0
    separate = s.reference and not lora and not s.offload_reference
    return {
        "weights": FP32 * s.trained / s.gpus,
        "frozen weights": BF16 * m.parameters / s.gpus if lora else 0,
        "AdamW": 2 * FP32 * s.trained / s.gpus,
        "reference": BF16 * m.parameters / s.gpus if separate else 0,
    }


def engine(s: Setup) -> dict[str, float]:
    """Bytes of the engine on a GPU, awake."""
    weights = BF16 * s.model.parameters / s.tensor_parallel
    return {"engine's weights": weights, "its keys and values": s.kv_gb * GIB, "engine, other": ENGINE_OTHER}


def working(s: Setup) -> dict[str, dict[str, float]]:
    """Bytes that the update needs besides, by phase and part, from its second micro-batch on."""
    m, tokens, narrow = s.model, s.micro_batch, s.narrow
    one = tokens * layer_activations(m, narrow)  # all that a layer keeps
    inputs = tokens * m.hidden * (BF16 if narrow else FP32)
    kept = {"activations": (m.layers + 1) * inputs if s.checkpointing else m.layers * one + inputs}
    again = one if s.checkpointing else 0
    copies = 0 if narrow else BF16 * m.matrices  # autocast's copies of all weights, until the forward pass ends
    if not s.checkpointing:
        kept["autocast's weights"] = copies
    gathered = {"gathered embedding and head": BF16 * m.root if s.sharded else 0}
    head = 0 if s.lora_rank else m.head
    states = BF16 * m.hidden * tokens * s.response_tokens / s.tokens
    loss = WORKSPACE + FP32 * head + 2 * states + (0 if narrow else BF16 * m.head)
    layers = (2 * BF16 + (0 if s.lora_rank else FP32)) * m.layer if s.sharded else 0  # this, the next, to be reduced
    errors = tokens * BF16 * (3 * m.intermediate + m.hidden) + BF16 * m.hidden * m.intermediate
    waits = head * (BF16 if s.sharded else FP32 * m.tied)  # the head's gradient, until the embedding's is there
    last = (BF16 + FP32) * m.root if s.sharded else FP32 * m.head * (3 if m.tied else 1)
    common = {"gradients": FP32 * s.trained / s.gpus}
    phases = {
        "loss": {**common, **gathered, **kept, "loss": loss},
        "backward": {**common, **gathered, **kept, "a layer": again + layers + errors + waits},
        "embedding's gradient": {**common, "gradients of embedding and head": 0 if s.lora_rank else last},
    }
    if not narrow:
        phases["forward"] = {**common, **kept, "a layer": again, "autocast's weights": copies}
    return phases


def gpu_memory(s: Setup) -> dict[str, dict[str, float]]:
    """Bytes on a GPU by phase and part."""
    always = {**held(s), "trainer, other": TRAINER_OTHER}
    waiting = {"engine asleep": ENGINE_ASLEEP} if s.sleep else engine(s)
    phases = {
        phase: {**always, **waiting, **parts, "slack": SLACK * sum(parts.values())}
        for phase, parts in working(s).items()
    }
    return {**phases, "generation": {**always, **engine(s)}}


def peak(s: Setup) -> float:
    """Bytes that a GPU must have."""
    return max(sum(parts.values()) for parts in gpu_memory(s).values())


def host_memory(s: Setup) -> dict[str, float]:
    """Bytes of the first host by moment, the processes' own (some 5 GB each) left out."""
    m = s.model.parameters
    separate = BF16 * m if s.reference and not s.lora_rank else 0
    engines = min(s.engines, max(1, s.gpus_per_host // s.tensor_parallel))
    run = engines * BF16 * m * (2 if s.sleep else 1)
    run += separate * min(s.gpus, s.gpus_per_host) / s.gpus if s.offload_reference else 0
    return {
        "start": (BF16 if s.lora_rank else FP32) * m + separate,
        "run": run,
        "checkpoint": run + (FP32 * s.trained if s.sharded else 0),
    }


def push_bytes(s: Setup) -> int:
    """Bytes of the weights that each engine is given after a step."""
    return BF16 * s.model.parameters


def checkpoint_bytes(s: Setup) -> int:
    """Weights in fp32, or the adapter alone, and AdamW's moments."""
    return 3 * FP32 * s.trained


def attention_flops(model: Model, pairs: float) -> float:
    """Of one forward pass over `pairs` of a query and a key that it sees."""
    return 4 * model.layers * model.hidden * pairs


def pairs_seen(s: Setup) -> float:
    """Pairs of queries and keys of the step's batch."""
    prompt, response = s.prompt**2 / 2, s.prompt * s.response + s.response**2 / 2
    return s.queries * (prompt * (1 if s.packing else s.responses) + s.responses * response)


def pass_flops(s: Setup) -> float:
    """Of one forward pass over the step's batch, LM head included: a multiplication and an addition a weight."""
    return body_flops(s) + s.response_tokens * 2 * s.model.head


def body_flops(s: Setup) -> float:
    return s.tokens * 2 * s.model.matrices + attention_flops(s.model, pairs_seen(s))


def update_flops(s: Setup) -> float:
    """Forward and backward: 3 passes, one less for frozen weights; checkpointing one more, but for its last product."""
    m, passes = s.model, 2 if s.lora_rank else 3
    again = body_flops(s) - s.tokens * 2 * m.layers * m.hidden * m.intermediate if s.checkpointing else 0
    return passes * pass_flops(s) + again


def link(s: Setup) -> float:
    """Bytes/s that a rank sends and receives in an all-gather over all ranks."""
    return LINK_SHARE * (min(s.gpu.nvlink, s.network) if s.hosts > 1 else s.gpu.nvlink)


def sequences_at_once(s: Setup) -> int:
    """Responses that an engine decodes together: those that fit its keys and values, a prompt's shared by its group."""
    held = s.model.kv_bytes * (s.prompt / s.responses + s.response)
    room = int(s.kv_gb * GIB * s.tensor_parallel / held)
    return max(1, min(room, s.max_num_seqs, math.ceil(s.queries * s.responses / s.engines)))


def generate_seconds(s: Setup) -> dict[str, float]:
    m, tp = s.model, s.tensor_parallel
    prompts = s.queries / s.engines
    prefill = prompts * s.prompt * 2 * m.matrices / (PREFILL_SHARE * s.gpu.flops * tp)
    at_once = sequences_at_once(s)
    read = BF16 * (m.matrices + m.head) + at_once * m.kv_bytes * (s.prompt + s.response / 2)
    memory = read / (BANDWIDTH_SHARE * s.gpu.bandwidth * tp)
    compute = at_once * 2 * (m.matrices + m.head) / (PREFILL_SHARE * s.gpu.flops * tp)
    step = max(memory, compute) + DECODE_OVERHEAD + (2 * m.layers * ALL_REDUCE if tp > 1 else 0)
    steps = math.ceil(prompts * s.responses / at_once) * s.response
    return {"prefill": prefill, "decode": steps * step}


def push_seconds(s: Setup) -> float:
    """Gather in fp32, to the host, into shared memory, onto the engine's GPUs; waking and falling asleep."""
    size = push_bytes(s)
    shares = 1 - 1 / s.gpus
    gather = FP32 * s.model.parameters * shares / link(s)
    one = size / PAGEABLE + size / COPY + size / s.tensor_parallel / PAGEABLE
    engines = s.gpus_per_host // s.tensor_parallel if s.sharded else 1
    together = engines * size * 6 / HOST
    asleep = 2 * size / s.tensor_parallel / (LINK_SHARE * s.gpu.pcie) if s.sleep else 0
    return gather + max(one, together) + asleep


def step_seconds(s: Setup) -> dict[str, float]:
    """Seconds of a step by stage; `total` without overlap of generation and update."""
    m, share = s.model, 1 - 1 / s.gpus
    rate = TRAIN_SHARE * s.gpu.flops * s.gpus
    passes = s.updates * math.ceil(s.tokens / s.updates / s.gpus / s.micro_batch)
    moved = BF16 * m.parameters + BF16 * m.layers * m.layer + FP32 * s.trained  # gather twice, reduce
    compute = update_flops(s) / rate
    wait = passes * moved * share / link(s)
    optimizer = s.updates * 40 * s.trained / s.gpus / (BANDWIDTH_SHARE * s.gpu.bandwidth)  # read 24, write 16 bytes
    forward = pass_flops(s) / rate
    forward_wait = passes * BF16 * m.parameters * share / link(s)
    seconds = {
        "generate": sum(generate_seconds(s).values()),
        "reference": max(forward, forward_wait) if s.reference else 0.0,
        "update": max(compute, wait) + optimizer,
        "update, communication alone": wait,
        "push": push_seconds(s),
    }
    seconds["total"] = sum(v for k, v in seconds.items() if k != "update, communication alone")
    return seconds


def report(name: str, s: Setup) -> str:
    m = s.model
    kind = f"LoRA rank {s.lora_rank}" if s.lora_rank else "all weights"
    memory = gpu_memory(s)
    worst = max(memory, key=lambda phase: sum(memory[phase].values()))
    fits = "fits" if peak(s) <= s.gpu.memory else "DOES NOT FIT"
    lines = [
        f"{name}: {m.parameters / 1e9:.2f} B parameters, {kind}, {s.gpus} GPUs, {s.engines} engines of "
        f"{s.tensor_parallel}, {s.micro_batch} tokens a micro-batch",
        f"  GPU: {peak(s) / GIB:.1f} of {s.gpu.memory / GIB:.0f} GiB in phase {worst!r}: {fits}",
    ]
    for phase, parts in memory.items():
        shown = ", ".join(f"{part} {size / GIB:.1f}" for part, size in parts.items() if size)
        lines.append(f"    {phase} {sum(parts.values()) / GIB:.1f}: {shown}")
    lines.append("  host, GB: " + ", ".join(f"{k} {v / 1e9:.0f}" for k, v in host_memory(s).items()))
    lines.append(f"  push {push_bytes(s) / 1e9:.1f} GB an engine, checkpoint {checkpoint_bytes(s) / 1e9:.0f} GB")
    lines.append("  step, s: " + ", ".join(f"{k} {v:.0f}" for k, v in step_seconds(s).items()))
    lines.append(f"  {sequences_at_once(s)} responses at once an engine")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--gpu", default="H100", choices=GPUS)
    special = {"model", "gpu"}
    for field in dataclasses.fields(Setup):
        if field.name in special:
            continue
        flag = "--" + field.name.replace("_", "-")
        if isinstance(field.default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=field.default)
        else:
            parser.add_argument(flag, type=type(field.default), default=field.default)
    chosen = vars(parser.parse_args(words))
    names, gpu = chosen.pop("model"), GPUS[chosen.pop("gpu")]
    if chosen["gpus"] % chosen["tensor_parallel"]:
        parser.error(f"--tensor-parallel {chosen['tensor_parallel']} must divide --gpus {chosen['gpus']}")
    print("\n\n".join(report(name, Setup(MODELS[name], gpu=gpu, **chosen)) for name in names))


if __name__ == "__main__":
    main()
