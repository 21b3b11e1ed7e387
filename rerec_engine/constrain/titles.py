"""The titles that an answer may hold, and which tokens may follow: while responses are drawn, and afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rerec_engine import _core
from rerec_engine.constrain.tokens import token_table
from rerec_engine.errors import UserError
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.ops import AllowedTokens

Candidates = Sequence[Sequence[int]]
"""Item ids that each prompt may be answered with; none: all of the catalogue."""


class AnswerTitles:
    """A catalogue's titles under one tokenizer.

    only_candidates: a prompt's candidates alone may be named, where it has some; else the whole catalogue always.
    Raises UserError where the tokenizer's tokens have no bytes of their own, or can spell no title.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        tokenizer: Any,
        only_candidates: bool = True,
        threads: int = 1,
        source: str = "the tokenizer",
    ) -> None:
        self.catalogue, self.only_candidates = catalogue, only_candidates
        table = token_table(tokenizer, source)
        tokens = _core.TokenTree(*table)
        order = _core.title_order(catalogue.core, tokens, threads)
        self.unsaid = len(catalogue) - len(order)
        """Items that no answer can name: the title is another's too, or holds braces, or the tokens do not spell it."""
        if len(catalogue) and not len(order):
            raise UserError(f"{source}: its tokens spell none of the catalogue's titles")
        lengths = np.diff(catalogue.arrays["title_ptr"])[order]
        self.longest = int(lengths.max(initial=0))
        """Bytes of the longest title that can be named."""
        self.core = _core.Titles(catalogue.core, tokens, order)
        self._tokens, self._order = table, order

    def save(self, folder: Path) -> None:
        """Write what another process opens in our place, see `rollout.child.engine_answers`."""
        ptr, text = self._tokens
        arrays: dict[str, NDArray[Any]] = dict(self.catalogue.arrays)
        arrays |= {"order": self._order, "token_ptr": ptr, "token_bytes": np.frombuffer(text, dtype=np.uint8)}
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array)

    def first_bytes(self) -> NDArray[np.int16]:
        """Of every token, [tokens]; -1: it has none."""
        ptr, text = self._tokens
        padded = np.frombuffer(text + b"\0", dtype=np.uint8).astype(np.int16)
        return np.where(np.diff(ptr) > 0, padded[ptr[:-1]], np.int16(-1))

    def rows(self) -> AnswerRows:
        """Responses that are about to be drawn; none yet."""
        return AnswerRows(self)

    def read(self, token_ids: Tensor, cu_seqlens: Tensor, candidates: Candidates) -> AllowedTokens:
        """What could be drawn at each token of B responses, packed [T] with [B + 1].

        A response that was not drawn so (a trace, another engine's) is taken as free from its first wrong token on.
        """
        ids, bounds = (np.ascontiguousarray(x.cpu().numpy(), dtype=np.int64) for x in (token_ids, cu_seqlens))
        return as_tensors(self.core.read(ids, bounds, *self.packed(candidates)))

    def packed(self, candidates: Candidates) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Bounds [B + 1] and items, as the core takes them."""
        some = [sorted(set(row)) if self.only_candidates else [] for row in candidates]
        ptr = np.zeros(len(some) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in some], out=ptr[1:])
        return ptr, np.array([item for row in some for item in row], dtype=np.int32)


class AnswerRows:
    """Which tokens may follow in each of some responses that are being drawn."""

    def __init__(self, titles: AnswerTitles) -> None:
        self.titles, self.core = titles, _core.AnswerRows(titles.core)

    def join(self, candidates: Candidates, n: int) -> None:
        """n responses each to some prompts come behind those that there are."""
        self.core.join(*self.titles.packed(candidates), n)

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows (int64), which may repeat."""
        self.core.keep(np.ascontiguousarray(rows.cpu().numpy(), dtype=np.int64))

    def advance(self, tokens: Tensor) -> None:
        """The next token of each row, [rows] int64. Raises ValueError for one that may not follow."""
        self.core.advance(np.ascontiguousarray(tokens.cpu().numpy(), dtype=np.int64), np.arange(len(self.core)))

    @torch.inference_mode()
    def mask(self, logits: Tensor) -> Tensor:
        """logits [rows, V], changed in place: -inf for what may not follow."""
        if logits.device.type == "cpu" and logits.dtype == torch.float32 and logits.stride(1) == 1:
            self.core.mask(logits.numpy(), np.arange(len(self.core)))
            return logits
        at, denied, ptr, ids = (torch.from_numpy(x).to(logits.device) for x in self.core.allowed())
        if not len(at):
            return logits
        owner, ids = at.repeat_interleave(ptr.diff()), ids.long()
        refused = denied.bool().repeat_interleave(ptr.diff())
        kept = logits[owner[~refused], ids[~refused]]
        logits[at[~denied.bool()]] = float("-inf")
        logits[owner[~refused], ids[~refused]] = kept
        logits[owner[refused], ids[refused]] = float("-inf")
        return logits


def as_tensors(allowed: _core.Allowed) -> AllowedTokens:
    """From the core's arrays."""
    at, denied, ptr, ids = (torch.from_numpy(x) for x in allowed)
    return AllowedTokens(at, denied.bool(), ptr, ids.long())
