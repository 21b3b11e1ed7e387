"""Lists of a language model: against the model's own log-probs, and votes of answers that are given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.metrics.ranking import model as ranking_model
from rerec_engine.metrics.ranking.model import TitleScores, reasoner, votes
from rerec_engine.model.packed_attention import enable_packing
from rerec_engine.model.policy import Policy
from rerec_engine.reward import RewardEngine
from rerec_engine.types import Query, Rollout, Sampling

TITLES = ["The Silent River (1987)", "drama film", "The Silent", "Find", "need drama yes no The River"]
PROMPTS = [[5, 6, 7, 8], [9, 10]]


def encoded(policy: Policy, text: str) -> list[int]:
    return list(policy.tokenizer(text, add_special_tokens=False)["input_ids"])


def plain(policy: Policy, prompt: Sequence[int], whole: list[int], common: int) -> tuple[float, int]:
    """Log-prob of all tokens but the first `common`, by the model's own forward pass, and their number."""
    with torch.no_grad():
        logits = policy.model(torch.tensor([[*prompt, *whole]])).logits[0].double().log_softmax(-1)
    places = range(common, len(whole))
    return sum(float(logits[len(prompt) + i - 1, whole[i]]) for i in places), len(places)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("normalised", [False, True])
def test_titles_have_the_models_own_log_probs(
    tiny_policy: Callable[..., Policy], packed: bool, normalised: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tiny_policy()
    policy.packed = packed and enable_packing(policy.model)
    assert policy.packed == packed
    reason = lambda prompts: ["yes drama\n" for _ in prompts]  # noqa: E731
    search = TitleScores(policy, TITLES, " ", normalised, reason)
    found = search(PROMPTS, [range(5), [3, 1]])
    lead = "yes drama\n\\boxed{ "
    for prompt, items, pairs in zip(PROMPTS, [range(5), [3, 1]], found, strict=True):
        texts = {item: encoded(policy, f"{lead}{TITLES[item]}}}") for item in items}
        together = zip(encoded(policy, lead), *texts.values(), strict=False)
        common = sum(1 for _ in takewhile(lambda ids: len(set(ids)) == 1, together))  # " The" may be one token
        truth = {item: plain(policy, prompt, whole, common) for item, whole in texts.items()}
        expected = {item: logp / (tokens if normalised else 1) for item, (logp, tokens) in truth.items()}
        assert dict(pairs) == pytest.approx(expected, abs=1e-4)
        assert [item for item, _ in pairs] == sorted(items, key=lambda item: -expected[item])
    monkeypatch.setattr(ranking_model, "AT_ONCE", 3)
    again = search(PROMPTS, [range(5), [3, 1]])
    assert dict(again[0]) == pytest.approx(dict(found[0]), abs=1e-4)


def test_reasoning_is_what_is_said_before_the_last_box() -> None:
    said = iter(["so \\boxed{A} no, \\boxed{B} x", "no box  ", ""])
    rollouts = [Rollout([n], [0.0], "stop", 0) for n in range(3)]
    tokenizer: Any = SimpleNamespace(decode=lambda *_, **__: next(said), all_special_ids=())
    asked: list[Sampling] = []

    def generate(prompts: Any, n: int, sampling: Sampling) -> list[Rollout]:
        asked.append(sampling)
        return rollouts

    assert reasoner(generate, tokenizer, 9)([[1], [2], [3]]) == ["so \\boxed{A} no, ", "no box\n", "\n"]
    assert asked == [Sampling(9, 0.0)]


def test_answers_vote() -> None:
    films = Catalogue(["Heat (1995)", "Alien (1979)", "Big (1988)"])
    engine = RewardEngine(films, sp.csr_matrix((3, 1), dtype=np.int8), np.zeros((3, 2), dtype=np.float32))
    answers = [["\\boxed{Big}", "none", "\\boxed{Alien; Heat}", "\\boxed{Alien}"], ["\\boxed{Nothing}"] * 4]
    tokenizer: Any = SimpleNamespace(decode=lambda ids, **_: answers[ids[0]][ids[1]], all_special_ids=())
    seeds: list[int] = []

    def generate(prompts: Sequence[Sequence[int]], n: int, sampling: Sampling) -> list[Rollout]:
        seeds.append(sampling.seed)
        assert (n, sampling.temperature) == (4, 0.7)
        return [Rollout([prompt[0], i], [0.0], "stop", 0) for prompt in prompts for i in range(n)]

    queries = [Query("a", (), (0,)), Query("b", (), (1,))]
    for batch_size in (1, 2):
        found = votes(
            generate,
            tokenizer,
            engine,
            queries,
            encode=lambda query: [queries.index(query)],
            samples=4,
            sampling=Sampling(8, 0.7, 3),
            batch_size=batch_size,
        )
        assert found == {"a": [1, 2, 0], "b": []}
    assert len(set(seeds)) == 2  # of the first query alike, of the second its own
