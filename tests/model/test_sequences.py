"""Layouts: packed rows, shared prompts and checkpointing change no log-prob and no gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import AttentionInterface

from rerec_engine.model import memory
from rerec_engine.model import packed_attention as packing
from rerec_engine.model.critic import Critic
from rerec_engine.model.memory import checkpointed, enable_checkpointing, on_device
from rerec_engine.model.packed_attention import NAME, Blocks, enable_packing
from rerec_engine.model.sequences import response_states, take_rows
from rerec_engine.ops import token_logprob
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.types import Sampling

SLIDING = {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1}
MODELS = [("qwen2", {}), ("llama", {}), ("gpt2", {}), ("qwen2", SLIDING)]
IDS = ["qwen2", "llama", "gpt2", "sliding"]


def rows_of(vocabulary=260, groups=((7, (5, 1, 12)), (1, (3, 3)), (13, (4,)), (9, (1,))), seed=0):
    """Groups of a prompt and its responses, by their lengths; the first two groups' rows come mixed."""
    rng = np.random.default_rng(seed)
    rows = []
    for prompt, responses in groups:
        ids = rng.integers(5, vocabulary, prompt).tolist()
        rows += [(ids, rng.integers(5, vocabulary, n)) for n in responses]
    rows[1], rows[3] = rows[3], rows[1]
    return rows


def found(policy, rows, packed=False):
    """Log-probs of all response tokens, and the gradient of their weighted sum."""
    policy.model.zero_grad()
    hidden, targets = response_states(policy.body, rows, policy.pad_id, packed)
    logp = token_logprob(hidden, policy.head, targets).logp
    (logp * torch.linspace(-1, 1, len(logp))).sum().backward()
    return logp.detach(), torch.cat([p.grad.flatten() for p in policy.model.parameters()])


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "options"), MODELS, ids=IDS)
def test_packing_changes_nothing(tiny_policy, architecture, options):
    policy, rows = tiny_policy(architecture, **options), rows_of()
    padded, gradient = found(policy, rows)
    alone = torch.cat([found(policy, [row])[0] for row in rows])
    assert enable_packing(policy.model)
    packed, packed_gradient = found(policy, rows, packed=True)
    assert (padded - alone).abs().max() < 1e-5
    assert (packed - alone).abs().max() < 1e-5
    assert gradient.abs().max() > 0.1
    assert (packed_gradient - gradient).abs().max() < 1e-5 * gradient.abs().max()
    again, again_gradient = found(policy, rows)  # padded, by the same model
    assert torch.equal(again, padded)
    assert torch.equal(again_gradient, gradient)


def test_rows_in_any_order_and_of_any_kind(tiny_policy):
    policy, rows = tiny_policy(), rows_of()
    enable_packing(policy.model)
    whole = found(policy, rows, packed=True)[0].split([len(r) for _, r in rows])
    order = np.random.default_rng(1).permutation(len(rows))
    mixed = found(policy, [(np.array(rows[i][0]), rows[i][1].tolist()) for i in order], packed=True)[0]
    assert (torch.cat([whole[i] for i in order]) - mixed).abs().max() < 1e-5
    with_empty = found(policy, [*rows, (rows[0][0], []), ([5, 6], [])], packed=True)[0]
    assert (with_empty - torch.cat(whole)).abs().max() < 1e-5


@pytest.mark.parametrize("architecture", ["qwen2", "gpt2"])
def test_what_is_not_packed_goes_on_as_before(tiny_policy, architecture, tmp_path):
    asked = [ids for ids, _ in rows_of()]
    found = []
    for enable in (False, True):
        policy = tiny_policy(architecture)
        assert not enable or enable_packing(policy.model)
        ids = torch.tensor([asked[0]])
        greedy = policy.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False)
        rollouts = Sampler(policy).generate(asked, 2, Sampling(8, 1.0, seed=1))
        found.append((greedy.tolist(), [r.token_ids for r in rollouts], [r.logprobs for r in rollouts]))
    assert found[0] == found[1]
    policy.save(tmp_path)
    assert NAME not in (tmp_path / "config.json").read_text()


