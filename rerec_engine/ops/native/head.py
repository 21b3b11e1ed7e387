"""The LM head cut into shares of the vocabulary, a thread each, and these into tiles: products and passes of all ops.

On the way back a thread keeps to its share: it alone touches these rows of the weight and of its gradient, and sums
do not depend on which thread is faster. On the way forth parts of the vocabulary have sums of their own, and whoever is
free takes the next one. Logits are float32 for operands of any type.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch

from rerec_engine import _core
from rerec_engine.ops.native.pool import T, drive, run, workers
from rerec_engine.ops.native.products import operand_dtype, product
from rerec_engine.ops.workspace import rows_within

TILE_COLUMNS = 1024
NARROW_COLUMNS = 256
PARTS = 16
TILE_FLOATS = 1 << 18
"""Of a tile of logits that is not kept, which is narrow and high: 1 MB, read by the pass while it is in the cache."""
CHUNK_BYTES = 29 << 18
CHUNK_ROWS = 232
"""Logits that are kept for the gradient: rows that fill CHUNK_BYTES, but not fewer than CHUNK_ROWS, since a chunk reads
and writes the weight's whole gradient; twice as many where the logits still take less than a third of that."""
LOG2E = math.log2(math.e)


@dataclass(frozen=True)
class Gradients:
    """Of the loss with respect to each row's log-prob, entropy and log-sum-exp, [R] float32 each."""

    logp: torch.Tensor | None = None
    entropy: torch.Tensor | None = None
    lse: torch.Tensor | None = None

    def at(self, part: slice) -> Gradients:
        return Gradients(*(x if x is None else x[part] for x in (self.logp, self.entropy, self.lse)))


@dataclass(frozen=True)
class Statistics:
    """Of each row's distribution, [R] float32, nats."""

    logp: torch.Tensor
    entropy: torch.Tensor
    lse: torch.Tensor

    def at(self, part: slice) -> Statistics:
        return Statistics(self.logp[part], self.entropy[part], self.lse[part])


