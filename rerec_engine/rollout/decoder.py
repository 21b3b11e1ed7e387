"""Incremental decoding of a batch: prompts once, then one token a step, on a KV cache that can drop finished rows.

`FusedDecoder` runs Qwen2 and Llama straight from the policy's weights, with one matrix product for q, k, v and one for
gate and up; `GenericDecoder` runs any causal LM through its own forward. Both return fp32 logits.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DynamicCache, LlamaForCausalLM, PreTrainedModel, Qwen2ForCausalLM

from rerec_engine.lora import effective_weight


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
    """Qwen2 and Llama. Grouped queries are folded into the query dimension, so that k and v are never repeated."""

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
        positions = (valid.long().cumsum(1) - 1).clamp(min=0)  # [B, P]
        table = torch.arange(width + max_new, device=ids.device)[None]
        dummy = torch.empty(1, dtype=self.embedding.dtype, device=ids.device)
        cos, sin = self.model.model.rotary_emb(dummy, table)
        self.cos, self.sin = cos[0], sin[0]  # [P + new, D]
        ahead = torch.ones(width, width, dtype=torch.bool, device=ids.device).tril()
        mask = ahead & valid[:, None, None]  # [B, 1, P, P]
        mask = mask | torch.eye(width, dtype=torch.bool, device=ids.device)
        shape = (batch, self.kv_heads, width, self.head_dim)
        empty = dict(dtype=self.embedding.dtype, device=ids.device)
        self.cache = [(torch.empty(shape, **empty), torch.empty(shape, **empty)) for _ in self.layers]
        logits = self._forward(ids, positions, 0, mask)
        grown = (batch * n, self.kv_heads, max_new, self.head_dim)
        self.cache = [
            (
                torch.cat([k.repeat_interleave(n, 0), torch.empty(grown, **empty)], 2),
                torch.cat([v.repeat_interleave(n, 0), torch.empty(grown, **empty)], 2),
            )
            for k, v in self.cache
        ]
        self.filled = width
        self.position = positions[:, -1].repeat_interleave(n) + 1  # [rows]
        blocked = torch.zeros(batch, width + max_new, **empty)
        blocked[:, :width].masked_fill_(~valid, float("-inf"))
        self.mask = blocked.repeat_interleave(n, 0)[:, None, None]  # [rows, 1, 1, P + new]
        return logits.repeat_interleave(n, 0)

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        mask = self.mask[..., : self.filled + 1]
        logits = self._forward(tokens[:, None], self.position[:, None], self.filled, mask)
        self.filled += 1
        self.position = self.position + 1
        return logits

    @torch.inference_mode()
    def keep(self, rows: Tensor) -> None:
        self.cache = [(k[rows], v[rows]) for k, v in self.cache]
        self.position, self.mask = self.position[rows], self.mask[rows]

    def _rotate(self, x: Tensor, positions: Tensor) -> Tensor:
        cos, sin = self.cos[positions][:, :, None], self.sin[positions][:, :, None]
        low, high = x.chunk(2, -1)
        return x * cos + torch.cat([-high, low], -1) * sin

    def _forward(self, ids: Tensor, positions: Tensor, start: int, mask: Tensor) -> Tensor:
        rows, width = ids.shape
        end, heads, kv_heads, dim = start + width, self.heads, self.kv_heads, self.head_dim
        x = F.embedding(ids, self.embedding)  # [rows, width, H]
        size = (x.shape[-1],)
        for (norm, (qkv, qkv_bias), out, mlp_norm, gate_up, down), (keys, values) in zip(
            self.layers, self.cache, strict=True
        ):
            h = F.linear(F.rms_norm(x, size, norm, self.eps), qkv, qkv_bias)
            q, k, v = h.split([heads * dim, kv_heads * dim, kv_heads * dim], -1)
            q = self._rotate(q.view(rows, width, heads, dim), positions)
            k = self._rotate(k.view(rows, width, kv_heads, dim), positions)
            keys[:, :, start:end] = k.transpose(1, 2)
            values[:, :, start:end] = v.view(rows, width, kv_heads, dim).transpose(1, 2)
            if width == 1:
                q = q.view(rows, kv_heads, heads // kv_heads, dim)
                a = F.scaled_dot_product_attention(q, keys[:, :, :end], values[:, :, :end], attn_mask=mask)
                a = a.reshape(rows, 1, heads * dim)
            else:
                a = F.scaled_dot_product_attention(
                    q.transpose(1, 2), keys[:, :, :end], values[:, :, :end], attn_mask=mask, enable_gqa=True
                )
                a = a.transpose(1, 2).reshape(rows, width, heads * dim)
            x = x + F.linear(a, *out)
            gate, up = F.linear(F.rms_norm(x, size, mlp_norm, self.eps), gate_up).chunk(2, -1)
            x = x + F.linear(F.silu(gate) * up, down)
        return F.linear(F.rms_norm(x[:, -1], size, self.norm, self.eps).float(), self.head)


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
