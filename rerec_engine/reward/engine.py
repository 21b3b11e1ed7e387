"""The reward engine: r = w_ndcg NDCG@K + w_format format + w_qas QAS + w_pas PAS, and token rewards by segment.

Source: ReRec (arXiv 2604.07851), dual-graph reward and reasoning-aware advantage. Where the published code differs
(it ranks through a set and looks several ground truths up as one item), rank order is kept and ground truths are split.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .. import _core
from ..config import RewardWeights
from ..errors import UserError, file_error
from ..graph.catalogue import Catalogue
from .targets import Candidates, GroundTruth, TargetReader
from .tokens import PackedTokens, pack_tokens
from .vocabulary import decode_with_ends, vocabulary

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Scores:
    """Scores of B responses. p is the first item that a response recommends, gt its ground truth."""

    total: Floats
    """The weighted sum."""
    ndcg: Floats
    """NDCG@K with binary gains; -0.5 without an answer."""
    qas: Floats
    """|attrs(p) & attrs(gt)| / |attrs(gt)|; 0 for an unknown p."""
    pas: Floats
    """Cosine of p's and gt's embeddings; 0 for an unknown p. Several gt: their max in mode "max", else their mean."""
    format: Floats
    """0.5 with an answer, -0.5 without."""
    hit: Floats
    """1 where the first K items hold a gt."""
    precision: Floats
    """Hits among the first K items / K."""
    recall: Floats
    """Hits among the first K items / |gt|."""
    mrr: Floats
    """1 / rank of the first hit among the first K items."""
    answered: NDArray[np.bool_]
    """Whether a box that is closed and not empty was found."""
    items: list[NDArray[np.int32]]
    """Recommended items, best first, without repeats; -1: in no catalogue, or ambiguous."""


@dataclass(frozen=True)
class TokenScores:
    """Scores of B responses and rewards of their T tokens. A segment is a run of tokens of one line."""

    scores: Scores
    token_rewards: Floats  # [T], or [B, L] with 0 on padding where the ids came so
    segment_lengths: NDArray[np.int32]  # [S] tokens, sums to T
    segment_penalised: NDArray[np.bool_]  # [S]
    cu_segments: NDArray[np.int64]  # [B + 1]: response i owns segments cu_segments[i]:cu_segments[i + 1]


class RewardEngine:
    """Scores responses against ground truths.

    catalogue: N items. item_attributes: SciPy CSR [N, A], nonzero is "has". item_embeddings: [N, d] float32, rows of
    length 1 (or 0: unknown), not copied. threads: 0 is all cores. answer: which box counts.
    Errors: `UserError` for sizes that disagree and for NaN or infinite numbers.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        item_attributes: sp.csr_matrix,
        item_embeddings: NDArray[np.float32],
        weights: RewardWeights | None = None,
        threads: int = 0,
        answer: Literal["first", "last"] = "last",
    ) -> None:
        self.catalogue = catalogue
        self.weights = weights if weights is not None else RewardWeights()
        self.threads = threads if threads > 0 else _cores()
        if answer not in ("first", "last"):
            raise UserError(f'answer must be "first" or "last", got {answer!r}')
        self.answer = answer
        attributes = _attributes(item_attributes, len(catalogue))
        embeddings = _embeddings(item_embeddings, len(catalogue))
        ptr, indices = attributes.indptr.astype(np.int64), attributes.indices.astype(np.int32)
        self._core = _core.Engine(catalogue.core, ptr, indices, embeddings)
        self._targets = TargetReader(catalogue)

    @classmethod
    def load(
        cls,
        dataset_dir: str | Path,
        weights: RewardWeights | None = None,
        threads: int = 0,
        answer: Literal["first", "last"] = "last",
    ) -> RewardEngine:
        """The engine of a dataset directory; its embeddings are memory-mapped, so that processes share the pages.

        Errors: `UserError` that names the file.
        """
        from ..data.store import read_csr, read_embeddings, read_table

        path = Path(dataset_dir)
        if not path.is_dir():
            raise UserError(f"{path}: no such dataset directory")
        table = read_table(path / "items.parquet", ("item_id", "title", "year"))
        columns = {name: table.column(name).to_pylist() for name in ("item_id", "title", "year")}
        for row, (item, title) in enumerate(zip(columns["item_id"], columns["title"], strict=True)):
            if item != row or not isinstance(title, str):
                found = f"expected item_id {row} with a title, got {item} {title!r}"
                raise file_error(path / "items.parquet", found, row + 1)
        catalogue = Catalogue(columns["title"], columns["year"])
        attributes = read_csr(path / "item_attributes.npz", rows=len(catalogue))
        embeddings = read_embeddings(path / "item_embeddings.safetensors", len(catalogue))
        return cls(catalogue, attributes, embeddings, weights, threads, answer)

    @property
    def size(self) -> int:
        """Number of items N."""
        return len(self.catalogue)

    def score(
        self,
        responses: Sequence[str | bytes],
        ground_truth: Sequence[GroundTruth],
        candidates: Sequence[Candidates] | None = None,
        k: int | None = None,
    ) -> Scores:
        """Scores of B responses.

        ground_truth: for each a title, an item id, or several; a str is one title if it matches whole, else several
        between ';', '[SEP]' or line breaks. candidates: for each the items or titles to be tried first, or None.
        k: K of NDCG@K, default the weights'.
        Errors: `UserError` that names the row, for a ground truth that is empty or that matches no item.
        """
        if isinstance(responses, (str, bytes)):
            raise UserError("responses must be a sequence of texts, got one text")
        targets = self._targets.read(ground_truth, candidates, len(responses))
        settings = self._settings(k, 0.0)
        try:
            raw = self._core.score(responses, targets, settings)
        except (TypeError, ValueError) as error:
            raise UserError(f"responses: {error}") from None
        return _scores(raw)

    def score_tokens(
        self,
        token_ids: Any,
        cu_seqlens: Any,
        ground_truth: Sequence[GroundTruth],
        tokenizer: Any,
        candidates: Sequence[Candidates] | None = None,
        w_penalty: float = 0.3,
        k: int | None = None,
    ) -> TokenScores:
        """Scores, token rewards and segments of B responses, straight from their ids.

        token_ids, cu_seqlens: see `pack_tokens`; packed [T] with [B + 1], or padded [B, L] with lengths or a mask.
        A token's reward is r, or r - w_penalty |r| where its line ends before the answer's box and mentions a wrong
        recommended item. A mention is the item's title without year, or an alternative in its brackets, or the answer's
        own words, as whole normalised words: see `rerec_engine.graph.titles`. A leading article may be missing, a
        possessive 's may follow, and a title of one word (besides an article, which then is needed) must begin with a
        capital if it does in the title and must not be a bracketed year: "It" is not "it". Titles of more than 64 words
        are never found.
        A token belongs to the line of its first byte that is no line break; one of line breaks only, to the line that
        it ends; one without bytes (a special token) to none.
        Errors: `UserError` as in `score`, and for ids outside the tokenizer's range.
        """
        if not np.isfinite(w_penalty):
            raise UserError(f"w_penalty must be a finite number, got {w_penalty}")
        packed = pack_tokens(token_ids, cu_seqlens)
        targets = self._targets.read(ground_truth, candidates, len(packed.cu_seqlens) - 1)
        settings = self._settings(k, w_penalty)
        try:
            scores, rewards, lengths, penalised, cu = self._run(packed, tokenizer, targets, settings)
        except IndexError as error:
            raise UserError(f"token_ids: {error}") from None
        return TokenScores(_scores(scores), packed.unpack(rewards), lengths, penalised.astype(bool), cu)

    def token_rewards(
        self,
        token_ids: Any,
        cu_seqlens: Any,
        ground_truth: Sequence[GroundTruth],
        tokenizer: Any,
        candidates: Sequence[Candidates] | None = None,
        w_penalty: float = 0.3,
    ) -> Floats:
        """`score_tokens(...).token_rewards`, [T] float32 (or [B, L])."""
        return self.score_tokens(token_ids, cu_seqlens, ground_truth, tokenizer, candidates, w_penalty).token_rewards

    def _run(
        self, packed: PackedTokens, tokenizer: Any, targets: _core.Targets, settings: _core.Settings
    ) -> _core.TokenResult:
        table = vocabulary(tokenizer)
        if table is not None:
            return self._core.score_ids(packed.ids, packed.cu_seqlens, table, targets, settings)
        size = len(tokenizer)
        outside = (packed.ids < 0) | (packed.ids >= size)
        if outside.any():
            place = int(np.argmax(outside))
            raise IndexError(f"token {place}: id {int(packed.ids[place])} is outside the tokenizer's 0..{size - 1}")
        ids = packed.ids.tolist()
        bounds = packed.cu_seqlens.tolist()
        texts, ends = [], [np.zeros(0, dtype=np.int64)]
        for begin, end in pairwise(bounds):
            text, token_ends = decode_with_ends(tokenizer, ids[begin:end])
            texts.append(text)
            ends.append(token_ends)
        return self._core.score_texts(texts, np.concatenate(ends), packed.cu_seqlens, targets, settings)

    def _settings(self, k: int | None, penalty: float) -> _core.Settings:
        weights = self.weights
        k = weights.k if k is None else k
        if not 1 <= k <= 1000:
            raise UserError(f"k must be in 1..1000, got {k}")
        return _core.Settings(
            ndcg=weights.ndcg,
            format=weights.format,
            qas=weights.qas,
            pas=weights.pas,
            k=int(k),
            mode=getattr(_core.QasMode, weights.qas_mode),
            which=getattr(_core.Which, self.answer),
            penalty=float(penalty),
            threads=self.threads,
        )


