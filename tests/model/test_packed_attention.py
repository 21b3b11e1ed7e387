"""Attention over packed rows, alone and in a model: against a mask over the whole row in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from packed_rows import IDS, MODELS, exact_varlen, found, rows_of

from rerec_engine.model import packed_attention as packing
from rerec_engine.model.packed_attention import NAME, Blocks, enable_packing, is_flash, packed_attention
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.types import Sampling


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


@pytest.mark.parametrize("wants", [{"softcap": 30.0}, {"s_aux": torch.zeros(4)}, {"dropout": 0.1}])
def test_attention_that_is_not_plain_is_refused(wants):
    x, blocks = torch.zeros(1, 2, 3, 4), Blocks((3,), (-1,), torch.device("cpu"))
    with pytest.raises(ValueError, match=r"model\.packing off"):
        packed_attention(torch.nn.Identity(), x, x, x, None, blocks=blocks, **wants)


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


CPU = torch.device("cpu")


@st.composite
def blocks_of(draw: st.DrawFn) -> Blocks:
    """Blocks on their own, and blocks that go on from one before them which has no prefix itself."""
    lengths = draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    prefix: list[int] = []
    for i in range(len(lengths)):
        prefix.append(draw(st.sampled_from([-1, *(p for p in range(i) if prefix[p] < 0)])))
    return Blocks(tuple(lengths), tuple(prefix), CPU)


def visible(blocks: Blocks, window: int | None) -> torch.Tensor:
    """Which tokens of the row each token sees, [N, N]: by the words of `Blocks`, token by token."""
    places, at = [], 0
    for n in blocks.lengths:
        places.append(list(range(at, at + n)))
        at += n
    seen = torch.zeros(at, at, dtype=torch.bool)
    for own, p in zip(places, blocks.prefix, strict=True):
        before = places[p] if p >= 0 else []
        for i, token in enumerate(own):
            keys = (before + own[: i + 1])[-window if window else 0 :]
            seen[token, keys] = True
    return seen


@settings(max_examples=60)
@given(blocks_of(), st.sampled_from([None, 1, 2, 4, 100]), st.sampled_from([(2, 2), (4, 2), (3, 1)]))
def test_equals_a_mask_over_the_whole_row(blocks: Blocks, window: int | None, heads: tuple[int, int]) -> None:
    g, tokens = torch.Generator().manual_seed(0), sum(blocks.lengths)
    q, k, v = (torch.randn(1, n, tokens, 4, generator=g, dtype=torch.float64) for n in (heads[0], heads[1], heads[1]))
    ours, weights = packed_attention(torch.nn.Identity(), q, k, v, None, 0.3, window, blocks)
    assert weights is None
    assert blocks.used
    shared = heads[0] // heads[1]
    scores = 0.3 * q @ k.repeat_interleave(shared, 1).transpose(2, 3)
    scores = scores.masked_fill(~visible(blocks, window), -torch.inf)
    expected = scores.softmax(-1) @ v.repeat_interleave(shared, 1)
    torch.testing.assert_close(ours, expected.transpose(1, 2))


@settings(max_examples=60)
@given(blocks_of())
def test_bounds_and_keys_are_those_of_the_blocks(blocks: Blocks) -> None:
    seen = visible(blocks, None)
    queries, keys = blocks.bounds
    assert queries.dtype == keys.dtype == torch.int32
    assert queries.diff().tolist() == list(blocks.lengths)
    assert keys.diff().tolist() == blocks.key_lengths
    index = blocks.key_index
    if index is None:
        assert max(blocks.prefix) == -1
        index = torch.arange(sum(blocks.lengths))
    for block, last in enumerate(queries[1:].tolist()):
        assert index[keys[block] : keys[block + 1]].tolist() == seen[last - 1].nonzero().flatten().tolist()


def test_the_documented_example() -> None:
    blocks = Blocks((3, 2, 4, 5), (-1, 0, 0, -1), CPU)
    assert blocks.key_lengths == [3, 5, 7, 5]
    assert blocks.key_index.tolist() == [0, 1, 2, *(0, 1, 2, 3, 4), *(0, 1, 2, 5, 6, 7, 8), *range(9, 14)]
    inf = torch.inf
    assert blocks.mask(1, None, torch.float32).tolist() == [[0, 0, 0, 0, -inf], [0, 0, 0, 0, 0]]
    assert blocks.mask(1, 2, torch.float32).tolist() == [[-inf, -inf, 0, 0, -inf], [-inf, -inf, -inf, 0, 0]]
    assert blocks.mask(1, 2, torch.bfloat16).dtype == torch.bfloat16


def test_without_blocks_it_is_transformers_own_attention() -> None:
    q, k, v = torch.randn(3, 2, 2, 5, 4)
    module = torch.nn.Identity()
    module.is_causal = True
    ours, _ = packed_attention(module, q, k, v, None, scaling=0.7)
    expected = (0.7 * q @ k.transpose(2, 3)).masked_fill(~torch.ones(5, 5).tril().bool(), -torch.inf).softmax(-1) @ v
    torch.testing.assert_close(ours, expected.transpose(1, 2))


def test_autocast_reaches_it() -> None:
    x = torch.randn(1, 2, 3, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, _ = packed_attention(torch.nn.Identity(), x, x, x, None, blocks=Blocks((3,), (-1,), CPU))
    assert found.dtype == torch.bfloat16


def test_a_model_that_packs_is_asked_twice_without_harm(tiny_policy):
    model = tiny_policy().model
    assert enable_packing(model)
    assert enable_packing(model)
    assert model.config._attn_implementation == NAME


@pytest.mark.parametrize(
    "name, flash",
    [("flash_attention_2", True), ("kernels-community/flash-attn3", True), ("sdpa", False), (NAME, False)],
)
def test_flash_attention_goes_by_its_name(name: str, flash: bool) -> None:
    assert is_flash(name) is flash
