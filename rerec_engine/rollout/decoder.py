"""Incremental decoding of a batch: prompts once, then one token a step, on a KV cache that can drop finished rows.

`FusedDecoder` runs Qwen2 and Llama straight from the policy's weights, with one matrix product for q, k, v and one for
gate and up; `GenericDecoder` runs any causal LM through its own forward. Both return fp32 logits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DynamicCache, LlamaForCausalLM, PreTrainedModel, Qwen2ForCausalLM

from rerec_engine.lora import effective_weight

KeysValues = tuple[Tensor, Tensor]
"""Of one layer, [batch, kv_heads, length, D] each."""


class Decoder(Protocol):
    """B prompts, n responses each; afterwards rows are responses, prompt-major."""

    def prefill(self, ids: Tensor, valid: Tensor, n: int, max_new: int) -> Tensor:
        """ids, valid [B, P], padded on the left -> logits of the next token [B * n, V]."""
        ...

    def step(self, tokens: Tensor) -> Tensor:
        """tokens [rows] -> logits of the next token [rows, V]."""
        ...

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only (int64 indices)."""
        ...

    def refresh(self) -> None:
        """The policy's weights have changed."""
        ...


def make_decoder(model: PreTrainedModel, dtype: torch.dtype) -> Decoder:
    """The fused decoder where the architecture allows it, else the generic one."""
    config = model.config
    plain = isinstance(model, Qwen2ForCausalLM | LlamaForCausalLM) and config.hidden_act == "silu"
    sliding = getattr(config, "use_sliding_window", False)
    tensor_parallel = getattr(config, "pretraining_tp", 1) not in (None, 1)
    mlp_bias = getattr(config, "mlp_bias", False)
    fused = plain and not (sliding or tensor_parallel or mlp_bias)
    return FusedDecoder(model, dtype) if fused else GenericDecoder(model, dtype)


def _concat(dtype: torch.dtype, *linears: torch.nn.Linear) -> tuple[Tensor, Tensor | None]:
    weight = torch.cat([effective_weight(layer) for layer in linears]).to(dtype)
    biased = linears[0].bias is not None
    return weight, torch.cat([layer.bias for layer in linears]).to(dtype) if biased else None


