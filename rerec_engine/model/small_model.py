"""Models made on the spot: a small Qwen2-architecture model and a byte-level tokenizer that fits a dataset.

They let the whole loop run, and the demo learn, without a download. Every text can be encoded: what is in no vocabulary
falls back to bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

from rerec_engine.config import ModelConfig
from rerec_engine.model.arithmetic import DTYPES
from rerec_engine.model.policy import Policy, make_policy, resolve_device
from rerec_engine.model.source import Loading

PAD, END, USER, ASSISTANT, SYSTEM = "<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"
SPECIAL = (PAD, END, USER, ASSISTANT, SYSTEM)
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def _wrap(vocab: dict[str, int], merges: list[tuple[str, str]]) -> Qwen2Tokenizer:
    """The class that transformers loads for a Qwen2 model whatever was saved, so that it reads back unchanged."""
    return Qwen2Tokenizer(
        vocab=vocab,
        merges=merges,
        unk_token=PAD,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT, SYSTEM],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=32768,
    )


def phrase_tokenizer(phrases: Iterable[str]) -> Qwen2Tokenizer:
    """Bytes plus one token for each whole phrase (a title, a name, a word with its leading space)."""
    symbols = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = _wrap({symbol: i for i, symbol in enumerate(symbols)}, [])
    tokenizer.add_tokens([AddedToken(phrase, normalized=False) for phrase in sorted(set(phrases))])
    return tokenizer


def corpus_tokenizer(texts: Iterable[str], vocab_size: int = 4096) -> Qwen2Tokenizer:
    """A byte-level BPE trained on the texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return _wrap(model["vocab"], [tuple(pair) for pair in model["merges"]])


def make_small_policy(
    tokenizer: Qwen2Tokenizer, config: ModelConfig, *, max_tokens: int, seed: int, device: str = "auto"
) -> Policy:
    """A Qwen2 of `config`'s sizes with random weights from `seed` and tied embeddings, for up to `max_tokens`."""
    settings = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=config.hidden_size,
        intermediate_size=-(-config.hidden_size * 8 // 3 // 8) * 8,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=max(1, config.heads // 2),
        max_position_embeddings=max_tokens,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(settings).to(resolve_device(device))
    dtype = DTYPES.get(config.dtype, torch.float32)
    return make_policy(model, tokenizer, "the model made on the spot", dtype, Loading.of(config))
