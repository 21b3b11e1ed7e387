"""Small random models of every causal-LM architecture that transformers knows, and what becomes of each here.

PYTHONPATH=. python tests/model/architectures.py    makes docs/architectures.md, a minute
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from rerec_engine.model.policy import Policy, make_policy
from rerec_engine.model.small_model import corpus_tokenizer

WIDTH, HEADS, HEAD = 32, 4, 8
LARGEST = 1_000_000
SIZES: dict[str, Any] = {
    **dict.fromkeys(
        "hidden_size d_model n_embd embedding_size hidden_dim lru_width attention_hidden_size".split(), WIDTH
    ),
    **dict.fromkeys("intermediate_size ffn_dim n_inner decoder_ffn_dim encoder_ffn_dim ffn_hidden_size".split(), 48),
    **dict.fromkeys("intermediate_size_mlp shared_intermediate_size dff".split(), 48),
    **dict.fromkeys("num_attention_heads n_head n_heads num_heads decoder_attention_heads".split(), HEADS),
    **dict.fromkeys("encoder_attention_heads mamba_n_heads n_mamba_heads attention_heads".split(), HEADS),
    **dict.fromkeys("num_hidden_layers n_layer n_layers num_layers decoder_layers encoder_layers".split(), 2),
    **dict.fromkeys("num_key_value_heads num_kv_heads kv_n_heads swa_num_key_value_heads".split(), 2),
    **dict.fromkeys("head_dim v_head_dim qk_nope_head_dim qk_rope_head_dim index_head_dim qk_head_dim".split(), HEAD),
    **dict.fromkeys("linear_key_head_dim linear_value_head_dim global_head_dim swa_head_dim".split(), HEAD),
    **dict.fromkeys("q_lora_rank kv_lora_rank mamba_d_state state_size mamba_dt_rank o_lora_rank".split(), HEAD),
    **dict.fromkeys("num_experts num_local_experts n_routed_experts moe_num_experts".split(), 4),
    **dict.fromkeys("num_experts_per_tok moe_topk moe_k top_k_experts num_experts_per_token".split(), 2),
    **dict.fromkeys("moe_intermediate_size shared_expert_intermediate_size expert_ffn_hidden_size".split(), 16),
    **dict.fromkeys("n_group topk_group n_groups mamba_n_groups num_shared_experts n_shared_experts".split(), 1),
    **dict.fromkeys("moe_num_shared_experts first_k_dense_replace num_dense_layers".split(), 1),
    **dict.fromkeys("mamba_chunk_size chunk_size".split(), 8),
    **dict.fromkeys("max_position_embeddings n_positions n_ctx max_seq_len".split(), 128),
    **dict.fromkeys("embd_pdrop resid_pdrop attn_pdrop dropout attention_dropout hidden_dropout".split(), 0.0),
    **dict.fromkeys("hidden_dropout_prob attention_probs_dropout_prob activation_dropout".split(), 0.0),
    **dict.fromkeys("sliding_window attention_window_size".split(), 6),
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "type_vocab_size": 2,
    "mamba_d_head": 16,
    "mamba_d_ssm": 64,
    "attn_layer_indices": [1],
    "mamba_expand": 2,
    "index_n_heads": 2,
    "index_topk": 64,
    "is_decoder": True,
    "pad_token_id": 0,
    "use_cache": True,
}
"""What a field of a configuration is set to, by its name."""
SPECIAL: dict[str, dict[str, Any]] = {
    "granite": {"logits_scaling": 13.0},
    "granitemoe": {"logits_scaling": 13.0},
    "cohere": {"logit_scale": 0.25},
    "gemma2": {"final_logit_softcapping": 5.0},
    "falcon_h1": {"lm_head_multiplier": 0.5},
    "mamba2": {"num_heads": 8},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1},
    "codegen": {"rotary_dim": 8},
    "gptj": {"rotary_dim": 8},
    "granitemoehybrid": {"logits_scaling": 13.0, "layer_types": ["mamba", "attention"]},
}
"""Of single architectures: what lies between last state and logits, and where the sizes above do not fit."""


def model_types() -> list[str]:
    """Of the architectures that the installed transformers knows as causal LMs; one of several names for one class."""
    seen: dict[str, str] = {}
    for kind, name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items():
        if kind in CONFIG_MAPPING:
            seen.setdefault(name if isinstance(name, str) else name[0], kind)
    return sorted(seen.values())


def _fields(config: type) -> set[str]:
    return (
        {f.name for f in dataclasses.fields(config)}
        if dataclasses.is_dataclass(config)
        else set(inspect.signature(config.__init__).parameters)
    )


def _layers(config: Any) -> dict[str, Any]:
    """A layer of each kind that the architecture has."""
    kinds = getattr(config, "layer_types", None)
    if not kinds:
        return {}
    kept = list(dict.fromkeys(kinds))
    kept += kept[: 2 - len(kept)]
    return {"layer_types": kept, "num_hidden_layers": len(kept)}


def tiny_config(kind: str, vocabulary: int, **options: Any) -> Any:
    """The architecture's configuration, made small."""
    of = CONFIG_MAPPING[kind]
    names = _fields(of)
    plain = of()
    sizes = {**SIZES, "vocab_size": vocabulary, "eos_token_id": 1, "bos_token_id": None}
    ends = {name: options.pop(name) for name in ("eos_token_id", "pad_token_id") if name in options}
    sizes |= ends
    chosen = {name: value for name, value in sizes.items() if name in names}
    for name in ("text_config", "decoder"):
        part = getattr(plain, name, None)
        if name in names and part is not None and hasattr(part, "to_dict"):
            own = _fields(type(part))
            inner = {n: v for n, v in sizes.items() if n in own}
            inner |= {k: v for k, v in _layers(part).items() if k in own}
            chosen[name] = {"model_type": part.model_type, **inner, **options}
    if "kv_lora_rank" in names and "num_key_value_heads" in names:
        chosen["num_key_value_heads"] = HEADS
    if "layer_types" in names:
        chosen |= _layers(plain)
    return of(**{**chosen, **SPECIAL.get(kind, {}), **options})


def tiny_model(kind: str, vocabulary: int, seed: int = 0, **options: Any) -> PreTrainedModel:
    """A small random model; its weights are spread, so that differences show."""
    config = tiny_config(kind, vocabulary, **options)
    with torch.device("meta"):
        count = sum(p.numel() for p in AutoModelForCausalLM.from_config(copy.deepcopy(config)).parameters())
    if count > LARGEST:
        raise ValueError(f"not made small: {count:,} parameters")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.05)
    return model.eval()


@functools.cache
def tokenizer() -> Any:
    """Of some 300 tokens."""
    return corpus_tokenizer(["Find a drama film", "The Silent River (1987)", "\\boxed{ The Silent River (1987)}"], 300)


def tiny_policy_of(kind: str, seed: int = 0, **options: Any) -> Policy:
    """A policy of a small random model."""
    words = copy.deepcopy(tokenizer())
    ends = {"eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id}
    return make_policy(tiny_model(kind, len(words), seed, **ends, **options), words, kind)
