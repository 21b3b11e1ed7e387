"""The built-in sampler behind a server: twins that share weights and nothing else."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from rerec_engine.rollout.sampler import Sampler
from rerec_engine.serve.backend import SamplerBackend
from rerec_engine.types import Sampling


@pytest.fixture(scope="module")
def sampler(tiny_policy):
    return Sampler(tiny_policy(eos_token_id=319))


PROMPTS = [[5, 6, 7 + i] for i in range(8)]


def sampling(i):
    return Sampling(12, 1.0, seed=i)


def test_tokens_are_the_samplers(sampler):
    backend = SamplerBackend(sampler, 1)
    for i, prompt in enumerate(PROMPTS):
        assert list(backend.stream(prompt, sampling(i), 5.0)) == list(sampler.stream(prompt, sampling(i)))


def test_callers_at_once_do_not_disturb_each_other(sampler):
    backend = SamplerBackend(sampler, 3)
    alone = [list(sampler.stream(prompt, sampling(i))) for i, prompt in enumerate(PROMPTS)]
    streams = [backend.stream(prompt, sampling(i), 5.0) for i, prompt in enumerate(PROMPTS[:3])]
    found = [[] for _ in streams]
    for _ in range(12):  # a token each by turns
        for tokens, stream in zip(found, streams, strict=True):
            tokens.extend([token] if (token := next(stream, None)) is not None else [])
    assert found == alone[:3]
    for stream in streams:
        stream.close()
    with ThreadPoolExecutor(3) as threads:
        drawn = threads.map(lambda i: list(backend.stream(PROMPTS[i], sampling(i), 20.0)), range(8))
        assert list(drawn) == alone


def test_who_finds_none_free_waits_so_long(sampler):
    backend = SamplerBackend(sampler, 1)
    first = backend.stream(PROMPTS[0], sampling(0), 1.0)
    next(first)
    with pytest.raises(queue.Empty):
        next(backend.stream(PROMPTS[1], sampling(1), 0.01))
    threading.Timer(0.05, first.close).start()
    assert list(backend.stream(PROMPTS[1], sampling(1), 10.0)) == list(sampler.stream(PROMPTS[1], sampling(1)))


def test_a_caller_that_fails_gives_its_sampler_back(sampler):
    backend = SamplerBackend(sampler, 1)
    for _ in range(3):
        with pytest.raises(IndexError):
            list(backend.stream([10**6], sampling(0), 0.01))
    assert len(list(backend.stream(PROMPTS[0], sampling(0), 0.01))) > 0


def test_it_does_not_break_down(sampler):
    backend = SamplerBackend(sampler, 1)
    assert backend.name == "sampler"
    assert backend.fault() is None
    backend.close()
    assert list(backend.stream(PROMPTS[0], sampling(0), 0.01))
