"""Several devices: the ranks that `torchrun` starts, what they tell each other, and FSDP2's sharding of a model.

Every rank holds the whole batch of a step (token ids and rewards: megabytes) and the same curriculum queue; what is
shared out is the work: prompts to generate, and micro-batches to train on. Group statistics, the token-mean over the
global batch and the queue are therefore exact without a word between ranks.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from rerec_engine.errors import RunError, Stopped, UserError
from rerec_engine.machine import process_count

T = TypeVar("T")
TIMEOUT = datetime.timedelta(minutes=30)
"""How long a rank waits for another one."""


@dataclass(frozen=True)
class Ranks:
    """This process among the ranks of a run; alone by default."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def main(self) -> bool:
        """Whether this rank writes and speaks for the run."""
        return self.rank == 0

    def share(self, count: int, group: int = 1) -> slice:
        """This rank's part of `count` things in order, as even as can be; only the first of `group` ranks has any.

        A process alone has all of them, whatever the group.
        """
        groups, mine = max(1, self.size // group), self.rank // group
        start, end = (count * g // groups for g in (mine, mine + 1))
        return slice(start, start if self.rank % group else end)

    def gather(self, value: T) -> list[T]:
        """Every rank's value, in the order of ranks, on every rank. Picklable values only."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found

    def first(self, value: T) -> T:
        """Rank 0's value on every rank."""
        if self.size == 1:
            return value
        box: list[Any] = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def any(self, flag: bool) -> bool:
        """Whether it is so on any rank."""
        return any(self.gather(flag))

    def sum(self, x: Tensor) -> Tensor:
        """The sum over ranks, in place."""
        if self.size > 1:
            dist.all_reduce(x)
        return x

    def main_does(self, work: Callable[[], T]) -> T:
        """Rank 0 works while the others wait; all have its result, which must be picklable, or its error."""
        result: Any = None
        error: Exception | None = None
        if self.main:
            try:
                result = work()
            except (UserError, RunError, Stopped, OSError) as caught:
                error = caught
        if self.size > 1:
            result, error = self.first((result, error))
        if error is not None:
            raise error
        return result


def join(device: str) -> Ranks:
    """Meet the other ranks where `torchrun` started this process; else this process is alone."""
    size = process_count()
    if size == 1:
        return Ranks()
    local_rank = int(os.environ["LOCAL_RANK"])
    on_cuda = device != "cpu" and torch.cuda.is_available()
    if on_cuda:
        torch.cuda.set_device(local_rank)
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_cuda else "gloo", timeout=TIMEOUT)
    return Ranks(dist.get_rank(), size, local_rank, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def leave(ranks: Ranks) -> None:
    """Part from the other ranks."""
    if ranks.size > 1 and dist.is_initialized():
        dist.destroy_process_group()


def lost_contact(ranks: Ranks, error: BaseException) -> bool:
    """Whether an error says that another rank has gone or is silent, rather than that something broke here."""
    told = str(error).lower()
    network = isinstance(error, dist.DistError) or any(word in told for word in ("gloo", "nccl", "connection"))
    return ranks.size > 1 and isinstance(error, RuntimeError) and network


def shard(
    body: nn.Module, blocks: list[nn.Module], dtype: torch.dtype, device: torch.device, offload: bool = False
) -> None:
    """Shard a module over all ranks with FSDP2, `blocks` (its layers) one by one. Rank 0's weights count.

    The other ranks' module may be on the meta device: a block is made real, filled and sharded before the next one, so
    that no rank but the first ever holds the whole model. dtype: of the arithmetic. offload: the shards lie in host
    memory, and a block is on the device while it runs.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy, OffloadPolicy, fully_shard

    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    mixed = dtype != torch.float32
    policy = MixedPrecisionPolicy(dtype, torch.float32) if mixed else MixedPrecisionPolicy()
    home = CPUOffloadPolicy(pin_memory=device.type == "cuda") if offload else OffloadPolicy()
    for module in [*blocks, body]:
        _fill(module, torch.device("cpu") if offload else device, device)
        fully_shard(module, mesh=mesh, mp_policy=policy, offload_policy=home)


def _fill(module: nn.Module, home: torch.device, device: torch.device) -> None:
    """Give a module rank 0's parameters, on `home`, and buffers, on `device`; sharded ones and ties stay."""
    made: dict[nn.Parameter, nn.Parameter] = {}  # by identity
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is None or isinstance(parameter, DTensor):
                continue
            if parameter not in made:
                made[parameter] = nn.Parameter(_from_main(parameter, home), requires_grad=parameter.requires_grad)
            setattr(part, name, made[parameter])
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = _from_main(buffer, device)


def _from_main(x: Tensor, device: torch.device) -> Tensor:
    here = torch.empty_like(x, device=device) if x.is_meta else x.detach().to(device)
    dist.broadcast(here, 0)
    return here


def whole(x: Tensor) -> Tensor:
    """A parameter's full value; with a sharded one, all ranks must ask at once."""
    return x.full_tensor().detach() if isinstance(x, DTensor) else x.detach()
