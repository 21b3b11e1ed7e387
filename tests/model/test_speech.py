from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

from rerec_engine.model.speech import TEXT, bits_per_byte, check_tokenizer


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A token a byte, and one special token."""
    letters = bytes_to_unicode().values()
    backend = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken("<|end|>", normalized=False)])
    template = "{% for m in messages %}{{ m['content'] }}<|end|>{% endfor %}"
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>", chat_template=template)


def test_a_sound_tokenizer_has_no_fault() -> None:
    assert check_tokenizer(byte_tokenizer()) == ""


def test_a_tokenizer_that_loses_text_is_told() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    assert check_tokenizer(tokenizer) == "'The ligh' does not come back"
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    assert check_tokenizer(tokenizer, composed=True) == ""
    assert "does not come back" in check_tokenizer(tokenizer)


def test_a_template_that_fails_is_told() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = "{{ raise_exception('no') }}"
    assert "its chat template" in check_tokenizer(tokenizer)


@pytest.mark.parametrize("likely", [0.5, 1 / 257])
def test_bits_a_byte_of_a_known_model(likely: float) -> None:
    tokenizer = byte_tokenizer()

    def model(input_ids: torch.Tensor, use_cache: bool) -> SimpleNamespace:
        """Gives every next token the same probability."""
        rest = math.log((1 - likely) / 256)
        logits = torch.full((1, input_ids.shape[1], 257), rest)
        logits[0, :-1].scatter_(1, input_ids[0, 1:, None], math.log(likely))
        return SimpleNamespace(logits=logits)

    model.device = torch.device("cpu")  # type: ignore[attr-defined]
    bits, perplexity = bits_per_byte(model, tokenizer)
    size = len(TEXT.encode())
    assert bits == pytest.approx(-math.log2(likely) * (size - 1) / size, rel=1e-5)
    assert perplexity == pytest.approx(1 / likely, rel=1e-4)
