"""Incremental decoding: prompts once, then one token a step, on a KV cache that drops rows and lets others join.

`FusedDecoder` runs Qwen2 and Llama straight from the policy's weights, with one matrix product for q, k, v and one for
gate and up; `GenericDecoder` runs any causal LM through its own forward. Both return fp32 logits.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DynamicCache, LlamaForCausalLM, PreTrainedModel, Qwen2ForCausalLM

from rerec_engine.model.lora import effective_weight
from rerec_engine.model.output import PLAIN, Output
from rerec_engine.rollout.cache import Heads, make_cache, rotate
from rerec_engine.rollout.prompt_attention import PromptAttention


class Decoder(Protocol):
    """Rows are responses, prompt-major."""

    grows: bool
    """Whether prompts may join while responses to others are decoded; else `join` follows `open` once."""

    def cache_bytes(self, prompt: int, n: int, max_new: int) -> int:
        """At most, of keys and values of a prompt of so many tokens and n responses of up to max_new."""
        ...

    def open(self, length: int, max_new: int, common: Sequence[int] = ()) -> None:
        """Begin anew. length: tokens of a sequence at most, max_new: of its response; all prompts begin with `common`,
        a multiple of BLOCK tokens and shorter than any of them."""
        ...

    def join(self, prompts: Sequence[Sequence[int]], n: int) -> Tensor:
        """n responses each to B prompts, behind the rows that there are -> logits of the next token [B * n, V]."""
        ...

    def step(self, tokens: Tensor) -> Tensor:
        """tokens [rows] -> logits of the next token [rows, V]."""
        ...

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows (int64 indices), which may repeat; rows of one prompt stand together."""
        ...

    def close(self) -> None:
        """Give the cache's memory back."""
        ...

    def refresh(self) -> None:
        """The policy's weights have changed."""
        ...


def make_decoder(model: PreTrainedModel, dtype: torch.dtype, output: Output = PLAIN) -> Decoder:
    """The fused decoder where the architecture allows it, else the generic one."""
    config = model.config
    plain = isinstance(model, Qwen2ForCausalLM | LlamaForCausalLM) and config.hidden_act == "silu"
    sliding = getattr(config, "use_sliding_window", False)
    tensor_parallel = getattr(config, "pretraining_tp", 1) not in (None, 1)
    mlp_bias = getattr(config, "mlp_bias", False)
    fused = plain and not (sliding or tensor_parallel or mlp_bias or output.own)
    return (FusedDecoder if fused else GenericDecoder)(model, dtype, output)


def _token_bytes(heads: Heads, dtype: torch.dtype) -> int:
    return 2 * heads.layers * heads.keys * heads.dim * dtype.itemsize


def _concat(dtype: torch.dtype, *linears: torch.nn.Linear) -> tuple[Tensor, Tensor | None]:
    weight = torch.cat([effective_weight(layer) for layer in linears]).to(dtype)
    biased = linears[0].bias is not None
    return weight, torch.cat([layer.bias for layer in linears]).to(dtype) if biased else None


class FusedDecoder:
    """Qwen2 and Llama. Prompts are packed: no padding is computed."""

    grows = True

    def __init__(self, model: PreTrainedModel, dtype: torch.dtype, output: Output = PLAIN) -> None:
        self.model: Any = model
        self.dtype, self.output = dtype, output
        config = model.config
        heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
        dim = getattr(config, "head_dim", None) or config.hidden_size // heads
        self.heads = Heads(config.num_hidden_layers, heads, kv_heads, dim)
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

    def cache_bytes(self, prompt: int, n: int, max_new: int) -> int:
        return _token_bytes(self.heads, self.dtype) * (prompt + n * max_new)

    @torch.inference_mode()
    def open(self, length: int, max_new: int, common: Sequence[int] = ()) -> None:
        table = torch.arange(length, device=self.embedding.device)[None]
        cos, sin = (x[0] for x in self.model.model.rotary_emb(self.embedding[:0], table))  # [length, D]
        low, high = sin.chunk(2, -1)
        self.rotary = cos, torch.cat([-low, high], -1)
        self.cache = make_cache(self.heads, *self.rotary, max_new)
        self.prompts = PromptAttention(self.heads)
        if common:
            self._read([common], 0)

    @torch.inference_mode()
    def join(self, prompts: Sequence[Sequence[int]], n: int) -> Tensor:
        return self._logits(self._read([prompt[self.prompts.length :] for prompt in prompts], n)).repeat_interleave(
            n, 0
        )

    def _read(self, parts: Sequence[Sequence[int]], n: int) -> Tensor:
        """Prompts behind their common beginning, n responses to each, or that itself (n = 0): [B, H] of last tokens."""
        device, heads, begin = self.embedding.device, self.heads, self.prompts.length
        lengths = [len(part) for part in parts]
        position = torch.cat([torch.arange(length) + begin for length in lengths]).to(device)
        cos, sin = (x[position][:, None] for x in self.rotary)
        self.cache.add(lengths, n)

        def attend(layer: int, qkv: Tensor) -> Tensor:
            qk, v = qkv.split([heads.queries + heads.keys, heads.keys], 1)
            qkv = torch.cat([rotate(qk, cos, sin), v], 1)
            self.cache.set_prompts(layer, qkv)
            a = self.prompts.attend(layer, qkv, lengths)
            if n == 0:
                self.prompts.keep(layer, qkv)
            return a

        x = self._body(torch.tensor([token for part in parts for token in part], device=device), attend)
        return x[torch.tensor(lengths, device=device).cumsum(0) - 1]

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        x = self._body(tokens, self.cache.attend)
        self.cache.advance()
        return self._logits(x)

    @torch.inference_mode()
    def keep(self, rows: Tensor) -> None:
        self.cache.keep(rows)

    def close(self) -> None:
        del self.cache, self.prompts

    def _body(self, ids: Tensor, attend: Callable[[int, Tensor], Tensor]) -> Tensor:
        """ids [N] -> [N, H]; attend: layer, queries, keys and values [N, heads, D] -> [N, query heads * D]."""
        x = F.embedding(ids, self.embedding)
        size = (x.shape[-1],)
        for i, (norm, (qkv, qkv_bias), out, mlp_norm, gate_up, down) in enumerate(self.layers):
            h = F.linear(F.rms_norm(x, size, norm, self.eps), qkv, qkv_bias)
            x.add_(F.linear(attend(i, h.view(len(h), self.heads.all, self.heads.dim)), *out))
            gate, up = F.linear(F.rms_norm(x, size, mlp_norm, self.eps), gate_up).chunk(2, -1)
            x.add_(F.linear(F.silu(gate).mul_(up), down))
        return x

    def _logits(self, x: Tensor) -> Tensor:
        return self.output(F.linear(F.rms_norm(x, (x.shape[-1],), self.norm, self.eps).float(), self.head))


