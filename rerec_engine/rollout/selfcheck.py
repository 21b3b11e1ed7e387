"""The sampler proves itself: the log-probs of its decoder, its cache and what it drops, against the model's own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from rerec_engine.model.policy import Policy
from rerec_engine.model.selfcheck import BOUNDS, Case, Proof, difference, perturbed, refusal, true_logprobs
from rerec_engine.model.sequences import Row
from rerec_engine.rollout.decoder import Decoder, GenericDecoder
from rerec_engine.rollout.sampler import Sampler

SERVED = "; serve --engine vllm draws with vLLM, where that knows the model"


@torch.inference_mode()
def forced_logprobs(decoder: Decoder, case: Case, policy: Policy, pads: bool) -> Tensor:
    """Log-probs of the case's responses, [T] fp32, when the decoder is handed their tokens one by one.

    Prompts of two lengths stand in one batch where `pads`, two responses each, and join one after the other where the
    decoder lets them; a response that has ended is dropped.
    """
    pairs = [case.rows[:2], case.rows[2:]]
    return torch.cat([_forced(decoder, part, policy) for part in ([case.rows] if pads else pairs)])


def _forced(decoder: Decoder, rows: Sequence[Row], policy: Policy) -> Tensor:
    longest = max(len(response) for _, response in rows)
    decoder.open(max(len(prompt) for prompt, _ in rows) + longest, longest)
    found: list[list[Tensor]] = [[] for _ in rows]
    alive: list[int] = []
    joining = [range(0, 2), range(2, len(rows))] if decoder.grows and len(rows) > 2 else [range(len(rows))]
    logits = policy.head.new_zeros(0)
    while alive or joining:
        if joining:
            alive += (fresh := joining.pop(0))
            first = decoder.join([rows[i][0] for i in fresh[::2]], 2)
            logits = torch.cat([logits, first]) if len(logits) else first
        tokens = torch.tensor([rows[i][1][len(found[i])] for i in alive], device=policy.device)
        logp = logits.log_softmax(-1).gather(1, tokens[:, None])[:, 0]
        for place, i in enumerate(alive):
            found[i].append(logp[place])
        going = [place for place, i in enumerate(alive) if len(rows[i][1]) > len(found[i])]
        if len(going) < len(alive):
            alive, tokens = [alive[place] for place in going], tokens[going]
            decoder.keep(torch.tensor(going, dtype=torch.long, device=policy.device))
        logits = decoder.step(tokens) if alive else logits[:0]
    decoder.close()
    return torch.stack([value for values in found for value in values])


def prove_sampler(sampler: Sampler, source: Policy | None = None, remedy: str = SERVED) -> Proof:
    """Let the sampler agree with the model's own log-probs: with its decoder, else the generic one, else without
    padding. Raises UserError with the remedy where nothing does.

    source: the policy whose weights the sampler has, where that is another object.
    """
    policy = source or sampler.policy
    case = Case(policy)
    with perturbed(policy):
        if policy.adapted:
            sampler.update_weights(sampler.weight_version)
        proof = _prove(sampler, case, true_logprobs(policy, case), remedy)
    if policy.adapted:
        sampler.update_weights(sampler.weight_version)
    return proof


def _prove(sampler: Sampler, case: Case, truth: Tensor, remedy: str) -> Proof:
    policy = sampler.policy
    generic = GenericDecoder(policy.model, policy.dtype, policy.output)
    ways: list[tuple[Decoder, bool]] = [(sampler.decoder, True), (generic, True), (generic, False)]
    failed: list[tuple[float, str]] = []
    for decoder, pads in ways[isinstance(sampler.decoder, GenericDecoder) :]:
        apart, why = difference(partial(forced_logprobs, decoder, case, policy, pads), truth)
        if apart <= BOUNDS[policy.dtype]:
            sampler.decoder, sampler.pads = decoder, pads
            return Proof(apart)
        failed.append((apart, why))
    raise refusal(policy, "the built-in sampler", *failed[0], remedy)