def test_the_critic_is_packed_like_the_policy(tiny_policy):
    policy, rows = tiny_policy(), rows_of()
    enable_packing(policy.model)
    body = Critic(policy).body
    padded, _ = response_states(body, rows, policy.pad_id)
    packed, _ = response_states(body, rows, policy.pad_id, packed=True)
    assert (padded - packed).abs().max() < 1e-5


def test_models_that_cannot(tiny_policy):
    eager = tiny_policy()
    eager.model.set_attn_implementation("eager")
    assert not enable_packing(eager.model)
    other = tiny_policy()
    other.model.config.layer_types = ["full_attention", "linear_attention"]
    assert not enable_packing(other.model)
    closed = tiny_policy()
    closed.model._supports_attention_backend = False
    assert not enable_packing(closed.model)
    assert enable_packing(tiny_policy("llama").model)


def test_a_model_that_loses_arguments_is_noticed(tiny_policy):
    policy = tiny_policy()
    enable_packing(policy.model)
    policy.body.forward = lambda **inputs: policy.model.get_decoder()(inputs["input_ids"])
    with pytest.raises(ValueError, match=r"model\.packing off"):
        response_states(policy.body, rows_of(), policy.pad_id, packed=True)


@pytest.mark.parametrize("wants", [{"softcap": 30.0}, {"s_aux": torch.zeros(4)}, {"dropout": 0.1}])
def test_attention_that_is_not_plain_is_refused(wants):
    x, blocks = torch.zeros(1, 2, 3, 4), Blocks((3,), (-1,), torch.device("cpu"))
    with pytest.raises(ValueError, match=r"model\.packing off"):
        packing.packed_attention(torch.nn.Identity(), x, x, x, None, blocks=blocks, **wants)


def exact_varlen(q, k, v, cu_q, cu_k, max_q, max_k, scale, window):
    """Attention from a varlen kernel's arguments: q [N, H, D], k and v [M, K, D], causal, aligned at the last query."""
    assert cu_q.dtype == cu_k.dtype == torch.int32
    assert (max_q, max_k) == (int(cu_q.diff().max()), int(cu_k.diff().max()))
    assert (int(cu_q[-1]), int(cu_k[-1])) == (len(q), len(k))
    out = []
    for i in range(len(cu_q) - 1):
        queries, keys, values = q[cu_q[i] : cu_q[i + 1]], k[cu_k[i] : cu_k[i + 1]], v[cu_k[i] : cu_k[i + 1]]
        ahead = torch.arange(len(keys))[None] - torch.arange(len(queries))[:, None] - (len(keys) - len(queries))
        mask = (ahead <= 0) & (ahead >= -window) if window >= 0 else ahead <= 0
        shape = [x.transpose(0, 1)[None] for x in (queries, keys, values)]
        out.append(
            F.scaled_dot_product_attention(*shape, attn_mask=mask, scale=scale, enable_gqa=True)[0].transpose(0, 1)
        )
    return torch.cat(out)


@pytest.mark.parametrize(("architecture", "options"), MODELS, ids=IDS)
def test_what_torchs_varlen_kernel_is_given(tiny_policy, architecture, options, monkeypatch):
    """The kernel itself wants CUDA; here an exact attention takes its arguments."""
    calls = []

    def kernel(q, k, v, cu_q, cu_k, max_q, max_k, *, scale, window_size, enable_gqa):
        calls.append(window_size)
        assert all(x.is_contiguous() for x in (q, k, v))
        assert window_size[1] == 0
        assert enable_gqa == (q.shape[1] != k.shape[1])
        return exact_varlen(q, k, v, cu_q, cu_k, max_q, max_k, scale, window_size[0])

    monkeypatch.setattr(packing, "varlen_attn", kernel)
    monkeypatch.setattr(packing, "_fused", lambda query, dtype: True)
    policy, rows = tiny_policy(architecture, **options), rows_of()
    padded, gradient = found(policy, rows)
    enable_packing(policy.model)
    packed, packed_gradient = found(policy, rows, packed=True)
    assert calls == [(-1, 0), (5 if options else -1, 0)]
    assert (packed - padded).abs().max() < 1e-5
    assert (packed_gradient - gradient).abs().max() < 1e-5 * gradient.abs().max()


