"""The reward engine: r = w_ndcg NDCG@K + w_format format + w_qas QAS + w_pas PAS, and token rewards by segment.

Source: ReRec (arXiv 2604.07851), dual-graph reward and reasoning-aware advantage. Where the published code differs
(it ranks through a set and looks several ground truths up as one item), rank order is kept and ground truths are split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, overload

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from rerec_engine import _core
from rerec_engine.config import RewardWeights
from rerec_engine.data.description import DatasetDescription
from rerec_engine.errors import UserError
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.machine import thread_count
from rerec_engine.reward.entries import Entries
from rerec_engine.reward.reasons import ReasonIndex, Reasons, ReasonSource
from rerec_engine.reward.tables import ItemTables, item_tables, load_tables
from rerec_engine.reward.targets import Candidates, GroundTruth, TargetReader, id_arrays
from rerec_engine.reward.tokens import TokenBatch, read_tokens
from rerec_engine.reward.vocabulary import decode_with_ends, id_limit, vocabulary

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Targets:
    """Ground truths and candidates that `RewardEngine.targets` has read."""

    core: _core.Targets

    def __len__(self) -> int:
        """B."""
        return len(self.core)


GroundTruths: TypeAlias = "Sequence[GroundTruth] | NDArray[Any] | Targets"
CandidateLists: TypeAlias = "Sequence[Candidates] | NDArray[Any] | None"


class ItemRows(Sequence[NDArray[np.int32]]):
    """Ragged rows of item ids: row i is values[ptr[i]:ptr[i + 1]]. A slice is a list of rows."""

    def __init__(self, values: NDArray[np.int32], ptr: NDArray[np.int64]) -> None:
        self.values, self.ptr = values, ptr

    def __len__(self) -> int:
        return len(self.ptr) - 1

    @overload
    def __getitem__(self, index: int) -> NDArray[np.int32]: ...
    @overload
    def __getitem__(self, index: slice) -> list[NDArray[np.int32]]: ...
    def __getitem__(self, index: int | slice) -> NDArray[np.int32] | list[NDArray[np.int32]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        i = range(len(self))[index]  # IndexError as of any sequence
        return self.values[self.ptr[i] : self.ptr[i + 1]]


@dataclass(frozen=True)
class Scores:
    """Scores of B responses. p is the first item that a response recommends, gt its ground truth."""

    total: Floats
    """The weighted sum."""
    ndcg: Floats
    """NDCG@K, gain 1 for a gt and, with `ndcg_graded`, QAS for other items; -0.5 without an answer."""
    qas: Floats
    """|attrs(p) & attrs(gt)| / |attrs(gt)|, each attribute counting its IDF with `qas_idf`; 0 for an unknown p."""
    pas: Floats
    """Cosine of p's and gt's embeddings; 0 for an unknown p. Several gt: their max in mode "max", else their mean.
    With `pas_centred` minus the candidates' (or all items') mean."""
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
    repeats: Floats
    """Share of the answer's entries that were there before."""
    answered: NDArray[np.bool_]
    """Whether a box that is closed and not empty was found."""
    items: ItemRows
    """Recommended items, best first, without repeats; -1: in no catalogue, or ambiguous."""
    reasons: Reasons | None = None
    """The statements made on the way; only where asked for."""


@dataclass(frozen=True)
class TokenScores:
    """Scores of B responses and rewards of their T tokens. A segment is a run of tokens of one line."""

    scores: Scores
    token_rewards: Floats  # [T], or [B, L] with 0 on padding where the ids came so
    segment_lengths: NDArray[np.int32]  # [S] tokens, sums to T
    segment_penalised: NDArray[np.bool_]  # [S] mentions a wrong recommended item
    segment_credited: NDArray[np.bool_]  # [S] rejects a wrong candidate for a true reason; only with w_credit
    cu_segments: NDArray[np.int64]  # [B + 1]: response i owns segments cu_segments[i]:cu_segments[i + 1]
    segment_false: NDArray[np.bool_]  # [S] holds a false statement; only with w_false or reasons
    segment_verdict: NDArray[np.int8]
    """[S] 1: judges a candidate rightly; -1: wrongly; 0: judges none; only with w_verdict"""
    entries: Entries | None = None
    """The reward of each entry of the answers; only where asked for."""


