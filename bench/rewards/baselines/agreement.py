"""What a baseline must agree on with the engine, and why it may differ elsewhere.

Scores must be equal wherever both read the same item, token rewards wherever both see the same mentions. Everything
else needs one of the reasons below; a difference without a reason is a failure.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from bench.rewards.workload import Workload
from rerec_engine.graph.titles import forms, full_name, move_article, normalise, split_title, words
from rerec_engine.reward import TokenScores

EQUAL = "equal"
OTHER_TITLE = "answer in another form than the catalogue's"
OTHER_ARTICLE = "mention: article moved or left out"
OTHER_NAME = "mention: name in the title's brackets, or without them"
OTHER_SPELLING = "mention: case, punctuation, accents or possessive"
INSIDE = "mention: letters inside other words"
SPLIT = "position: a character is split over tokens"


def agreement(
    workload: Workload,
    ours: TokenScores,
    items: Sequence[int | None],
    scores: dict[str, np.ndarray],  # [B] each
    token_rewards: Sequence[np.ndarray],  # [n] each
    w_penalty: float = 0.3,
    tolerance: float = 1e-6,
) -> Counter[str]:
    """Responses by reason; asserts that scores, and token rewards with equal mentions, are equal to `tolerance`.

    items: None without an answer, -1 for one that the baseline cannot resolve.
    """
    counts: Counter[str] = Counter()
    for i, text in enumerate(workload.texts):
        item = int(ours.scores.items[i][0]) if len(ours.scores.items[i]) else None
        if items[i] != item:
            entry = text[text.rfind("\\boxed{") + 7 : text.rfind("}")]
            assert item is not None and items[i] == -1 and entry not in workload.tables.titles, (item, items[i], entry)
            counts[OTHER_TITLE] += 1
            continue
        for name, values in scores.items():
            assert abs(values[i] - float(getattr(ours.scores, name)[i])) <= tolerance, (name, i)
        mine = ours.token_rewards[i][: len(token_rewards[i])]
        reason = EQUAL
        if not np.allclose(mine, token_rewards[i], rtol=0, atol=tolerance):
            total = float(ours.scores.total[i])
            for rewards in (mine, token_rewards[i]):
                apart = np.abs(np.subtract.outer(rewards, [total, total - w_penalty * abs(total)]))
                assert apart.min(axis=1).max() <= tolerance, i
            assert item is not None
            reason = _reason(workload, i, item, np.abs(mine - token_rewards[i]) > tolerance, mine)
        counts[reason] += 1
    return counts


def _reason(workload: Workload, i: int, item: int, differs: np.ndarray, mine: np.ndarray) -> str:
    """Why the mentions of a response differ, from the first line that does."""
    text = workload.texts[i]
    if any(not piece.isascii() for piece in re.findall(r"\S+", text)) and "�" in _by_token(workload, i):
        return SPLIT
    ids = workload.rows[i]
    at = len(workload.tokenizer.decode(ids[: int(np.argmax(differs)) + 1]))
    line = text[text.rfind("\n", 0, at - 1) + 1 : text.find("\n", at - 1)]
    title = workload.tables.titles[item] if item >= 0 else text[text.rfind("\\boxed{") + 7 : text.rfind("}")]
    name = full_name(split_title(title))
    found = mine[int(np.argmax(differs))] != mine[-1]  # the engine sees a mention, the baseline none
    if not found and name.lower() in line.lower() and f" {normalise(name)} " not in f" {normalise(line)} ":
        return INSIDE
    assert found, f"response {i}: the baseline alone sees {title!r} in {line!r}"
    spoken = f" {' '.join(word.stem for word in words(line))} {' '.join(word.text for word in words(line))} "
    own = [name, *forms(name)[1:]]
    for reason, known in (
        (OTHER_SPELLING, [name]),
        (OTHER_ARTICLE, [move_article(name), re.sub(r"(?i)^(the|a|an) ", "", move_article(name))]),
        (OTHER_NAME, [re.sub(r"(?i)^(the|a|an) ", "", move_article(form)) for form in own]),
    ):
        if any(f" {normalise(form)} " in spoken for form in known):
            return reason
    raise AssertionError(f"response {i}: no reason for the mention of {title!r} in {line!r}")


def _by_token(workload: Workload, i: int) -> str:
    return "".join(workload.tokenizer.decode([token]) for token in workload.rows[i])
