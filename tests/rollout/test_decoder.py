"""The logits of both decoders against the model's own forward pass over each sequence alone."""

from __future__ import annotations

import pytest
import torch

from rerec_engine.model.output import Output
from rerec_engine.rollout.cache import TorchCache
from rerec_engine.rollout.decoder import FusedDecoder, GenericDecoder, make_decoder

LENGTHS = [5, 1, 9]
KINDS = [("qwen2", FusedDecoder), ("llama", FusedDecoder), ("qwen2", GenericDecoder), ("gpt2", GenericDecoder)]


def begun(decoder, prompts, n=1, max_new=8, common=()):
    """Logits of the next tokens, all prompts read at once."""
    decoder.open(max(map(len, prompts)) + max_new, max_new, common)
    return decoder.join(prompts, n)


def prompts_of(policy, lengths=LENGTHS, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(5, len(policy.tokenizer), (k,), generator=generator).tolist() for k in lengths]


def whole(policy, sequences):
    """Logits of the next token of each sequence, [rows, V]."""
    with torch.no_grad():
        return torch.stack([policy.model(torch.tensor([sequence])).logits[0, -1] for sequence in sequences])


def apart(found, policy, sequences) -> float:
    assert found.shape == (len(sequences), policy.head.shape[0])
    return float((found - whole(policy, sequences)).abs().max())


@pytest.mark.parametrize(("architecture", "kind"), KINDS)
def test_prompts_then_tokens_then_what_is_kept(tiny_policy, architecture, kind):
    policy = tiny_policy(architecture)
    decoder, prompts = kind(policy.model, torch.float32), prompts_of(policy)
    rows = [prompt for prompt in prompts for _ in range(2)]  # prompt-major
    assert apart(begun(decoder, prompts, 2), policy, rows) < 1e-4
    kept = {1: [0, 1, 2, 5], 2: [3], 3: [0]}  # by step: a whole prompt goes, then all but one row; then nothing
    for step in range(5):
        tokens = torch.arange(len(rows)) + 10 + step
        rows = [[*row, int(token)] for row, token in zip(rows, tokens, strict=True)]
        assert apart(decoder.step(tokens), policy, rows) < 1e-4, f"step {step}"
        if step in kept:
            decoder.keep(torch.tensor(kept[step]))
            rows = [rows[i] for i in kept[step]]
    assert rows[0][:9] == prompts[2]


@pytest.mark.parametrize("cache", ["native", "torch"])
@pytest.mark.parametrize("common", [0, 32])
def test_prompts_join_while_others_are_decoded(tiny_policy, monkeypatch, cache, common):
    if cache == "torch":
        monkeypatch.setattr("rerec_engine.rollout.decoder.make_cache", TorchCache)
    policy = tiny_policy("llama", max_position_embeddings=256)
    decoder, (beginning,) = FusedDecoder(policy.model, torch.float32), prompts_of(policy, [max(common, 1)], seed=1)
    beginning = beginning[:common]
    prompts = [beginning + prompt for prompt in prompts_of(policy, [5, 5, 1, 40, 3, 18])]
    decoder.open(max(map(len, prompts)) + 25, 25, beginning)
    rows, logits = [], torch.zeros(0)
    kept = {4: [1, 2, 3, 5], 9: [0], 17: [], 20: [1, 2, 3]}  # by step
    joining = {0: prompts[:2], 3: prompts[2:4], 7: prompts[4:5], 18: prompts[5:] + prompts[:1]}
    for step in range(23):
        if step in joining:
            rows += [prompt for prompt in joining[step] for _ in range(2)]
            logits = torch.cat([logits, decoder.join(joining[step], 2)])
        if rows:
            assert apart(logits, policy, rows) < 1e-4, f"step {step}"
        if step in kept:
            decoder.keep(torch.tensor(kept[step], dtype=torch.long))
            rows = [rows[i] for i in kept[step]]
        tokens = torch.arange(len(rows)) + 10 + step
        rows = [[*row, int(token)] for row, token in zip(rows, tokens, strict=True)]
        logits = decoder.step(tokens) if rows else logits[:0]


def test_a_batch_after_another_begins_anew(tiny_policy):
    policy = tiny_policy()
    decoder = make_decoder(policy.model, torch.float32)
    for seed in range(2):
        prompts = prompts_of(policy, [3, 4, 2, 6][: 2 + 2 * seed], seed)
        assert apart(begun(decoder, prompts), policy, prompts) < 1e-4


@pytest.mark.parametrize("architecture", ["qwen2", "llama", "gpt2"])
def test_refreshed_it_works_with_the_new_weights(tiny_policy, architecture):
    policy = tiny_policy(architecture)
    decoder, prompts = make_decoder(policy.model, torch.float32), prompts_of(policy)
    before = begun(decoder, prompts)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.mul_(torch.rand_like(parameter) + 0.5)
    decoder.refresh()
    after = begun(decoder, prompts)
    assert apart(after, policy, prompts) < 1e-4
    assert (after - before).abs().max() > 0.01


@pytest.mark.parametrize("kind", [FusedDecoder, GenericDecoder])
def test_bf16_arithmetic_gives_fp32_logits_near_the_true_ones(tiny_policy, kind):
    policy = tiny_policy()
    prompts = prompts_of(policy)
    logits = begun(kind(policy.model, torch.bfloat16), prompts)
    assert logits.dtype == torch.float32
    assert 0 < apart(logits, policy, prompts) < 0.1


@pytest.mark.parametrize(
    ("architecture", "options", "kind"),
    [
        ("qwen2", {}, FusedDecoder),
        ("llama", {}, FusedDecoder),
        ("llama", {"attention_bias": True}, FusedDecoder),
        ("llama", {"mlp_bias": True}, GenericDecoder),
        ("llama", {"hidden_act": "gelu"}, GenericDecoder),
        ("llama", {"pretraining_tp": 2}, GenericDecoder),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 0}, GenericDecoder),
        ("gpt2", {}, GenericDecoder),
    ],
    ids=["qwen2", "llama", "bias", "mlp-bias", "gelu", "tensor-parallel", "sliding-window", "gpt2"],
)
def test_what_the_fused_decoder_does_not_know_goes_to_the_generic_one(tiny_policy, architecture, options, kind):
    policy = tiny_policy(architecture, **options)
    decoder, prompts = make_decoder(policy.model, torch.float32), prompts_of(policy)
    assert type(decoder) is kind
    assert apart(begun(decoder, prompts), policy, prompts) < 1e-4
    tokens = torch.tensor([8, 9, 10])
    longer = [[*prompt, int(token)] for prompt, token in zip(prompts, tokens, strict=True)]
    assert apart(decoder.step(tokens), policy, longer) < 1e-4


@pytest.mark.parametrize(("architecture", "kind"), KINDS)
def test_logits_are_capped_where_the_model_caps_them(tiny_policy, architecture, kind):
    policy = tiny_policy(architecture)
    prompts = prompts_of(policy)
    free = whole(policy, prompts)
    found = begun(kind(policy.model, torch.float32, Output(cap=0.5)), prompts)
    assert torch.allclose(found, 0.5 * torch.tanh(free / 0.5), atol=1e-5)
    assert free.abs().max() > 0.5