class RewardEngine:
    """Scores responses against ground truths.

    catalogue: N items. item_attributes: SciPy CSR [N, A], nonzero is "has". item_embeddings: [N, d] float32, rows of
    length 1 (or 0: unknown), not copied. threads: 0 is all cores. answer: which box counts. attribute_names [A]: the
    words by which attributes are known, which only `w_credit` and reasons need; attribute_relations [A] and description
    say what the relations are and how they are said, for reasons.
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
        attribute_names: Sequence[str] | None = None,
        attribute_relations: Sequence[str] | None = None,
        description: DatasetDescription | None = None,
    ) -> None:
        tables = item_tables(catalogue, item_attributes, item_embeddings, attribute_names)
        source = None
        if attribute_names is not None:
            relations = [""] * len(attribute_names) if attribute_relations is None else list(attribute_relations)
            if len(relations) != len(attribute_names):
                wanted = f"a relation for each of the {len(attribute_names)} attributes"
                raise UserError(f"attribute_relations must hold {wanted}, got {len(relations)}")
            source = ReasonSource.of(relations, description)
        self._open(tables, weights, threads, answer, source)

    @classmethod
    def load(
        cls,
        dataset_dir: str | Path,
        weights: RewardWeights | None = None,
        threads: int = 0,
        answer: Literal["first", "last"] = "last",
    ) -> RewardEngine:
        """The engine of a dataset directory. Its data are memory-mapped, so that processes on a host share the pages:
        the embeddings always, the rest where the catalogue is large (see `rerec_engine.reward.tables`).

        Errors: `UserError` that names the file.
        """
        engine = cls.__new__(cls)
        tables = load_tables(Path(dataset_dir), thread_count(threads))
        source = ReasonSource.of_directory(Path(dataset_dir)) if tables.name_ptr is not None else None
        engine._open(tables, weights, threads, answer, source)
        return engine

    def _open(
        self,
        tables: ItemTables,
        weights: RewardWeights | None,
        threads: int,
        answer: str,
        source: ReasonSource | None,
    ) -> None:
        if answer not in ("first", "last"):
            raise UserError(f'answer must be "first" or "last", got {answer!r}')
        self.catalogue = tables.catalogue
        self.weights = weights if weights is not None else RewardWeights()
        self.threads = thread_count(threads)
        self.answer = answer
        self._has_names = tables.name_ptr is not None
        self._core = _core.Engine(
            tables.catalogue.core,
            tables.attribute_ptr,
            tables.attributes,
            tables.embeddings,
            attribute_weights=tables.idf() if self.weights.qas_idf else None,
            mean_embedding=tables.embeddings.mean(axis=0, dtype=np.float64).astype(np.float32)
            if self.weights.pas_centred and self.size
            else None,
            name_ptr=tables.name_ptr,
            names=tables.name_bytes,
        )
        self._targets = TargetReader(tables.catalogue)
        self._reasons = ReasonIndex(self._core, source)

    @property
    def reads_reasons(self) -> bool:
        """Whether `reasons=True` is possible: the attributes' names are known."""
        return self._reasons.available

    @property
    def size(self) -> int:
        """Number of items N."""
        return len(self.catalogue)

    def targets(self, ground_truth: Any, candidates: Any = None) -> Targets:
        """Ground truths and candidates read once, to be scored against many times; see `score`."""
        count = len(ground_truth) if hasattr(ground_truth, "__len__") else 0
        return Targets(self._targets.read(ground_truth, candidates, count))

    def score(
        self,
        responses: Sequence[str | bytes],
        ground_truth: GroundTruths,
        candidates: CandidateLists = None,
        k: int | None = None,
        reasons: bool = False,
        opened: bool | Sequence[bool] = False,
    ) -> Scores:
        """Scores of B responses.

        ground_truth: for each a title, an item id, or several; a str is one title if it matches whole, else several
        between ';', '[SEP]' or line breaks. Or item ids as an array, [B] or [B, M] with -1 as padding; or `targets`.
        candidates: for each the items or titles to be tried first, or None; or item ids [B, C], -1 as padding.
        k: K of NDCG@K, default the weights'. reasons: read the statements too, see `rerec_engine.metrics.truth`.
        opened: whether the prompts opened a block of reasoning, `<think>`, all alike or one entry a response; a box in
        such a block is no answer.
        Errors: `UserError` that names the row, for a ground truth that is empty or that matches no item.
        """
        if isinstance(responses, (str, bytes)):
            raise UserError("responses must be a sequence of texts, got one text")
        targets = self._read_targets(ground_truth, candidates, len(responses))
        if reasons:
            self._reasons.build()
        settings = self._settings(k, reasons=reasons, opened=_opened(opened, len(responses)))
        try:
            raw = self._core.score(responses, targets, settings)
        except (TypeError, ValueError) as error:
            raise UserError(f"responses: {error}") from None
        return _scores(raw)

    def score_tokens(
        self,
        token_ids: Any,
        cu_seqlens: Any,
        ground_truth: GroundTruths,
        tokenizer: Any,
        candidates: CandidateLists = None,
        w_penalty: float = 0.3,
        k: int | None = None,
        w_credit: float = 0.0,
        out: Any = None,
        w_false: float = 0.0,
        reasons: bool = False,
        opened: bool | Sequence[bool] = False,
        entries: bool = False,
        w_invalid: float = 0.1,
        w_verdict: float = 0.0,
    ) -> TokenScores:
        """Scores, token rewards and segments of B responses, straight from their ids.

        token_ids, cu_seqlens: see `read_tokens`; packed [T] with [B + 1], or padded [B, L] with lengths or a mask.
        out: float32 of the shape of token_ids, torch or numpy, on the CPU; the token rewards are written into it.
        A token's reward is r, or r - w_penalty |r| where its line ends before the answer's box and mentions a wrong
        recommended item, or else r + w_credit |r| where such a line mentions a wrong candidate and an attribute of a
        ground truth which that candidate lacks. Where the line holds a false statement, w_false |r| is taken off
        besides, and nothing is added. A line before the box that names one candidate alone and gives the first verdict
        on it has an outcome of its own: w_verdict of the answer's NDCG is replaced by 1 where the verdict is right and
        0 where it is wrong, before the others take their share of what that makes. A verdict is the "yes" or "no" that
        ends the line; where none does, "no" if one stands before a comma, semicolon or colon, else "yes" if one does.
        reasons: read the statements also where w_false is 0. opened: see `score`.
        A mention is the item's title without year, or an alternative in its brackets, or the answer's own words, as
        whole normalised words: see `rerec_engine.graph.titles`. A leading article may be missing, a possessive 's may
        follow, and a title of one word (besides an article, which then is needed) must begin with a capital if it does
        in the title and must not be a bracketed year: "It" is not "it". Titles of more than 64 words are never found.
        A token belongs to the line of its first byte that is no line break; one of line breaks only, to the line that
        it ends; one without bytes (a special token) to none.
        entries: give each entry of an answer a reward of its own as well, see `docs/method.md`: its share of NDCG@K,
        and QAS and PAS by its discount; - w_invalid for a repeat, and for a title that is in no catalogue or ambiguous.
        Errors: `UserError` as in `score`, and for ids outside the tokenizer's range.
        """
        shares = {"w_penalty": w_penalty, "w_credit": w_credit, "w_false": w_false, "w_verdict": w_verdict}
        for name, value in {**shares, "w_invalid": w_invalid}.items():
            if not np.isfinite(value):
                raise UserError(f"{name} must be a finite number, got {value}")
        if w_credit != 0 and not self._has_names:
            raise UserError("w_credit needs attribute_names, by which the reasoning is searched")
        reasons = reasons or w_false != 0
        if reasons:
            self._reasons.build()
        batch = read_tokens(token_ids, cu_seqlens)
        targets = self._read_targets(ground_truth, candidates, batch.count)
        settings = self._settings(
            k, w_penalty, w_credit, w_false, w_verdict, reasons, _opened(opened, batch.count), w_invalid
        )
        rewards = _output(out, batch)
        places = np.empty(batch.ids.shape, dtype=np.int32) if entries else None
        try:
            scores, lengths, kinds, cu, of_entry, cu_entries = self._run(
                batch, tokenizer, targets, settings, rewards, places
            )
        except IndexError as error:
            raise UserError(f"token_ids: {error}") from None
        restored = batch.restore(rewards)
        if out is not None and restored is not rewards:
            _numpy(out)[...] = restored
        penalised, credited, is_false = ((kinds & bit).astype(bool) for bit in (PENALISED, CREDITED, FALSE))
        verdicts = ((kinds & UPHELD) // UPHELD - (kinds & REFUTED) // REFUTED).astype(np.int8)
        listed = None
        if places is not None and cu_entries is not None:
            listed = Entries(batch.restore(places, -1), of_entry, cu_entries)
        return TokenScores(_scores(scores), restored, lengths, penalised, credited, cu, is_false, verdicts, listed)

    def token_rewards(
        self,
        token_ids: Any,
        cu_seqlens: Any,
        ground_truth: GroundTruths,
        tokenizer: Any,
        candidates: CandidateLists = None,
        w_penalty: float = 0.3,
    ) -> Floats:
        """`score_tokens(...).token_rewards`, [T] float32 (or [B, L])."""
        return self.score_tokens(token_ids, cu_seqlens, ground_truth, tokenizer, candidates, w_penalty).token_rewards

    def qas(self, items: Any, ground_truth: Any) -> Floats:
        """QAS of each pair, [P] float32. items, ground_truth: [P] int32 or int64 ids; item -1 is unknown and scores 0.

        Errors: `UserError` for ids outside the catalogue.
        """
        return self._core.qas(*self._pairs(items, ground_truth), self.threads)

    def pas(self, items: Any, ground_truth: Any) -> Floats:
        """PAS of each pair, not centred; as `qas`."""
        return self._core.pas(*self._pairs(items, ground_truth), self.threads)

    def _pairs(self, items: Any, ground_truth: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        left, right = id_arrays(items, ground_truth)
        if left.ndim != 1 or left.shape != right.shape:
            raise UserError(f"items and ground_truth must be [P], got {list(left.shape)} and {list(right.shape)}")
        for name, ids, least in (("items", left, -1), ("ground_truth", right, 0)):
            if len(ids) and (ids.min() < least or ids.max() >= self.size):
                raise UserError(f"{name} must be in {least}..{self.size - 1}, got {ids.min()}..{ids.max()}")
        return left, right

    def _read_targets(self, ground_truth: Any, candidates: Any, count: int) -> _core.Targets:
        if not isinstance(ground_truth, Targets):
            return self._targets.read(ground_truth, candidates, count)
        if candidates is not None:
            raise UserError("candidates are part of the targets already")
        if len(ground_truth) != count:
            raise UserError(f"targets must hold one entry a response ({count}), got {len(ground_truth)}")
        return ground_truth.core

    def _run(
        self,
        batch: TokenBatch,
        tokenizer: Any,
        targets: _core.Targets,
        settings: _core.Settings,
        rewards: Floats,
        places: NDArray[np.int32] | None,
    ) -> _core.TokenResult:
        table = vocabulary(tokenizer)
        if table is not None:
            return self._core.score_ids(batch.ids, batch.rows(), table, targets, settings, rewards, places)
        size = id_limit(tokenizer)
        texts, ends = [], np.zeros(batch.ids.shape, dtype=np.int64)
        for i in range(batch.count):
            ids = batch.row(i)
            outside = (ids < 0) | (ids >= size)
            if outside.any():
                place = int(np.argmax(outside))
                found = f"id {int(ids[place])} is outside the tokenizer's 0..{size - 1}"
                raise IndexError(f"response {i}, token {place}: {found}")
            text, token_ends = decode_with_ends(tokenizer, ids.tolist())
            texts.append(text)
            row = ends if ends.ndim == 1 else ends[i]
            row[batch.left[i] : batch.left[i] + batch.length[i]] = token_ends
        width = batch.shape[1] if ends.ndim == 2 else 0
        rows = _core.TokenRows(batch.left, batch.length, width, width)
        return self._core.score_texts(texts, ends.reshape(-1), rows, targets, settings, rewards, places)

    def _settings(
        self,
        k: int | None,
        penalty: float = 0.0,
        credit: float = 0.0,
        falsehood: float = 0.0,
        verdict: float = 0.0,
        reasons: bool = False,
        opened: bytes = b"",
        invalid: float = 0.0,
    ) -> _core.Settings:
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
            graded=weights.ndcg_graded,
            centred=weights.pas_centred,
            repeat=weights.repeat_penalty,
            credit=float(credit),
            falsehood=float(falsehood),
            verdict=float(verdict),
            reasons=reasons,
            invalid=float(invalid),
            opened=opened,
        )


def ndcg(items: Any, ground_truth: Any, k: int, threads: int = 0) -> Floats:
    """NDCG@K of B rankings, binary gains, [B] float32.

    items: [B, R] int32 or int64 ids, best first. ground_truth: [B] or [B, M]. What is negative is padding; a repeated
    item gains nothing; a row without ground truth scores 0. k: 1..1000. threads: 0 is all cores.
    Errors: `UserError` for shapes that disagree.
    """
    ranked, truth = id_arrays(items, ground_truth)
    truth = truth[:, None] if truth.ndim == 1 else truth
    if ranked.ndim != 2 or truth.ndim != 2 or len(ranked) != len(truth):
        shapes = f"{list(ranked.shape)} and {list(truth.shape)}"
        raise UserError(f"items must be [B, R] and ground_truth [B] or [B, M], got {shapes}")
    if not 1 <= k <= 1000:
        raise UserError(f"k must be in 1..1000, got {k}")
    return _core.ndcg(ranked, truth, int(k), thread_count(threads))


def _opened(opened: Any, count: int) -> bytes:
    """A byte a response."""
    if hasattr(opened, "__len__"):
        if len(opened) != count:
            raise UserError(f"opened must be one truth value, or one entry a response ({count}), got {len(opened)}")
        return bytes(bool(one) for one in opened)
    return bytes([bool(opened)]) * count


PENALISED, CREDITED, FALSE, UPHELD, REFUTED = 1, 2, 4, 8, 16  # bits of SegmentKind of csrc/reward/score.hpp


def _scores(raw: dict[str, NDArray[Any]]) -> Scores:
    columns = dict(zip(_core.COLUMNS, raw["columns"], strict=True))
    told: Any = raw["reasons"]  # [2, B] or None
    reasons = None if told is None else Reasons(told[0], told[1])
    items = ItemRows(raw["items"], raw["items_ptr"])
    return Scores(**columns, answered=raw["answered"].view(bool), items=items, reasons=reasons)


def _numpy(array: Any) -> NDArray[Any]:
    """A numpy view of a numpy or torch array."""
    view: NDArray[Any] = array.detach().numpy() if hasattr(array, "detach") else array
    return view


def _output(out: Any, batch: TokenBatch) -> Floats:
    if out is not None:
        view = _numpy(out)
        if view.dtype != np.float32 or view.shape != batch.shape or not view.flags.c_contiguous:
            raise UserError(f"out must be contiguous float32 {list(batch.shape)}, got {view.dtype} {list(view.shape)}")
        if batch.gaps is None:
            return view
    return np.empty(batch.ids.shape, dtype=np.float32)
