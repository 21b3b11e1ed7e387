"""The built-in rollout engine: batched sampling on a KV cache, on any device, from the policy's own weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Sequence

import torch
from torch import Tensor

from rerec_engine.model.policy import Policy
from rerec_engine.model.selfcheck import Proof
from rerec_engine.rollout.decoder import make_decoder
from rerec_engine.types import Rollout, Sampling

COMPACT_EVERY = 8
COMPACT_SHARE = 0.15
BLOCK = 64  # tokens of the vocabulary whose mass is summed in float32


def draw(logits: Tensor, temperature: float, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """One token a row by inversion of the distribution function, or the most likely one at temperature 0.

    logits [B, V] fp32, uniform [B] float64 in [0, 1). Returns tokens [B] int64 and their log-probs [B] fp32, nats,
    under the distribution at `temperature` (1 where greedy).
    """
    if temperature == 0:
        tokens = logits.argmax(-1)
    else:
        logits = logits if temperature == 1 else logits / temperature
        tokens = None
    rows, size = logits.shape
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


class Sampler:
    """Generates with the live policy. A response's draws depend on the seed and its place in the call alone."""

    watch: Callable[[int, int], None] | None = None
    """Called after each token of `generate`: responses finished so far in the call, tokens of those that go on."""
    pads = True
    """Whether prompts of several lengths are decoded at once. Some models' states do not stand padding."""
    proof = Proof()
    """See `rollout.selfcheck`."""

    def __init__(self, policy: Policy, max_rows: int = 1024, version: int = 0) -> None:
        self.policy = policy
        self.max_rows = max_rows
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
        uniform = uniform[sampling.first * n :].to(self.policy.device)
        found: dict[int, list[Rollout]] = {}  # by prompt
        for part in self._parts(prompts, max(1, self.max_rows // n)):
            drawn = uniform.view(len(prompts), n, -1)[part].flatten(0, 1)
            rollouts = self._generate([prompts[i] for i in part], n, sampling, drawn, done=len(found) * n)
            found |= {i: rollouts[k * n : (k + 1) * n] for k, i in enumerate(part)}
        return [rollout for i in range(len(prompts)) for rollout in found[i]]

    def _parts(self, prompts: Sequence[Sequence[int]], at_once: int) -> list[list[int]]:
        """Which prompts are decoded at once."""
        groups: dict[int, list[int]] = {}
        for i, prompt in enumerate(prompts):
            groups.setdefault(0 if self.pads else len(prompt), []).append(i)
        return [group[k : k + at_once] for group in groups.values() for k in range(0, len(group), at_once)]

    def stream(self, prompt: Sequence[int], sampling: Sampling) -> Generator[int, None, None]:
        """Token ids of one response as they are drawn, the end token left out."""
        generator = torch.Generator().manual_seed(sampling.seed)
        logits = self._prefill([prompt], 1, sampling.max_new_tokens)
        for t in range(sampling.max_new_tokens):
            uniform = torch.rand(1, generator=generator, dtype=torch.float64).to(logits.device)
            token, _ = draw(logits, sampling.temperature, uniform)
            if int(token) in self.policy.end_ids:
                return
            yield int(token)
            if t + 1 < sampling.max_new_tokens:
                logits = self.decoder.step(token)

    def _prefill(self, prompts: Sequence[Sequence[int]], n: int, max_new: int) -> Tensor:
        width = max(map(len, prompts))
        ids = torch.full((len(prompts), width), self.policy.pad_id)
        valid = torch.zeros(len(prompts), width, dtype=torch.bool)
        for i, prompt in enumerate(prompts):
            ids[i, width - len(prompt) :] = torch.as_tensor(prompt)
            valid[i, width - len(prompt) :] = True
        device = self.policy.device
        return self.decoder.prefill(ids.to(device), valid.to(device), n, max_new)

    @torch.inference_mode()
    def _generate(
        self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling, uniform: Tensor, done: int
    ) -> list[Rollout]:
        """done: responses of the call before these."""
        rows, limit, device = len(prompts) * n, sampling.max_new_tokens, self.policy.device
        ends = torch.tensor(self.policy.end_ids, device=device)
        tokens = torch.zeros(rows, limit, dtype=torch.long, device=device)
        logprobs = torch.zeros(rows, limit, device=device)
        length = torch.full((rows,), limit, device=device)
        stopped = torch.zeros(rows, dtype=torch.bool, device=device)
        alive = torch.arange(rows, device=device)  # rows still decoded; some may have stopped since the last compaction
        logits = self._prefill(prompts, n, limit)
        for t in range(limit):
            token, logp = draw(logits, sampling.temperature, uniform[alive, t])
            tokens[alive, t], logprobs[alive, t] = token, logp
            ended = alive[torch.isin(token, ends) & ~stopped[alive]]
            length[ended], stopped[ended] = t + 1, True
            if self.watch is not None:
                self.watch(done + int(stopped.sum()), t + 1)
            if t + 1 == limit:
                break
            if t % COMPACT_EVERY == COMPACT_EVERY - 1 or bool(stopped.all()):
                going = (~stopped[alive]).nonzero()[:, 0]
                if len(going) == 0:
                    break
                if len(going) < (1 - COMPACT_SHARE) * len(alive):
                    alive, token = alive[going], token[going]
                    self.decoder.keep(going)
            logits = self.decoder.step(token)
        return self._records(tokens, logprobs, length, stopped)

    def _records(self, tokens: Tensor, logprobs: Tensor, length: Tensor, stopped: Tensor) -> list[Rollout]:
        ids, lps = tokens.tolist(), logprobs.tolist()
        return [
            Rollout(ids[i][:k], lps[i][:k], "stop" if stop else "length", self.weight_version)
            for i, (k, stop) in enumerate(zip(length.tolist(), stopped.tolist(), strict=True))
        ]