@pytest.mark.parametrize(
    ("architecture", "options"), [MODELS[0], MODELS[1], MODELS[3]], ids=["qwen2", "llama", "sliding"]
)
def test_what_transformers_flash_attention_is_given(tiny_policy, architecture, options):
    """flash-attn itself wants CUDA; here an exact attention takes the arguments that reach transformers' function."""
    calls = []

    def flash(module: Any, query, key, value, attention_mask, scaling, sliding_window=None, **kwargs: Any):
        assert attention_mask is None
        names = ("cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k")
        q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
        window = sliding_window - 1 if sliding_window else -1
        calls.append((kwargs["cu_seq_lens_q"].tolist(), kwargs["position_ids"].tolist()))
        return exact_varlen(q, k, v, *(kwargs[n] for n in names), scaling, window)[None], None

    AttentionInterface.register("flash_stub", flash)
    policy, rows = tiny_policy(architecture, **options), rows_of()
    padded, _ = found(policy, rows)
    policy.model.config._attn_implementation = "flash_stub"  # its own setter asks for flash-attn
    assert enable_packing(policy.model)
    packed, _ = found(policy, rows, packed=True)
    sizes = [len(p) + len(r) for p, r in rows]
    assert calls[0][0] == np.cumsum([0, *sizes]).tolist()
    assert calls[0][1] == [[i for n in sizes for i in range(n)]]
    assert (packed - padded).abs().max() < 1e-5


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("architecture", ["qwen2", "gpt2"])
def test_checkpointing_runs_layers_again_and_changes_nothing(tiny_policy, architecture, packed):
    policy, rows = tiny_policy(architecture), rows_of()  # GPT-2 has dropout where it is not switched off
    enable_packing(policy.model)
    before = found(policy, rows, packed)
    enable_checkpointing(policy.model)
    inner = next(m for n, m in policy.model.named_modules() if n.endswith(("q_proj", "c_attn")))
    calls = []
    inner.register_forward_hook(lambda *_: calls.append(inner.training))
    assert torch.equal(found(policy, rows, packed)[0], before[0])
    assert calls == [False]
    calls.clear()
    with checkpointed(policy.model):
        after = found(policy, rows, packed)
    assert calls == [False, False]
    assert torch.equal(after[0], before[0])
    assert torch.equal(after[1], before[1])
    assert not any(module.training for module in policy.model.modules())


def test_on_device_brings_weights_and_takes_them_back(tiny_policy, monkeypatch):
    policy = tiny_policy(tie_word_embeddings=True)
    model = policy.model
    with pytest.raises(ValueError, match="frozen"), on_device(model, torch.device("meta")):
        pass
    model.requires_grad_(False)
    before = [(x, x.data_ptr(), x.clone()) for x in [*model.parameters(), *model.buffers()]]
    with on_device(model, torch.device("cpu")):  # where it is already
        assert all(x.data_ptr() == place for x, place, _ in before)
    monkeypatch.setattr(memory, "_copy", lambda x, device: x + 1)  # another device, as far as a CPU can tell
    with on_device(model, torch.device("meta")):
        assert all(torch.equal(x, kept + 1) for x, _, kept in before)
        assert model.lm_head.weight is model.model.embed_tokens.weight
    assert all(x.data_ptr() == place and torch.equal(x, kept) for x, place, kept in before)


def test_gradient_of_shared_positions_is_the_same_every_time():
    """Advanced indexing adds up its gradient in the threads' order: some of a thousand passes differed."""
    threads, places, at = torch.get_num_threads(), [], 0
    for _ in range(7):
        prompt, at = torch.tensor([at + 99]), at + 100
        for _ in range(8):
            places += [prompt, torch.arange(at, at + 59)]
            at += 60
    index = torch.cat(places)
    incoming = torch.randn(len(index), 128, generator=torch.Generator().manual_seed(0))
    states = torch.randn(at, 128, requires_grad=True)
    expected = torch.zeros(at, 128, dtype=torch.float64).index_add(0, index, incoming.double())
    torch.set_num_threads(8)
    try:
        assert torch.equal(take_rows(states, index), states[index])
        (first,) = torch.autograd.grad(take_rows(states, index), states, incoming)
        torch.testing.assert_close(first.double(), expected, rtol=1e-5, atol=1e-6)
        for _ in range(300):
            (again,) = torch.autograd.grad(take_rows(states, index), states, incoming)
            assert torch.equal(again, first)
    finally:
        torch.set_num_threads(threads)
