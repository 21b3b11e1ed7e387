"""Credit by rank in slow, plain Python and float64: the specification that `csrc/reward/entries.cpp` is held to.

    reward of an entry = w_ndcg gain d(j) / IDCG@K + (w_qas QAS + w_pas PAS) d(j) / (d(1) + .. + d(K))

of the j-th distinct entry, d(j) = 1 / log2(j + 1) for j <= K and 0 beyond; -w_invalid for an entry that repeats an
earlier one, and for one whose title is in no catalogue.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rerec_engine.config import RewardWeights


class Named(NamedTuple):
    """An entry as it was written."""

    item: int  # -1: in no catalogue
    repeats: bool


@dataclass(frozen=True)
class Facts:
    """What items are."""

    owned: list[set[int]]  # attributes of each item
    embeddings: np.ndarray  # [N, d] float64


def discount(rank: int, k: int) -> float:
    return 1 / math.log2(rank + 1) if rank <= k else 0.0


def qas(item: int, truth: Sequence[int], facts: Facts, weights: RewardWeights) -> float:
    if item < 0:
        return 0.0
    wanted = [facts.owned[gt] for gt in truth]
    wanted = [set.intersection(*wanted)] if weights.qas_mode == "shared" else wanted
    shares = [len(want & facts.owned[item]) / len(want) if want else 0.0 for want in wanted]
    return max(shares) if weights.qas_mode == "max" else sum(shares) / len(shares)


def pas(item: int, truth: Sequence[int], pool: Sequence[int], facts: Facts, weights: RewardWeights) -> float:
    if item < 0:
        return 0.0
    near = facts.embeddings @ facts.embeddings[list(truth)].T  # [N, truths]
    over = list(pool) if len(pool) else list(range(len(near)))
    found = near[item] - (near[over].mean(axis=0) if weights.pas_centred else 0.0)
    return float(found.max() if weights.qas_mode == "max" else found.mean())


def rewards(
    written: Sequence[Named],
    truth: Sequence[int],
    pool: Sequence[int],
    facts: Facts,
    weights: RewardWeights,
    w_invalid: float,
) -> list[float]:
    """The reward of each entry, float64."""
    k, distinct = weights.k, [entry.item for entry in written if not entry.repeats]
    alike = [qas(item, truth, facts, weights) for item in distinct]
    wrong = [alike[j] if weights.ndcg_graded else 0.0 for j, item in enumerate(distinct[:k]) if item not in truth]
    best = [1.0] * len(truth) + sorted(wrong, reverse=True)
    ideal = sum(gain * discount(j + 1, k) for j, gain in enumerate(best))
    places = sum(discount(j + 1, k) for j in range(k))
    out, j = [], 0
    for entry in written:
        j += not entry.repeats
        if entry.repeats or entry.item < 0:
            out.append(-w_invalid)
            continue
        gain = 1.0 if entry.item in truth else alike[j - 1] if weights.ndcg_graded else 0.0
        value = weights.ndcg * gain * discount(j, k) / ideal
        close = weights.qas * alike[j - 1] + weights.pas * pas(entry.item, truth, pool, facts, weights)
        out.append(value + close * discount(j, k) / places)
    return out


def owners(pieces: Sequence[bytes], spans: Sequence[tuple[int, int]]) -> list[int]:
    """The entry of each token whose bytes are `pieces`, -1: none. spans: bytes of the entries' titles, in order."""
    bounds, at, out = [], 0, []
    for piece in pieces:
        bounds.append((at, at + len(piece)))
        at += len(piece)
    for begin, end in bounds:
        if begin == end:  # a special token is the entry's within which it stands
            inside = [i for i, (first, last) in enumerate(spans) if first < begin < last]
        else:
            inside = [i for i, (first, last) in enumerate(spans) if first < end and begin < last]
        out.append(inside[0] if inside else -1)
    return out


class Made(NamedTuple):
    """A list answer of which it is known what each byte is."""

    text: bytes
    written: list[Named]
    spans: list[tuple[int, int]]  # bytes of each entry's title


_AROUND = [
    ("", ""),
    ("", ""),
    ("", ""),
    ('"', '"'),
    ("**", "**"),
    ("- ", ""),
    ("• ", "."),
    ("“", "”"),
    ("«", "»"),
    ("$", "$,"),
]
_LATEX = [("\\text{", "}"), ("\\textbf{\\text{", "}}"), ("{", "}"), ("\\quad ", "\\;"), ("\\textit{ ", " }")]
_NUMBERS = ["{}. ", "{}) ", "({}) ", "[{}] ", "#{} ", "Item {}: ", "No. {}: "]
_BETWEEN = ["\n", "; ", ";", "\n\n", "[SEP]", " [SEP] ", "\r\n", "\r", "\n\t\n", ";\n"]
_BETWEEN_LATEX = [*_BETWEEN, " \\\\ ", " \\newline ", "\\\\\n"]
_UNKNOWN = ["Nobody Knows", "A Film That Is Not", "日本のどこにも", "Zzz: The Return (2031)", "nobody knows it, really"]


def list_answer(titles: Sequence[str], items: Sequence[int], rng: random.Random) -> Made:
    """One to twelve entries of the items' titles and of no item's, some twice, with all that may stand around them."""
    text = rng.choice(["", "Because.\n", "Yes, é.\nSo:\n\n", "\\boxed{Old Answer}\n"]).encode()
    text += rng.choice(["\\boxed{", "\\boxed{", "\\boxed {", "\\boxed{\n "]).encode()
    latex, numbered = rng.random() < 0.3, rng.choice([None, None, *_NUMBERS])
    known: set[int | str] = set()
    written, spans = [], []
    chosen: list[int] = []
    count = rng.choice([1, 2, 3, 3, 3, 5, 8, 12])
    for place in range(count):
        if place:
            text += rng.choice(_BETWEEN_LATEX if latex else _BETWEEN).encode()
        again = chosen and rng.random() < 0.2
        item = (
            rng.choice(chosen) if again else rng.choice(items) if rng.random() < 0.8 else -rng.randint(1, len(_UNKNOWN))
        )
        chosen.append(item)
        title = titles[item] if item >= 0 else _UNKNOWN[item]
        before, after = rng.choice(_AROUND)
        if latex and rng.random() < 0.7:
            command = rng.choice(_LATEX)
            before, after = before + command[0], command[1] + after
        if numbered is not None:
            before = numbered.format(place + 1) + before
        begin = len(text) + len(before.encode())
        spans.append((begin, begin + len(title.encode())))
        written.append(Named(max(item, -1), item in known))
        known.add(item)
        text += (before + title + after).encode()
    text += rng.choice(["}", "}", " }", "}\nThat is all.", "\n}"]).encode()
    return Made(text, written, spans)
