"""The built-in rollout engine: batched sampling on a KV cache, on any device, from the policy's own weights.

Prompts are read in pieces, as many as the cache has room for; as responses end, the next prompts take their place.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from itertools import repeat

import torch
from torch import Tensor

from rerec_engine.constrain.titles import AnswerTitles
from rerec_engine.model.policy import Policy
from rerec_engine.model.selfcheck import Proof
from rerec_engine.rollout.decoder import make_decoder
from rerec_engine.rollout.responses import Responses
from rerec_engine.rollout.waiting import Prompts, Waiting, common_beginning
from rerec_engine.types import Rollout, Sampling

PIECE = {"cpu": 1024, "cuda": 8192}
"""Tokens of prompts that are read in one pass: enough for products at full speed, while what lies between two of them
stays in memory that is mapped already."""
CACHE_GB, CACHE_SHARE = 2.0, 0.4
"""Keys and values at once, where it is not said: GiB on a CPU, of the free memory on a GPU."""
BLOCK = 64  # tokens of the vocabulary whose mass is summed in float32
DRAWN = 2**22  # logits that are drawn from at once on a CPU


def draw(logits: Tensor, temperature: float, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """One token a row by inversion of the distribution function, or the most likely one at temperature 0.

    logits [B, V] fp32, uniform [B] float64 in [0, 1). Returns tokens [B] int64 and their log-probs [B] fp32, nats,
    under the distribution at `temperature` (1 where greedy).
    """
    rows, size = logits.shape
    most = max(1, DRAWN // size)
    if rows > most and logits.device.type == "cpu":
        parts = [
            draw(*part) for part in zip(logits.split(most), repeat(temperature), uniform.split(most), strict=False)
        ]
        return torch.cat([tokens for tokens, _ in parts]), torch.cat([logp for _, logp in parts])
    tokens = logits.argmax(-1) if temperature == 0 else None
    logits = logits if temperature in (0, 1) else logits / temperature
    blocks = -(-size // BLOCK)
    mass = logits.new_zeros(rows, blocks * BLOCK)
    peak = logits.amax(-1, keepdim=True)  # [B, 1]
    torch.sub(logits, peak, out=mass[:, :size])
    mass[:, :size].exp_()
    mass = mass.view(rows, blocks, BLOCK)
    cumulative = mass.sum(-1).double().cumsum(-1)  # [B, blocks]
    if tokens is None:
        tokens = _invert(mass, cumulative, uniform).clamp(max=size - 1)
    logp = logits.gather(-1, tokens[:, None]) - peak
    return tokens, (logp - cumulative[:, -1:].log().float())[:, 0]


def _invert(mass: Tensor, cumulative: Tensor, uniform: Tensor) -> Tensor:
    """The first token up to which more than uniform's share of the mass lies, block first: [B] int64.

    mass [B, blocks, BLOCK], not normalised; cumulative [B, blocks] float64, of its blocks' sums.
    """
    target = _below(uniform[:, None] * cumulative[:, -1:], cumulative[:, -1:])
    block = torch.searchsorted(cumulative, target, right=True).clamp(max=cumulative.shape[-1] - 1)  # [B, 1]
    inside = mass.gather(1, block[..., None].expand(-1, 1, BLOCK))[:, 0].double().cumsum(-1)  # [B, BLOCK]
    begin = cumulative.gather(1, block) - inside[:, -1:]
    place = torch.searchsorted(inside, _below(target - begin, inside[:, -1:]), right=True).clamp(max=BLOCK - 1)
    return (block * BLOCK + place)[:, 0]


def _below(x: Tensor, end: Tensor) -> Tensor:
    """x, rounding errors taken off so that 0 <= x < end: a token without mass is never drawn."""
    return torch.minimum(x.clamp(min=0), torch.nextafter(end, torch.zeros_like(end)))


class Answers:
    """The rows of a call whose answers are constrained, where they are."""

    def __init__(self, titles: AnswerTitles | None, sampling: Sampling) -> None:
        self.candidates = sampling.candidates
        self.rows = None if titles is None or self.candidates is None else titles.rows()

    def join(self, prompts: Sequence[int], n: int) -> None:
        """n responses each to the prompts at these places of the call."""
        if self.rows is not None and self.candidates is not None:
            self.rows.join([self.candidates[i] for i in prompts], n)

    def mask(self, logits: Tensor) -> Tensor:
        """logits [rows, V], -inf for what may not follow."""
        return logits if self.rows is None else self.rows.mask(logits)

    def advance(self, tokens: Tensor) -> None:
        """tokens [rows], drawn under the mask."""
        if self.rows is not None:
            self.rows.advance(tokens)

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        if self.rows is not None:
            self.rows.keep(rows)


class Sampler:
    """Generates with the live policy. A response's draws depend on the seed and its place in the call alone."""

    watch: Callable[[int, int], None] | None = None
    """Called within `generate` after each pass: responses finished so far in the call, and tokens of the longest that
    goes on, 0 while the first prompts are read."""
    pads = True
    """Whether prompts of several lengths are decoded at once. Some models' states do not stand padding."""
    proof = Proof()
    """See `rollout.selfcheck`."""
    titles: AnswerTitles | None = None
    """What a call's `candidates` are named by; without it they are not looked at."""

    def __init__(self, policy: Policy, max_rows: int = 1024, version: int = 0, cache_gb: float = 0.0) -> None:
        """max_rows: responses decoded at once; cache_gb: GiB of their keys and values, 0: what suits the device."""
        self.policy = policy
        self.max_rows, self.cache_gb = max_rows, cache_gb
        self.decoder = make_decoder(policy.model, policy.dtype, policy.output)
        self.weight_version = version

    def twin(self) -> Sampler:
        """A sampler with a cache of its own over the same weights, for another thread."""
        twin = copy.copy(self)
        twin.decoder = copy.copy(self.decoder)
        return twin

    def update_weights(self, version: int) -> None:
        self.decoder.refresh()
        self.weight_version = version

    def sleep(self) -> None:
        """Nothing is held beyond the policy itself."""

    def close(self) -> None:
        """Nothing is held beyond the policy itself."""

    def generate(self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling) -> list[Rollout]:
        """n responses per prompt, prompt-major; at most `max_rows` responses are decoded at a time."""
        if not prompts:
            return []
        generator = torch.Generator().manual_seed(sampling.seed)
        rows = (sampling.first + len(prompts)) * n
        uniform = torch.rand(rows, sampling.max_new_tokens, generator=generator, dtype=torch.float64)
        return self._generate(prompts, n, sampling, uniform[sampling.first * n :].to(self.policy.device))

    def stream(self, prompt: Sequence[int], sampling: Sampling) -> Generator[int, None, None]:
        """Token ids of one response as they are drawn, the end token left out."""
        generator = torch.Generator().manual_seed(sampling.seed)
        self.decoder.open(len(prompt) + sampling.max_new_tokens, sampling.max_new_tokens)
        answers = Answers(self.titles, sampling)
        answers.join([0], 1)
        logits = self.decoder.join([prompt], 1)
        for t in range(sampling.max_new_tokens):
            uniform = torch.rand(1, generator=generator, dtype=torch.float64).to(logits.device)
            token, _ = draw(answers.mask(logits), sampling.temperature, uniform)
            answers.advance(token)
            if int(token) in self.policy.end_ids:
                return
            yield int(token)
            if t + 1 < sampling.max_new_tokens:
                logits = self.decoder.step(token)

    @torch.inference_mode()
    def _generate(self, prompts: Prompts, n: int, sampling: Sampling, uniform: Tensor) -> list[Rollout]:
        """uniform [len(prompts) * n, max_new_tokens] float64."""
        limit, decoder, device = sampling.max_new_tokens, self.decoder, self.policy.device
        eager = decoder.grows and device.type == "cpu"
        responses = Responses(len(prompts), n, limit, self.policy.end_ids, device, eager)
        waiting = Waiting(prompts, n, partial(decoder.cache_bytes, max_new=limit), self.max_rows, self._room())
        answers = Answers(self.titles, sampling)
        length = max(map(len, prompts)) + limit
        if decoder.grows:
            decoder.open(length, limit, prompts[0][: common_beginning(prompts)])
        logits, settled = torch.empty(0, device=device), True
        while waiting or len(responses.alive):
            if not decoder.grows and not len(logits):
                decoder.open(length, limit)
            for piece in self._pieces(waiting, responses) if settled else ():
                fresh = decoder.join([prompts[i] for i in piece], n)
                responses.join(piece)
                answers.join(piece, n)
                logits = torch.cat([logits, fresh]) if len(logits) else fresh
                self._tell(responses)
            token, logp = draw(answers.mask(logits), sampling.temperature, uniform[responses.alive, responses.at])
            responses.put(token, logp)
            answers.advance(token)
            self._tell(responses)
            going = responses.settle()
            settled = going is not None
            if going is not None:
                decoder.keep(going)
                answers.keep(going)
                token = token[going]
            logits = decoder.step(token) if len(token) else logits[:0]
        decoder.close()
        return responses.records(self.weight_version)

    def _pieces(self, waiting: Waiting, responses: Responses) -> Iterable[list[int]]:
        """Places of the prompts that are read now."""
        if self.decoder.grows:
            return waiting.take(responses.decoded(), PIECE[self.policy.device.type])
        return [] if len(responses.alive) or not waiting else [waiting.take_whole(not self.pads)]

    def _room(self) -> int:
        """Bytes of keys and values at once."""
        device = self.policy.device
        if self.cache_gb or device.type == "cpu":
            return int((self.cache_gb or CACHE_GB) * 2**30)
        return int(CACHE_SHARE * torch.cuda.mem_get_info(device)[0])

    def _tell(self, responses: Responses) -> None:
        if self.watch is not None:
            self.watch(responses.finished, responses.longest)
