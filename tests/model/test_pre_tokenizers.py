from __future__ import annotations

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from rerec_engine.errors import UserError
from rerec_engine.model.pre_tokenizers import RULES, others, rule_of
from rerec_engine.model.speech import SAMPLES


class Fast:
    """What `Rule.apply` takes of a tokenizer."""

    def __init__(self) -> None:
        self.backend_tokenizer = Tokenizer(models.BPE({"a": 0}, []))


def pieces(name: str, text: str) -> list[str]:
    tokenizer = Fast()
    rule_of(name).apply(tokenizer)
    return [text[start:end] for _, (start, end) in tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)]


def ways(cut: pre_tokenizers.PreTokenizer, text: str) -> list[str]:
    return [text[start:end] for _, (start, end) in cut.pre_tokenize_str(text)]


@pytest.mark.parametrize("text", SAMPLES)
def test_individual_digits_and_gpt2_are_the_library_own(text: str) -> None:
    """SmolLM2's tokenizer.json holds Digits and ByteLevel."""
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), level])
    assert pieces("smollm", text) == ways(digits, text)
    assert pieces("gpt-2", text) == ways(level, text)


@pytest.mark.parametrize(
    ("name", "cut"),
    [
        ("smollm", ["in", " ", "1", "9", "9", "5", ",", "  ", "4", " don", "'t", " DON", "'", "T", "\n", "\n", "x"]),
        ("gpt-2", ["in", " 1995", ",", " ", " 4", " don", "'t", " DON", "'", "T", "\n", "\n", "x"]),
        ("llama-bpe", ["in", " ", "199", "5", ",", " ", " ", "4", " don", "'t", " DON", "'T", "\n\n", "x"]),
        ("qwen2", ["in", " ", "1", "9", "9", "5", ",", " ", " ", "4", " don", "'t", " DON", "'T", "\n\n", "x"]),
        ("qwen35", ["in", " ", "1", "9", "9", "5", ",", " ", " ", "4", " don", "'t", " DON", "'T", "\n\n", "x"]),
        ("tekken", ["in", " ", "1", "9", "9", "5", ",", " ", " ", "4", " don", "'t", " DON", "'T", "\n\n", "x"]),
        ("gpt-4o", ["in", " ", "199", "5", ",", " ", " ", "4", " don't", " DON'T", "\n\n", "x"]),
        ("deepseek-v3", ["in", " ", "199", "5", ",", "  ", "4", " don", "'t", " DON", "'T", "\n\n", "x"]),
    ],
)
def test_where_the_rules_differ(name: str, cut: list[str]) -> None:
    assert pieces(name, "in 1995,  4 don't DON'T\n\nx") == cut


@pytest.mark.parametrize("text", SAMPLES)
def test_rules_that_transformers_knows_are_the_same(text: str) -> None:
    theirs = pytest.importorskip(
        "transformers.integrations.gguf.gguf_tokenizer_mapping", reason="no rules in transformers: take 5.19"
    )
    from tokenizers import Regex

    common = RULES.keys() & theirs.GGUF_PRE_TOKENIZER_SPLITS.keys()
    assert {"llama-bpe", "qwen2", "qwen35", "tekken", "gpt-4o"} <= common
    for name in common:
        split = pre_tokenizers.Split(Regex(theirs.GGUF_PRE_TOKENIZER_SPLITS[name]), behavior="isolated")
        assert pieces(name, text) == ways(split, text), name


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UserError, match="'klingon' is not known"):
        rule_of("klingon")
    for name in (None, "", "default"):
        with pytest.raises(UserError, match="does not name its pre-tokenizer"):
            rule_of(name)


def test_others_are_each_rule_once() -> None:
    found = others("smollm")
    assert "smollm" not in found
    assert RULES["smollm"] not in found.values()
    assert len(found) == len(set(RULES.values())) - 1