def _scores(raw: dict[str, NDArray[Any]]) -> Scores:
    flat, ptr = raw.pop("items"), raw.pop("items_ptr")
    items = [flat[begin:end] for begin, end in pairwise(ptr)]
    answered = raw.pop("answered").astype(bool)
    return Scores(**raw, answered=answered, items=items)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _attributes(matrix: sp.csr_matrix, items: int) -> sp.csr_matrix:
    csr = sp.csr_matrix(matrix)
    if csr.shape[0] != items:
        raise UserError(f"item_attributes must have a row for each of the {items} items, got {csr.shape[0]}")
    if not np.isfinite(csr.data).all():
        raise UserError("item_attributes holds a NaN or an infinity")
    if not csr.has_canonical_format or (csr.data == 0).any():
        csr = csr.copy()
        csr.sum_duplicates()
        csr.eliminate_zeros()
    return csr


def _embeddings(array: NDArray[np.float32], items: int) -> NDArray[np.float32]:
    if array.ndim != 2 or array.shape[0] != items:
        raise UserError(f"item_embeddings must be [{items}, d], got {list(array.shape)}")
    embeddings = np.ascontiguousarray(array, dtype=np.float32)
    squares = np.einsum("nd,nd->n", embeddings, embeddings)  # [N]; a NaN or an infinity stays one
    wrong = ~((np.abs(squares - 1) < 2e-2) | (squares == 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise UserError(f"item_embeddings row {row} must have length 1 (or 0), got {float(np.sqrt(squares[row]))}")
    return embeddings
