"""The C++ module. Arrays are C-contiguous; checks are made by the callers in Python."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Text = str | bytes
Ints = NDArray[Any]
"""int32 or int64; two in one call are of one type."""
Scores = dict[str, NDArray[Any]]
"""columns [10, B] float32 in the order of COLUMNS, answered [B] uint8, items [I] int32 with items_ptr [B + 1] int64."""
TokenResult = tuple[
    Scores, NDArray[np.int32], NDArray[np.int8], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64] | None
]
"""scores, segment lengths [S], segment kinds [S] (bits: 1 penalised, 2 credited, 4 false, 8 right verdict, 16
wrong verdict), cu_segments [B + 1], and where places were given entry rewards [E] and cu_entries [B + 1], else nothing
and None."""

COLUMNS: tuple[str, ...]

def build_catalogue(
    title_ptr: NDArray[np.int64], title_bytes: Any, years: NDArray[np.int32], threads: int
) -> dict[str, NDArray[Any]]: ...

class Catalogue:
    def __init__(self, arrays: dict[str, NDArray[Any]]) -> None: ...
    def __len__(self) -> int: ...
    def match_many(self, titles: Sequence[Text], candidates: NDArray[np.int32]) -> NDArray[np.int32]: ...
    def explain(self, title: Text, candidates: NDArray[np.int32]) -> tuple[int, str, list[int]]: ...

class Targets:
    def __init__(
        self,
        truth_ptr: NDArray[np.int64],
        truth: NDArray[np.int32],
        candidate_ptr: NDArray[np.int64],
        candidates: NDArray[np.int32],
    ) -> None: ...
    def __len__(self) -> int: ...

def read_targets(
    catalogue: Catalogue,
    ground_truth: Any,
    candidates: Any,
    fallback: Callable[[Any, Any, int], tuple[list[int], list[int]]],
) -> Targets: ...

class TokenRows:
    def __init__(self, left: NDArray[np.int64], length: NDArray[np.int64], stride: int, width: int) -> None: ...

def mask_spans(mask: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None: ...
def ndcg(items: Ints, truth: Ints, k: int, threads: int) -> NDArray[np.float32]: ...

class Vocabulary:
    def __init__(self, ptr: NDArray[np.int64], bytes: bytes) -> None: ...
    def __len__(self) -> int: ...

class QasMode:
    shared: QasMode
    max: QasMode
    mean: QasMode

class Which:
    first: Which
    last: Which

class Settings:
    def __init__(
        self,
        *,
        ndcg: float,
        format: float,
        qas: float,
        pas: float,
        k: int,
        mode: QasMode,
        which: Which,
        penalty: float,
        threads: int,
        graded: bool,
        centred: bool,
        repeat: float,
        credit: float,
        falsehood: float,
        verdict: float,
        reasons: bool,
        invalid: float,
        opened: bytes,
    ) -> None: ...

class Engine:
    def __init__(
        self,
        catalogue: Catalogue,
        attribute_ptr: NDArray[np.int64],
        attributes: NDArray[np.int32],
        embeddings: NDArray[np.float32],
        attribute_weights: NDArray[np.float32] | None = None,
        mean_embedding: NDArray[np.float32] | None = None,
        name_ptr: NDArray[np.int64] | None = None,
        names: NDArray[np.uint8] | None = None,
    ) -> None: ...
    def read_names(
        self,
        relations: NDArray[np.int32],
        any_case: NDArray[np.uint8],
        phrases: Sequence[Text],
        kinds: NDArray[np.int8],
        flags: NDArray[np.uint8],
        masks: NDArray[np.uint64],
    ) -> None: ...
    def statements(self, text: Text) -> list[tuple[int, int, bool, bool]]: ...
    def score(self, responses: Sequence[Text], targets: Targets, settings: Settings) -> Scores: ...
    def score_ids(
        self,
        ids: Ints,
        rows: TokenRows,
        vocabulary: Vocabulary,
        targets: Targets,
        settings: Settings,
        rewards: NDArray[np.float32],
        places: NDArray[np.int32] | None,
    ) -> TokenResult: ...
    def score_texts(
        self,
        responses: Sequence[Text],
        token_ends: NDArray[np.int64],
        rows: TokenRows,
        targets: Targets,
        settings: Settings,
        rewards: NDArray[np.float32],
        places: NDArray[np.int32] | None,
    ) -> TokenResult: ...
    def qas(self, items: Ints, truths: Ints, threads: int) -> NDArray[np.float32]: ...
    def pas(self, items: Ints, truths: Ints, threads: int) -> NDArray[np.float32]: ...

def words(text: Text) -> list[tuple[str, str, bool, bool]]: ...
def split_title(title: Text) -> tuple[bytes, int, bytes]: ...
def told_in_brackets(title: Text) -> int: ...
def bare_year(title: Text) -> tuple[bytes, int]: ...
def title_forms(name: Text) -> list[bytes]: ...
def loose_key(form: Text) -> str: ...
def boxed(text: Text, which: Which) -> tuple[int, bytes] | None: ...
def reasoning_end(text: Text) -> tuple[int, int] | None:
    """Bytes before the outermost box around the last closed one; the same where a box that is still open counts too."""

def read_answer(
    text: Text, catalogue: Catalogue, candidates: NDArray[np.int32], which: Which
) -> list[tuple[int, bytes]]: ...

Floats = NDArray[np.float32]

def fold_logits(
    z: Floats,
    first: int,
    targets: NDArray[np.int64],
    scale: float,
    softcap: float,
    top: Floats,
    total: Floats,
    dot: Floats,
    picked: Floats,
) -> None:
    """z [R, N]: columns first .. first + N of the logits; top, total, dot and picked [R] are updated."""

def logit_gradient(
    z: Floats,
    first: int,
    targets: NDArray[np.int64],
    scale: float,
    softcap: float,
    capped: bool,
    lse: Floats,
    base: Floats,
    slope: Floats | None,
    at_target: Floats,
) -> None:
    """z [R, N] is overwritten by its gradient."""

def merge_softmax(states: Floats, picked: Floats, scale: float, logp: Floats, entropy: Floats, lse: Floats) -> None:
    """states [shares, 3, R]; the last three [R] are written."""

def policy_tokens(
    logp: Floats,
    old: Floats,
    adv: Floats,
    weight: Floats,
    ref: Floats | None,
    log_ratio: Floats | None,
    entropy: Floats | None,
    clip_low: float,
    clip_high: float,
    beta: float,
    kl: str,
    entropy_coef: float,
    gradient: Floats,
    sums: NDArray[np.float64],
) -> None:
    """All [R]; gradient is written. To sums [10] are added: loss, clipped, ratio, ratio_square, ratio_max, log_ratio
    (magnitudes), log_ratio_max, approx_kl, kl, entropy. ValueError for sums of another length."""

def segment_advantage(
    lengths: NDArray[np.int64],
    penalised: NDArray[np.bool_],
    cu_segments: NDArray[np.int64],
    rewards: Floats,
    group: NDArray[np.int64],
    w_penalty: float,
    estimator: str,
) -> Floats: ...
def expand_segments(values: Floats, lengths: NDArray[np.int64], out: Floats) -> None: ...

class AttentionCache:
    """Keys and values of all layers; what is asked of the shapes is in csrc/ops/attention.hpp."""

    def __init__(
        self,
        layers: int,
        heads: int,
        kv_heads: int,
        cos: Floats,
        sin: Floats,
        half: bool,
    ) -> None: ...
    def add(self, lengths: NDArray[np.int64], responses: int) -> None: ...
    def set_prompts(self, layer: int, qkv: Floats, threads: int) -> None: ...
    def attend(self, layer: int, qkv: Floats, out: Floats, threads: int) -> None:
        """qkv [rows, heads + 2 * kv_heads, D]; out [rows, heads * D] is written."""

    def advance(self) -> None: ...
    def keep(self, rows: NDArray[np.int64]) -> None: ...

def vector_levels() -> list[str]:
    """Of avx512, avx2 and plain those that this processor runs, best first; the first is in use."""

def set_vector_level(level: str) -> bool:
    """Use that one from now on; False: this processor does not run it."""

Allowed = tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64], NDArray[np.int32]]
"""at [R], denied [R], ptr [R + 1], ids: row r holds ids[ptr[r]:ptr[r + 1]], the only tokens that may follow, or those
that may not."""

class TokenTree:
    def __init__(self, ptr: NDArray[np.int64], bytes: bytes) -> None: ...
    def __len__(self) -> int: ...
    @property
    def nodes(self) -> int: ...

def title_order(catalogue: Catalogue, tokens: TokenTree, threads: int) -> NDArray[np.int32]: ...

class Titles:
    def __init__(self, catalogue: Catalogue, tokens: TokenTree, order: NDArray[np.int32]) -> None: ...
    def read(
        self,
        ids: NDArray[np.int64],
        bounds: NDArray[np.int64],
        ptr: NDArray[np.int64],
        candidates: NDArray[np.int32],
    ) -> Allowed: ...

class AnswerRows:
    def __init__(self, titles: Titles) -> None: ...
    def __len__(self) -> int: ...
    def join(self, ptr: NDArray[np.int64], candidates: NDArray[np.int32], n: int) -> None: ...
    def keep(self, rows: NDArray[np.int64]) -> None: ...
    def allowed(self) -> Allowed: ...
    def mask(self, logits: NDArray[np.float32], places: NDArray[np.int64]) -> None: ...
    def advance(self, tokens: NDArray[np.int64], rows: NDArray[np.int64]) -> None: ...
    def continuations(
        self,
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]: ...
    def answer(self, row: int) -> list[int]: ...
    def inside(self, row: int) -> bool: ...
