"""The responses of a call while they are drawn: their tokens, and which of them still go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from rerec_engine.types import Rollout

SETTLE_EVERY = 8
SETTLE_SHARE = 0.15


class Responses:
    """n to each of some prompts, of `limit` tokens at most; an end token is the last one.

    Rows are places in the call, prompt-major; the decoder's rows are `alive`, in its order.
    eager: those that have ended leave at once; else some at a time, since leaving has its cost.
    """

    def __init__(
        self, prompts: int, n: int, limit: int, ends: Sequence[int], device: torch.device, eager: bool
    ) -> None:
        rows = prompts * n
        self.n, self.limit, self.ends, self.eager = n, limit, torch.tensor(ends, device=device), eager
        self.tokens = torch.zeros(rows, limit, dtype=torch.long, device=device)
        self.logprobs = torch.zeros(rows, limit, device=device)
        self.length = torch.full((rows,), limit, device=device)
        self.stopped, self.over = (torch.zeros(rows, dtype=torch.bool, device=device) for _ in range(2))
        self.alive = torch.arange(0, device=device)  # some may be over since the last `settle`
        self.at = torch.arange(0, device=device)  # tokens drawn for each
        self.longest = 0
        """The most tokens of any in `alive`."""
        self.steps = 0  # since the last `settle`

    @property
    def finished(self) -> int:
        return int(self.over.sum())

    def join(self, prompts: Sequence[int]) -> None:
        """Responses to these prompts, by their places, come behind those that there are."""
        rows = torch.tensor(prompts)[:, None] * self.n + torch.arange(self.n)
        self.alive = torch.cat([self.alive, rows.flatten().to(self.alive.device)])
        self.at = F.pad(self.at, (0, rows.numel()))

    def put(self, token: Tensor, logp: Tensor) -> None:
        """The next of each in `alive`."""
        self.tokens[self.alive, self.at], self.logprobs[self.alive, self.at] = token, logp
        self.at, self.longest, self.steps = self.at + 1, self.longest + 1, self.steps + 1
        ended = torch.isin(token, self.ends) & ~self.over[self.alive]
        rows = self.alive[ended]
        self.stopped[rows], self.length[rows] = True, self.at[ended]
        self.over[self.alive] |= ended | (self.at == self.limit)

    def settle(self) -> Tensor | None:
        """Let those that are over leave: the rows of `alive` that go on, or None where it is not yet worth it."""
        over = self.over[self.alive]
        last = self.longest == self.limit or bool(over.all())
        if not (last or self.eager or self.steps >= SETTLE_EVERY):
            return None
        self.steps = 0
        going = (~over).nonzero()[:, 0]
        share = 0 if last or self.eager else SETTLE_SHARE
        if len(over) - len(going) <= share * len(over):
            return None
        self.alive, self.at = self.alive[going], self.at[going]
        self.longest = int(self.at.max()) if len(going) else 0
        return going

    def decoded(self) -> Counter[int]:
        """How many go on, by prompt."""
        return Counter((self.alive // self.n).tolist())

    def records(self, version: int) -> list[Rollout]:
        ids, lps = self.tokens.tolist(), self.logprobs.tolist()
        return [
            Rollout(ids[i][:k], lps[i][:k], "stop" if stop else "length", version)
            for i, (k, stop) in enumerate(zip(self.length.tolist(), self.stopped.tolist(), strict=True))
        ]
