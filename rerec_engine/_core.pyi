"""The C++ module. Arrays are C-contiguous; checks are made by the callers in Python."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Text = str | bytes
Scores = dict[str, NDArray[Any]]
TokenResult = tuple[Scores, NDArray[np.float32], NDArray[np.int32], NDArray[np.uint8], NDArray[np.int64]]
"""scores, token rewards [T], segment lengths [S], segment penalised [S], cu_segments [B + 1]."""

class Catalogue:
    def __init__(self, titles: Sequence[Text], years: NDArray[np.int32]) -> None: ...
    def __len__(self) -> int: ...
    def years(self) -> NDArray[np.int32]: ...
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
    ) -> None: ...

class Engine:
    def __init__(
        self,
        catalogue: Catalogue,
        attribute_ptr: NDArray[np.int64],
        attributes: NDArray[np.int32],
        embeddings: NDArray[np.float32],
    ) -> None: ...
    def score(self, responses: Sequence[Text], targets: Targets, settings: Settings) -> Scores: ...
    def score_ids(
        self,
        ids: NDArray[np.int32] | NDArray[np.int64],
        cu_seqlens: NDArray[np.int64],
        vocabulary: Vocabulary,
        targets: Targets,
        settings: Settings,
    ) -> TokenResult: ...
    def score_texts(
        self,
        responses: Sequence[Text],
        token_ends: NDArray[np.int64],
        cu_seqlens: NDArray[np.int64],
        targets: Targets,
        settings: Settings,
    ) -> TokenResult: ...

def words(text: Text) -> list[tuple[str, str, bool, bool]]: ...
def split_title(title: Text) -> tuple[bytes, int, bytes]: ...
def title_forms(name: Text) -> list[bytes]: ...
def loose_key(form: Text) -> str: ...
def boxed(text: Text, which: Which) -> tuple[int, bytes] | None: ...
def read_answer(
    text: Text, catalogue: Catalogue, candidates: NDArray[np.int32], which: Which
) -> list[tuple[int, bytes]]: ...
