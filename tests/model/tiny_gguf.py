"""A small GGUF file of a Llama with random weights, as llama.cpp's converter writes one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from gguf import GGUFWriter
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.convert_slow_tokenizer import bytes_to_unicode

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MERGES = ("Ġ t", "Ġt h", "Ġth e", "1 9", "Ġ 1", "a n", "Ġ Ġ", "Ċ Ċ")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def vocabulary() -> list[str]:
    return [*SPECIAL, *bytes_to_unicode().values(), *(merge.replace(" ", "") for merge in MERGES)]


def tiny_llama() -> LlamaForCausalLM:
    """Two layers of width 32, tied head, sharp enough that a wrong weight shows."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary()),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        initializer_range=0.3,
    )
    return LlamaForCausalLM(config).eval()


def _interleaved(weight: Tensor, heads: int) -> Tensor:
    """Rows of queries and keys in llama.cpp's order, where the halves of a rotated pair are neighbours."""
    rows, columns = weight.shape
    return weight.view(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns)


def write_tiny_gguf(path: Path, model: LlamaForCausalLM, /, **changes: Any) -> Path:
    """changes: values by key, such as `pre="qwen2"`; None leaves one out."""
    config, tokens = model.config, vocabulary()
    told: dict[str, Any] = {"model": "gpt2", "pre": "smollm", "template": TEMPLATE, "license": "mit", "bos": False}
    told |= changes
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model(told["model"])
    for add, value in (
        (writer.add_tokenizer_pre, told["pre"]),
        (writer.add_chat_template, told["template"]),
        (writer.add_license, told["license"]),
    ):
        if value is not None:
            add(value)
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(tokens) - len(SPECIAL)))
    writer.add_token_merges(list(MERGES))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(told["bos"])
    for name, weight in model.state_dict().items():
        value = weight.detach()
        if name.startswith("model.layers."):
            _, _, layer, rest = name.split(".", 3)
            if ".q_proj" in rest or ".k_proj" in rest:
                value = _interleaved(value, config.num_attention_heads if ".q_" in rest else config.num_key_value_heads)
            writer.add_tensor(f"blk.{layer}.{NAMES[rest.removesuffix('.weight')]}.weight", value.numpy())
        elif name == "model.embed_tokens.weight":
            writer.add_tensor("token_embd.weight", value.numpy())
        elif name == "model.norm.weight":
            writer.add_tensor("output_norm.weight", value.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
