"""Models and tokenizers made on the spot read back as they were, through plain transformers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from rerec_engine.config import ModelConfig
from rerec_engine.model.small_model import corpus_tokenizer, make_small_policy, phrase_tokenizer

PHRASES = [" The Silent River (1987)", " drama", " Ann Bell", "\n1)", "\n\\boxed{", "}", "Find", " a"]
TEXT = "Find a drama\n1) The Silent River (1987)\n\\boxed{ The Silent River (1987)}"
TOKENIZERS = {
    "phrases": lambda: phrase_tokenizer(PHRASES),
    "corpus": lambda: corpus_tokenizer([TEXT, "Les Misérables — 愛 the river runs"] * 5, 400),
}


def test_phrases_are_one_token_each():
    tokenizer = phrase_tokenizer(PHRASES)
    pieces = [tokenizer.decode([i]) for i in tokenizer(TEXT)["input_ids"]]
    assert pieces == ["Find", " a", " drama", "\n1)", PHRASES[0], "\n\\boxed{", PHRASES[0], "}"]


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_any_text_survives(kind):
    tokenizer = TOKENIZERS[kind]()

    @given(st.text(alphabet=st.characters(codec="ascii")))
    def check(text):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text

    check()
    assert tokenizer.decode(tokenizer("Amélie 愛 \U0001f3ac")["input_ids"]) == "Amélie 愛 \U0001f3ac"


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_saved_policy_reads_back(tmp_path, kind):
    tokenizer = TOKENIZERS[kind]()
    policy = make_small_policy(tokenizer, ModelConfig(hidden_size=32, layers=2), max_tokens=64, seed=3, device="cpu")
    policy.save(tmp_path)
    again, model = AutoTokenizer.from_pretrained(tmp_path), AutoModelForCausalLM.from_pretrained(tmp_path)
    messages = [{"role": "user", "content": TEXT}]
    assert len(again) == len(tokenizer) == model.get_output_embeddings().weight.shape[0]
    assert again(TEXT)["input_ids"] == tokenizer(TEXT)["input_ids"]
    assert again.apply_chat_template(messages, tokenize=False) == tokenizer.apply_chat_template(
        messages, tokenize=False
    )
    assert policy.encode_prompt(messages)[-1] == tokenizer.convert_tokens_to_ids("<|assistant|>")
    assert (again.eos_token, again.pad_token) == (tokenizer.eos_token, tokenizer.pad_token)
    for name, parameter in policy.model.named_parameters():
        assert torch.equal(parameter, model.get_parameter(name))


def test_the_seed_decides():
    def weights(seed):
        torch.manual_seed(99)
        policy = make_small_policy(phrase_tokenizer(PHRASES), ModelConfig(), max_tokens=64, seed=seed, device="cpu")
        assert torch.initial_seed() == 99  # the caller's random state is left alone
        return policy.model.get_input_embeddings().weight

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
