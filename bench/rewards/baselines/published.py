"""The published reward path in process, reimplemented from its description (ReRec, arXiv 2604.07851).

A response at a time: decode the ids, clean the text with regular expressions, take the boxed titles, rank them by
title, look the items up in a networkx graph (QAS) and in a table of numpy vectors (PAS), then decode token by token to
learn which characters a token holds, search each line for the title without its year, and write the token rewards.

Left out, though the published path has them: decoding the prompt, and HTTP to the service that holds the graph. Mended,
since they change results and not the cost: rank order is kept (no `set`), the penalty is w |r| (not a bonus where
r < 0), case does not decide the ranking. Kept: a title counts only as the catalogue writes it; a mention is any
occurrence of its name, letter by letter; characters that several tokens share shift the positions behind them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import networkx as nx
import numpy as np
import scipy.sparse as sp
import torch

_SPECIAL = re.compile(r"<\|[a-z_]+\|>")
_SPACES = re.compile(r"[ \t\u00a0]+")
_MARKDOWN = re.compile(r"\*\*|__|`")
_BOXED = re.compile(r"\\boxed\{(.*?)\}", re.DOTALL)
_YEAR = re.compile(r"\s*\(\d{4}\)\s*$")


@dataclass(frozen=True)
class Result:
    """Scores of a response and the rewards of its tokens, [n] float32."""

    item: str | None
    total: float
    ndcg: float
    qas: float
    pas: float
    format: float
    token_rewards: torch.Tensor


class PublishedPath:
    """Scores responses one by one. embeddings: [N, d] float32.

    ids_as_list: whether the ids are made a list before they are decoded one by one. The description does not tell, and
    an id that is a tensor takes twice as long.
    """

    def __init__(
        self,
        titles: Sequence[str],
        attributes: sp.csr_matrix,
        embeddings: np.ndarray,
        tokenizer: Any,
        k: int = 1,
        ids_as_list: bool = False,
    ) -> None:
        self.tokenizer, self.k, self.ids_as_list = tokenizer, k, ids_as_list
        self.title_of = {title.lower(): title for title in titles}
        self.vectors = dict(zip(titles, embeddings, strict=True))
        self.graph = nx.Graph()
        self.graph.add_nodes_from(titles)
        for title, begin, end in zip(titles, attributes.indptr, attributes.indptr[1:], strict=False):
            self.graph.add_edges_from((title, f"attribute {a}") for a in attributes.indices[begin:end])

    def score(self, token_ids: torch.Tensor, ground_truth: str, w_penalty: float = 0.3) -> Result:
        """token_ids: [n] of one response; ground_truth: titles joined by ';'."""
        text = self.tokenizer.decode(token_ids, skip_special_tokens=True)
        truths = [title.strip() for title in ground_truth.split(";")]
        predicted = self._predicted(text)
        if predicted is None:
            item, ndcg, qas, pas, form = None, -0.5, 0.0, 0.0, -0.5
        else:
            item, form = predicted[0], 0.5
            ndcg = self._ndcg(predicted, truths)
            qas, pas = self._qas(item, truths), self._pas(item, truths)
        total = 1.0 * ndcg + 0.1 * form + 0.01 * qas + 0.01 * pas
        rewards = torch.full((len(token_ids),), total, dtype=torch.float32)
        starts = self._starts(token_ids)
        if item is not None and item not in truths:
            _penalise(rewards, starts, text, item, total - w_penalty * abs(total))
        return Result(item, total, ndcg, qas, pas, form, rewards)

    def _predicted(self, text: str) -> list[str] | None:
        text = _SPACES.sub(" ", _MARKDOWN.sub("", _SPECIAL.sub("", text))).strip()
        found = _BOXED.findall(text)
        if not found:
            return None
        entries = [entry.strip() for entry in found[-1].split(";") if entry.strip()]
        titles = dict.fromkeys(self.title_of.get(entry.lower(), entry) for entry in entries)
        return list(titles) or None

    def _ndcg(self, predicted: Sequence[str], truths: Sequence[str]) -> float:
        gains = [1.0 if title in truths else 0.0 for title in predicted[: self.k]]
        gain = sum(g / math.log2(rank + 2) for rank, g in enumerate(gains))
        return gain / sum(1 / math.log2(rank + 2) for rank in range(min(self.k, len(truths))))

    def _qas(self, item: str, truths: Sequence[str]) -> float:
        if item not in self.graph:
            return 0.0
        wanted = set.intersection(*(set(self.graph.neighbors(title)) for title in truths))
        return len(set(self.graph.neighbors(item)) & wanted) / len(wanted) if wanted else 0.0

    def _pas(self, item: str, truths: Sequence[str]) -> float:
        if item not in self.vectors:
            return 0.0
        a = self.vectors[item]
        cosines = [
            np.dot(a, self.vectors[title]) / (np.linalg.norm(a) * np.linalg.norm(self.vectors[title]))
            for title in truths
        ]
        return float(np.mean(cosines))

    def _starts(self, token_ids: torch.Tensor) -> list[int]:
        """The character of the text at which each token begins."""
        starts, at = [], 0
        for token in token_ids.tolist() if self.ids_as_list else token_ids:
            starts.append(at)
            at += len(self.tokenizer.decode(token, skip_special_tokens=True))
        return starts


def _penalise(rewards: torch.Tensor, starts: Sequence[int], text: str, item: str, reduced: float) -> None:
    """Write `reduced` to the tokens of every line before the answer's that names the item."""
    name = _YEAR.sub("", item)
    answer = text.rfind("\\boxed{")
    breaks = [0, *(match.end() for match in re.finditer("\n", text)), len(text)]
    for begin, end in pairwise(breaks):
        if end > answer or name not in text[begin:end]:
            continue
        for i, start in enumerate(starts):
            if begin <= start < end:
                rewards[i] = reduced
