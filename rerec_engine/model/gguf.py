"""A GGUF file made into a model directory: transformers reads the weights; the tokenizer is mended and proven."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from rerec_engine.errors import UserError, file_error, first_line
from rerec_engine.files import replacing_directory
from rerec_engine.model.disk import disk_errors
from rerec_engine.model.pre_tokenizers import others, rule_of
from rerec_engine.model.source import no_model
from rerec_engine.model.speech import TEXT, bits_per_byte, check_tokenizer

MAGIC = b"GGUF"
MOST_BITS = 2.0
"""Bits a byte of `speech.TEXT` at most. A sound model of 135 M parameters takes 1.2; with the rows of its queries and
keys in the wrong order 2.2, with a norm lost 3.0, with an embedding or a first layer lost 4.7 to 5."""
BETTER = 0.98
"""Where another rule of cutting takes less than this share of the bits, it is told."""


@dataclass(frozen=True)
class Facts:
    """What a GGUF file says of itself. quantisation: tensors by their type, the most numerous first."""

    architecture: str
    vocabulary: str | None
    pre_tokenizer: str | None
    begins: bool
    context: int | None
    license: str | None
    quantisation: dict[str, int]


@dataclass(frozen=True)
class Converted:
    """A model directory made of a GGUF file, and what was measured: bits of a byte and perplexity of a token of
    `speech.TEXT`. told: what the user should know, a line each."""

    output: Path
    facts: Facts
    parameters: int
    bits: float
    perplexity: float
    told: tuple[str, ...]


def read_facts(file: Path) -> Facts:
    """The header of a GGUF file. Raises UserError where there is none, or the library `gguf` is missing."""
    try:
        from gguf import GGUFReader
    except ImportError:
        raise UserError("gguf is not installed: pip install 'rerec-engine[gguf]'") from None
    if not file.is_file():
        raise file_error(file, "no such file")
    with file.open("rb") as opened:
        if opened.read(len(MAGIC)) != MAGIC:
            raise file_error(file, "is no GGUF file")
    try:
        reader = GGUFReader(file)
        types = Counter(tensor.tensor_type.name for tensor in reader.tensors)
    except Exception as error:  # of the library, on a file that was cut short
        raise file_error(file, f"cannot be read as GGUF: {first_line(error)}") from error

    def value(key: str) -> Any:
        field = reader.fields.get(key)
        return None if field is None else field.contents()

    architecture = str(value("general.architecture"))
    return Facts(
        architecture,
        value("tokenizer.ggml.model"),
        value("tokenizer.ggml.pre"),
        bool(value("tokenizer.ggml.add_bos_token")),
        value(f"{architecture}.context_length"),
        value("general.license"),
        dict(types.most_common()),
    )


def convert(file: str | Path, output: str | Path, most_bits: float = MOST_BITS) -> Converted:
    """Write a Hugging Face model directory, fp32, of a GGUF file, with its tokenizer and chat template.

    most_bits: of a byte of `speech.TEXT`. Raises UserError where the file cannot be read, its way of cutting a text is
    not known, the tokenizer loses text, or the model predicts the text worse than that.
    """
    file = Path(file)
    facts = read_facts(file)
    if facts.vocabulary != "gpt2":
        kind = f"its vocabulary is of the kind {facts.vocabulary!r}" if facts.vocabulary else "it holds no vocabulary"
        raise file_error(file, f"{kind}; byte-level BPE ('gpt2') alone is read: take the model's own directory")
    try:
        rule_of(facts.pre_tokenizer)
    except UserError as error:
        raise file_error(file, str(error)) from None
    model, tokenizer = _loaded(file, facts)
    told = _proven(file, facts, tokenizer)
    bits, perplexity = bits_per_byte(model, tokenizer)
    if not bits <= most_bits:
        raise file_error(
            file,
            f"the model takes {bits:.2f} bits a byte of English (at most {most_bits:g}): its weights or its "
            "vocabulary are not read as they were meant, or it knows no English",
        )
    told += _better(model, tokenizer, str(facts.pre_tokenizer), bits)
    with replacing_directory(output) as temporary, disk_errors(temporary):
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Converted(Path(output), facts, parameters, bits, perplexity, tuple(told))


def _loaded(file: Path, facts: Facts) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    where: dict[str, Any] = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    disable_progress_bar()
    try:
        with _without_bar():
            tokenizer = AutoTokenizer.from_pretrained(**where)
            model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    except Exception as error:  # transformers and gguf raise a dozen kinds
        raise no_model(str(file), error) from error
    rule_of(facts.pre_tokenizer).apply(tokenizer)
    tokenizer.model_max_length = facts.context or tokenizer.model_max_length
    if facts.begins and tokenizer.bos_token_id is not None:
        tokenizer.add_bos_token = True
    _unmark(model)
    return model.eval(), tokenizer


def _unmark(model: Any) -> None:
    """Take off what says that the weights are quantised: they are plain ones now, and `save_pretrained` refuses."""
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.hf_quantizer, model.is_quantized, model.quantization_method = None, False, None


@contextlib.contextmanager
def _without_bar() -> Iterator[None]:
    """Keep transformers from drawing a bar of its own while it reads tensors; the caller tells the wait."""
    from transformers import modeling_gguf_pytorch_utils as reading

    bar = getattr(reading, "tqdm", None)
    if bar is None:
        yield
        return
    reading.tqdm = lambda tensors, **_: tensors
    try:
        yield
    finally:
        reading.tqdm = bar


def _proven(file: Path, facts: Facts, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Raises UserError where the tokenizer loses text; tells where there is no chat template."""
    if wrong := check_tokenizer(tokenizer, composed=rule_of(facts.pre_tokenizer).nfc):
        raise file_error(file, f"its tokenizer is not read as it was meant: {wrong}")
    if tokenizer.chat_template is None:
        return ["the file has no chat template: the commands need --chat-template"]
    return []


def _better(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str, bits: float) -> list[str]:
    """A line where the text, cut by another rule, is likelier: the file may name a wrong one."""
    ids = tokenizer(TEXT)["input_ids"]
    seen, found = [ids], {}
    for other, rule in others(name).items():
        rule.apply(tokenizer)
        if (cut := tokenizer(TEXT)["input_ids"]) not in seen:
            seen.append(cut)
            found[other] = bits_per_byte(model, tokenizer)[0]
    rule_of(name).apply(tokenizer)
    best = min(found, key=lambda other: found[other], default=name)
    if found.get(best, bits) >= BETTER * bits:
        return []
    return [
        f"warning: cut as {best!r} the text takes {found[best]:.2f} bits a byte, as {name!r}, which the file names, "
        f"{bits:.2f}: the name may be wrong"
    ]