class GenericDecoder:
    """Any causal LM, through its own forward and transformers' cache, whatever that holds: keys and values, the states
    of convolutions and recurrences. Prompts are padded on the left, and each response has a copy of its prompt's."""

    grows = False

    def __init__(self, model: PreTrainedModel, dtype: torch.dtype, output: Output = PLAIN) -> None:
        self.model: Any = model
        self.dtype, self.output = dtype, output
        self.body: Any = model if output.own else model.get_decoder()
        self.takes = set(inspect.signature(self.body.forward).parameters)

    def refresh(self) -> None:
        """The model's own weights are used: nothing is held."""

    def cache_bytes(self, prompt: int, n: int, max_new: int) -> int:
        config = self.model.config.get_text_config()
        uneven = getattr(config, "is_heterogeneous", False)  # Gemma 4: layers of several head sizes
        parts = [(own, 1) for own in config.per_layer_config] if uneven else [(config, config.num_hidden_layers)]
        return sum(_token_bytes(_heads(own, layers), self.dtype) for own, layers in parts) * n * (prompt + max_new)

    def open(self, length: int, max_new: int, common: Sequence[int] = ()) -> None:
        self.cache = DynamicCache(config=self.model.config)

    @torch.inference_mode()
    def join(self, prompts: Sequence[Sequence[int]], n: int) -> Tensor:
        width, device = max(map(len, prompts)), self.model.device
        ids = torch.tensor([[0] * (width - len(p)) + list(p) for p in prompts], device=device)
        self.valid = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=device)
        positions = (self.valid.cumsum(1) - 1).clamp(min=0)
        logits = self._forward(ids, positions)
        self.position = positions[:, -1] + 1
        if n > 1:
            self.keep(torch.arange(len(ids), device=device).repeat_interleave(n))
        return logits.repeat_interleave(n, 0)

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        self.valid = torch.cat([self.valid, self.valid.new_ones(len(tokens), 1)], 1)
        logits = self._forward(tokens[:, None], self.position[:, None])
        self.position = self.position + 1
        return logits

    @torch.inference_mode()
    def keep(self, rows: Tensor) -> None:
        self.cache.reorder_cache(rows)
        self.valid, self.position = self.valid[rows], self.position[rows]

    def close(self) -> None:
        del self.cache

    def _forward(self, ids: Tensor, positions: Tensor) -> Tensor:
        inputs = {
            "attention_mask": self.valid,
            "position_ids": positions,
            "past_key_values": self.cache,
            "cache_params": self.cache,
            "logits_to_keep": 1,
        }
        if ids.shape[1] == 1 and "past_key_values" not in self.takes:
            del inputs["attention_mask"]  # without attention all that came before is in the states
        mixed = self.dtype == torch.bfloat16 and self.model.dtype == torch.float32
        with torch.autocast(ids.device.type, dtype=torch.bfloat16, enabled=mixed):
            taken = {name: x for name, x in inputs.items() if name in self.takes}
            out = self.body(input_ids=ids, use_cache=True, **taken)
        if self.output.own:
            return out.logits[:, -1].float()
        head = self.model.get_output_embeddings().weight.to(self.dtype).float()
        return self.output(F.linear(out.last_hidden_state[:, -1].to(self.dtype).float(), head))


def _heads(config: Any, layers: int) -> Heads:
    """Of so many layers of a configuration, whatever it leaves out."""
    heads = getattr(config, "num_attention_heads", None) or 0
    keys = getattr(config, "num_key_value_heads", None) or heads
    return Heads(layers, heads, keys, getattr(config, "head_dim", None) or config.hidden_size // max(heads, 1))