class FusedDecoder:
    """Qwen2 and Llama. Grouped queries, and a prompt's responses, are folded into the query dimension, so that keys and
    values are never repeated."""

    def __init__(self, model: PreTrainedModel, dtype: torch.dtype) -> None:
        self.model: Any = model
        self.dtype = dtype
        config = model.config
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim = getattr(config, "head_dim", None) or config.hidden_size // self.heads
        self.eps = config.rms_norm_eps
        self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        body = self.model.model
        dtype = self.dtype
        self.layers = [
            (
                layer.input_layernorm.weight.to(dtype),
                _concat(dtype, layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj),
                _concat(dtype, layer.self_attn.o_proj),
                layer.post_attention_layernorm.weight.to(dtype),
                _concat(dtype, layer.mlp.gate_proj, layer.mlp.up_proj)[0],
                effective_weight(layer.mlp.down_proj).to(dtype),
            )
            for layer in body.layers
        ]
        self.embedding, self.norm = body.embed_tokens.weight.to(dtype), body.norm.weight.to(dtype)
        self.head = self.model.lm_head.weight.to(dtype).float()

    @torch.inference_mode()
    def prefill(self, ids: Tensor, valid: Tensor, n: int, max_new: int) -> Tensor:
        batch, width = ids.shape
        device, kind = ids.device, self.embedding.dtype
        positions = (valid.long().cumsum(1) - 1).clamp(min=0)  # [B, P]
        table = torch.arange(width + max_new, device=device)[None]
        cos, sin = self.model.model.rotary_emb(torch.empty(1, dtype=kind, device=device), table)
        low, high = sin[0].chunk(2, -1)
        self.rotary = cos[0], torch.cat([-low, high], -1)  # [P + new, D] each
        ahead = torch.ones(width, width, dtype=torch.bool, device=device).tril()
        self.mask = ahead & valid[:, None, None] | torch.eye(width, dtype=torch.bool, device=device)  # [B, 1, P, P]
        self.prompts: list[KeysValues] = []
        logits = self._forward(ids, positions, self._attend_to_prompt)
        shape = (batch * n, self.kv_heads, max_new, self.head_dim)
        self.cache = [(torch.empty(shape, dtype=kind, device=device), torch.empty(shape, dtype=kind, device=device))]
        self.cache += [(torch.empty_like(k), torch.empty_like(v)) for k, v in self.cache * (len(self.layers) - 1)]
        self.filled = 0
        self.position = positions[:, -1].repeat_interleave(n) + 1  # [rows]
        self.owner = torch.arange(batch, device=device).repeat_interleave(n)  # [rows], the prompt of each
        self.slots, self.place = n, torch.arange(batch * n, device=device)  # see _by_prompt
        blocked = torch.zeros(batch, 1, 1, width, dtype=kind, device=device)
        self.blocked = blocked.masked_fill_(~valid[:, None, None], float("-inf"))
        return logits.repeat_interleave(n, 0)

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        logits = self._forward(tokens[:, None], self.position[:, None], self._attend_to_all)
        self.filled += 1
        self.position = self.position + 1
        return logits

    @torch.inference_mode()
    def keep(self, rows: Tensor) -> None:
        self.cache = [(self._kept(k, rows), self._kept(v, rows)) for k, v in self.cache]
        self.position = self.position[rows]
        left, self.owner = torch.unique(self.owner[rows], return_inverse=True)
        if len(left) < len(self.blocked):
            self.prompts = [(k[left], v[left]) for k, v in self.prompts]
            self.blocked = self.blocked[left]
        count = torch.bincount(self.owner)
        first = count.cumsum(0) - count
        self.slots = int(count.max())
        self.place = self.owner * self.slots + torch.arange(len(rows), device=rows.device) - first[self.owner]

    def _kept(self, x: Tensor, rows: Tensor) -> Tensor:
        fresh = x.new_empty(len(rows), *x.shape[1:])
        fresh[:, :, : self.filled] = x[:, :, : self.filled][rows]
        return fresh

    def _forward(
        self, ids: Tensor, positions: Tensor, attend: Callable[[int, Tensor, Tensor, Tensor], Tensor]
    ) -> Tensor:
        rows, width = ids.shape
        heads, kv_heads, dim = self.heads, self.kv_heads, self.head_dim
        x = F.embedding(ids.flatten(), self.embedding)  # [rows * width, H]
        cos, sin = (t[positions.flatten()][:, None] for t in self.rotary)
        size = (x.shape[-1],)
        for i, (norm, (qkv, qkv_bias), out, mlp_norm, gate_up, down) in enumerate(self.layers):
            h = F.linear(F.rms_norm(x, size, norm, self.eps), qkv, qkv_bias)
            h = h.view(len(h), heads + 2 * kv_heads, dim)
            qk = h[:, : heads + kv_heads]
            qk = torch.addcmul(qk * cos, qk.roll(dim // 2, -1), sin)
            h = torch.cat([qk, h[:, heads + kv_heads :]], 1).view(rows, width, heads + 2 * kv_heads, dim)
            a = attend(i, *h.transpose(1, 2).split([heads, kv_heads, kv_heads], 1))
            x = x + F.linear(a, *out)
            gate, up = F.linear(F.rms_norm(x, size, mlp_norm, self.eps), gate_up).chunk(2, -1)
            x = x + F.linear(F.silu(gate) * up, down)
        last = x.view(rows, width, -1)[:, -1]
        return F.linear(F.rms_norm(last, size, self.norm, self.eps).float(), self.head)

    def _attend_to_prompt(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q [B, heads, P, D], k and v [B, kv_heads, P, D] -> [B * P, heads * D]; keeps k and v."""
        self.prompts.append((k.contiguous(), v.contiguous()))
        a = F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask, enable_gqa=True)
        return a.transpose(1, 2).reshape(-1, self.heads * self.head_dim)

    def _attend_to_all(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q [rows, heads, 1, D], k and v [rows, kv_heads, 1, D] -> [rows, heads * D].

        A prompt's keys and values are read once for all of its responses.
        """
        rows, kv_heads, end = len(q), self.kv_heads, self.filled + 1
        keys, values = self.cache[layer]
        keys[:, :, self.filled] = k[:, :, 0]
        values[:, :, self.filled] = v[:, :, 0]
        prompt_keys, prompt_values = self.prompts[layer]
        q = q.reshape(rows, kv_heads, -1, self.head_dim) * self.head_dim**-0.5  # [rows, kv_heads, groups, D]
        to_prompt = self._by_prompt(q) @ prompt_keys.transpose(2, 3) + self.blocked  # [B, kv_heads, slots * groups, P]
        to_new = q @ keys[:, :, :end].transpose(2, 3)  # [rows, kv_heads, groups, end]
        scores = torch.cat([self._by_row(to_prompt), to_new], -1)
        weights = torch.softmax(scores, -1, dtype=torch.float32).to(q.dtype)
        of_prompt, of_new = weights.split([prompt_keys.shape[2], end], -1)
        a = self._by_row(self._by_prompt(of_prompt) @ prompt_values) + of_new @ values[:, :, :end]
        return a.reshape(rows, -1)

    def _by_prompt(self, x: Tensor) -> Tensor:
        """[rows, kv_heads, groups, X] -> [B, kv_heads, slots * groups, X]; a prompt has a slot for each response."""
        whole = x
        if len(x) < len(self.blocked) * self.slots:
            whole = x.new_zeros(len(self.blocked) * self.slots, *x.shape[1:])
            whole[self.place] = x
        whole = whole.reshape(len(self.blocked), self.slots, *x.shape[1:]).transpose(1, 2)
        return whole.reshape(len(self.blocked), self.kv_heads, -1, x.shape[-1])

    def _by_row(self, x: Tensor) -> Tensor:
        """The way back."""
        parts = x.view(len(self.blocked), self.kv_heads, self.slots, -1, x.shape[-1]).transpose(1, 2)
        whole = parts.reshape(len(self.blocked) * self.slots, *parts.shape[2:])
        return whole if len(self.place) == len(whole) else whole[self.place]


class GenericDecoder:
    """Any causal LM, through its own forward and transformers' cache."""

    def __init__(self, model: PreTrainedModel, dtype: torch.dtype) -> None:
        self.model: Any = model
        self.dtype = dtype

    def refresh(self) -> None:
        """The model's own weights are used: nothing is held."""

    @torch.inference_mode()
    def prefill(self, ids: Tensor, valid: Tensor, n: int, max_new: int) -> Tensor:
        self.cache = DynamicCache(config=self.model.config)
        self.valid = valid.long()
        positions = (self.valid.cumsum(1) - 1).clamp(min=0)
        logits = self._forward(ids, positions)
        self.cache.batch_repeat_interleave(n)
        self.valid = self.valid.repeat_interleave(n, 0)
        self.position = positions[:, -1].repeat_interleave(n) + 1
        return logits.repeat_interleave(n, 0)

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        self.valid = torch.cat([self.valid, self.valid.new_ones(len(tokens), 1)], 1)
        logits = self._forward(tokens[:, None], self.position[:, None])
        self.position = self.position + 1
        return logits

    @torch.inference_mode()
    def keep(self, rows: Tensor) -> None:
        self.cache.batch_select_indices(rows)
        self.valid, self.position = self.valid[rows], self.position[rows]

    def _forward(self, ids: Tensor, positions: Tensor) -> Tensor:
        body = self.model.get_decoder()
        mixed = self.dtype == torch.bfloat16 and self.model.dtype == torch.float32
        with torch.autocast(ids.device.type, dtype=torch.bfloat16, enabled=mixed):
            out = body(
                input_ids=ids,
                attention_mask=self.valid,
                position_ids=positions,
                past_key_values=self.cache,
                use_cache=True,
            )
        head = self.model.get_output_embeddings().weight.to(self.dtype).float()
        logits = F.linear(out.last_hidden_state[:, -1].to(self.dtype).float(), head)
        cap = getattr(self.model.config, "final_logit_softcapping", None)
        return torch.tanh(logits / cap) * cap if cap else logits
