"""How a byte-level vocabulary wants a text cut before its merges apply, by the name that a GGUF file gives it.

A GGUF file names the rule (`tokenizer.ggml.pre`) and does not hold it. The names and what each stands for are
llama.cpp's (src/llama-vocab.cpp); the rules are those of the models' own tokenizer.json.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tokenizers import Regex, normalizers, pre_tokenizers

from rerec_engine.errors import UserError

_SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_END = r"\s+(?!\S)|\s+"
_MARKS = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|" + _END
_MARKS_AND_SLASH = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|" + _END
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CASED = (rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+", rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*")
_CJK = r"[一-龥぀-ゟ゠-ヿ]+"
_ASCII_MARKS = r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"


@dataclass(frozen=True)
class Rule:
    """Regular expressions that cut a text one after another, each match a piece of its own.

    gpt2: then GPT-2's expression, too. whole: a piece that is a token is taken whole, whatever the merges say. nfc:
    composed characters first.
    """

    cuts: tuple[str, ...] = ()
    gpt2: bool = False
    whole: bool = False
    nfc: bool = False

    def apply(self, tokenizer: Any) -> None:
        """Have a fast tokenizer over byte-level BPE cut by this rule."""
        backend = tokenizer.backend_tokenizer
        cuts = [pre_tokenizers.Split(Regex(cut), behavior="isolated") for cut in self.cuts]
        ways = [*cuts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=self.gpt2)]
        backend.pre_tokenizer = pre_tokenizers.Sequence(ways)
        backend.model.ignore_merges = self.whole
        backend.normalizer = normalizers.NFC() if self.nfc else None


_LLAMA3 = f"{_SHORT}|{_WORD}|\\p{{N}}{{1,3}}|{_MARKS}"
_QWEN2 = f"{_SHORT}|{_WORD}|\\p{{N}}|{_MARKS}"
_QWEN35 = f"{_SHORT}|" + r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|" + _END
_TEKKEN = f"{'|'.join(_CASED)}|\\p{{N}}|{_MARKS_AND_SLASH}"
_GPT4O = f"{'|'.join(f'{word}{_SHORT}?' for word in _CASED)}|\\p{{N}}{{1,3}}|{_MARKS_AND_SLASH}"
_DEEPSEEK = (
    rf"{_ASCII_MARKS}[A-Za-z]+|[^\r\n\p{{L}}\p{{P}}\p{{S}}]?[\p{{L}}\p{{M}}]+"
    rf"| ?[\p{{P}}\p{{S}}]+[\r\n]*|\s*[\r\n]+|{_END}"
)
_DIGITS = r"\p{N}"
_FAMILIES: dict[Rule, str] = {
    Rule(gpt2=True): "gpt-2 phi-2 mpt olmo jais trillion granite-docling exaone4 gigachat a.x-4.0 mellum",
    Rule((_DIGITS,), gpt2=True): "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2",
    Rule((_LLAMA3,), whole=True): "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2",
    Rule((_LLAMA3,)): "dbrx smaug-bpe chatglm-bpe glm4",
    Rule((_QWEN2,), nfc=True): "qwen2 deepseek-r1-qwen kormo megrez",
    Rule((_QWEN2,)): "stablelm2 hunyuan solar-open grok-2",
    Rule((_QWEN35,), nfc=True): "qwen35",
    Rule((_TEKKEN,), whole=True): "tekken",
    Rule((_GPT4O,)): "gpt-4o llama4 kanana2 minimax-m2",
    Rule((r"\p{N}{1,3}", _CJK, _DEEPSEEK)): "deepseek-v3 hunyuan-dense joyai-llm",
}
RULES: dict[str, Rule] = {name: rule for rule, names in _FAMILIES.items() for name in names.split()}
"""The rules by the names that files give them."""


def rule_of(name: str | None) -> Rule:
    """The rule of that name. Raises UserError, which names it, where it is not known: any other rule would cost
    accuracy without a word."""
    if name in RULES:
        return RULES[name]
    if name in (None, "", "default"):
        raise UserError(
            "the file does not name its pre-tokenizer (tokenizer.ggml.pre): take one that was made anew, "
            "or the model's own directory"
        )
    raise UserError(f"its pre-tokenizer {name!r} is not known here: take the model's own directory")


def others(name: str) -> dict[str, Rule]:
    """Each other rule once, by the first of its names."""
    first = {rule: next(iter(names.split())) for rule, names in _FAMILIES.items()}
    return {first[rule]: rule for rule in _FAMILIES if rule != RULES[name]}