class Head:
    """Logits hidden @ weight.T, capped, over the temperature; `rows` rows of `hidden` [T, H] are expected in all."""

    def __init__(
        self, hidden: torch.Tensor, weight: torch.Tensor, temperature: float, softcap: float | None, rows: int
    ) -> None:
        self.weight = weight.detach()  # [V, H]
        self.dtype = operand_dtype(torch.promote_types(hidden.dtype, weight.dtype))
        self.scale = LOG2E / temperature
        self.softcap = softcap or 0.0
        vocabulary, width = weight.shape
        count = min(workers(rows * vocabulary * width), vocabulary)
        bounds = [vocabulary * i // count for i in range(count + 1)]
        self.shares = [_tiles(bounds[i], bounds[i + 1], TILE_COLUMNS) for i in range(count)]

    def drive(self, job: Callable[[], T]) -> T:
        """The result of a job that calls the methods below, on threads for the shares."""
        return drive(len(self.shares), job)

    def tile(self, columns: slice) -> torch.Tensor:
        """Rows of the weight as they are multiplied, [N, H]."""
        return self.weight[columns].to(self.dtype)

    def statistics(self, states: torch.Tensor, targets: torch.Tensor) -> Statistics:
        """Of rows [R, H] and targets [R]; nothing of the logits is kept but a tile a thread."""
        rows, vocabulary = states.shape[0], self.weight.shape[0]
        count = min(PARTS, math.ceil(vocabulary / NARROW_COLUMNS))
        partial_states, picked = _new_states(count, rows), torch.empty(rows)
        step = max(1, TILE_FLOATS // NARROW_COLUMNS)
        todo = iter(range(count))

        def work(_: int) -> None:
            buffer = torch.empty(min(step, rows) * NARROW_COLUMNS)
            for i in todo:
                for columns in _tiles(vocabulary * i // count, vocabulary * (i + 1) // count, NARROW_COLUMNS):
                    weight = self.tile(columns)
                    for start in range(0, rows, step):
                        part = slice(start, min(start + step, rows))
                        z = _view(buffer, part.stop - start, columns)
                        product(states[part].to(self.dtype), weight.t(), z)
                        self._fold(z, columns, targets[part], partial_states[i, :, part], picked[part])

        self._run(work)
        return self._merge(partial_states, picked)

    def backward(
        self,
        states: torch.Tensor,  # [R, H]
        targets: torch.Tensor,  # [R]
        statistics: Statistics,
        gradients: Gradients,
        d_states: torch.Tensor | None,  # [R, H], written
        d_weight: torch.Tensor | None,  # [V, H] float32, added to, or
        fresh: bool = False,  # overwritten
    ) -> None:
        """Gradients of rows whose logits are formed again, tile by tile."""
        parts = self.chunks(states.shape[0])
        for part in parts:
            Chunk(self, states[part], targets[part]).backward(
                statistics.at(part),
                gradients.at(part),
                None if d_states is None else d_states[part],
                d_weight,
                fresh and part.start == 0,
            )
        if not parts and fresh and d_weight is not None:
            d_weight.zero_()

    def chunks(self, rows: int, workspace_mb: float | None = None) -> list[slice]:
        """So many rows in chunks of nearly the same size: a small last one would cost as much traffic as the others."""
        if rows == 0:
            return []
        return _tiles(0, rows, self.chunk_rows(workspace_mb))

    def chunk_rows(self, workspace_mb: float | None) -> int:
        """The most rows of a chunk whose logits are kept."""
        vocabulary, width = self.weight.shape
        if workspace_mb is None:
            return max(CHUNK_ROWS, CHUNK_BYTES // (4 * vocabulary), min(2 * CHUNK_ROWS, width // 3))
        widened = 0 if self.weight.dtype == self.dtype else 4 * width * len(self.shares) * TILE_COLUMNS
        return rows_within(workspace_mb - widened / 2**20, 4 * (vocabulary + width * (len(self.shares) + 1)))

    def _fold(
        self, z: torch.Tensor, columns: slice, targets: torch.Tensor, states: torch.Tensor, picked: torch.Tensor
    ) -> None:
        top, total, dot = (x.numpy() for x in states)
        _core.fold_logits(
            z.numpy(), columns.start, targets.numpy(), self.scale, self.softcap, top, total, dot, picked.numpy()
        )

    def _merge(self, states: torch.Tensor, picked: torch.Tensor) -> Statistics:
        out = Statistics(*(torch.empty(picked.shape) for _ in range(3)))
        _core.merge_softmax(
            states.numpy(), picked.numpy(), self.scale, out.logp.numpy(), out.entropy.numpy(), out.lse.numpy()
        )
        return out

    def _run(self, share: Callable[[int], None]) -> None:
        run([partial(share, i) for i in range(len(self.shares))])


class Chunk:
    """Some rows on their way through the head and back. With `buffers` their logits are kept in between."""

    def __init__(
        self,
        head: Head,
        states: torch.Tensor,  # [C, H]
        targets: torch.Tensor,  # [C]
        buffers: list[torch.Tensor] | None = None,  # for each share, as `new_buffers` makes them
    ) -> None:
        self.head, self.targets, self.buffers = head, targets, buffers
        self.states = states.to(head.dtype)

    @staticmethod
    def new_buffers(head: Head, rows: int) -> list[torch.Tensor]:
        return [torch.empty(rows * (tiles[-1].stop - tiles[0].start)) for tiles in head.shares]

    def forward(self) -> Statistics:
        """Form the logits, keep them, and tell what the loss must know of them."""
        rows, head = self.states.shape[0], self.head
        tiles = [(which, columns) for which, share in enumerate(head.shares) for columns in share]
        states, picked = _new_states(len(tiles), rows), torch.empty(rows)
        todo = iter(range(len(tiles)))

        def work(_: int) -> None:
            for i in todo:
                which, columns = tiles[i]
                z = self._logits(which, columns)
                product(self.states, head.tile(columns).t(), z)
                head._fold(z, columns, self.targets, states[i], picked)

        head._run(work)
        return head._merge(states, picked)

    def backward(
        self,
        statistics: Statistics,
        gradients: Gradients,
        d_states: torch.Tensor | None,  # [C, H], written
        d_weight: torch.Tensor | None,  # [V, H] float32, added to, or
        fresh: bool = False,  # overwritten
    ) -> None:
        head, kept = self.head, self.buffers is not None
        zeros = torch.zeros(self.states.shape[0])
        at_target = zeros if gradients.logp is None else gradients.logp.contiguous()
        base = -at_target if gradients.lse is None else gradients.lse - at_target
        slope = None
        if gradients.entropy is not None:
            base = base - gradients.entropy * statistics.entropy
            slope = (-gradients.entropy).numpy()
        lse = statistics.lse.numpy()
        shares = [torch.empty(self.states.shape) for _ in head.shares[1:]]  # of the states' gradient
        own = d_states is not None and d_states.dtype == torch.float32
        shares.insert(0, d_states if own and d_states is not None else torch.empty(self.states.shape))

        def share(which: int) -> None:
            for columns in head.shares[which]:
                weight, z = head.tile(columns), self._logits(which, columns)
                if not kept:
                    product(self.states, weight.t(), z)
                _core.logit_gradient(
                    z.numpy(),
                    columns.start,
                    self.targets.numpy(),
                    head.scale,
                    head.softcap,
                    kept,
                    lse,
                    base.numpy(),
                    slope,
                    at_target.numpy(),
                )
                dz = z.to(head.dtype)
                if d_states is not None:
                    product(dz, weight, shares[which], add=columns is not head.shares[which][0])
                if d_weight is not None:
                    product(dz.t(), self.states, d_weight[columns], add=not fresh)

        head._run(share)
        if d_states is not None:
            for total in shares[1:]:
                shares[0] += total
            if not own:
                d_states.copy_(shares[0])

    def _logits(self, which: int, columns: slice) -> torch.Tensor:
        """The chunk's tile of logits, [C, N] and contiguous."""
        rows = self.states.shape[0]
        if self.buffers is None:
            return torch.empty(rows, columns.stop - columns.start)
        first = self.head.shares[which][0].start
        return _view(self.buffers[which][rows * (columns.start - first) :], rows, columns)


def _new_states(parts: int, rows: int) -> torch.Tensor:
    """Top, total and dot of every row in every part, [parts, 3, rows]."""
    states = torch.zeros(parts, 3, rows)
    states[:, 0] = -torch.inf
    return states


def _view(buffer: torch.Tensor, rows: int, columns: slice) -> torch.Tensor:
    width = columns.stop - columns.start
    return buffer[: rows * width].view(rows, width)


def _tiles(start: int, stop: int, most: int) -> list[slice]:
    """start .. stop in slices of nearly the same size, at most `most`."""
    count = math.ceil((stop - start) / most)
    bounds = [start + (stop - start) * i // count for i in range(count + 1)]
    return [slice(*pair) for pair in pairwise(bounds)]
