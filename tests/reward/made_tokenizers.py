"""Small tokenizers of every kind: byte-level, SentencePiece with and without bytes, WordPiece and others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from rerec_engine.reward.vocabulary import byte_alphabet

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
WORDS = ["Heat", "is", "it", "Seven", "The", "Thing", "boxed", "日", "映画", "é", "👨", "\u200d", "ok", "X"]
MARKS = ["\n", "\r", "\r\n", "\x00", "\\", "{", "}", ";", ".", "(", "1995", ")", "'", "\ufffd"]


def with_specials(backend: Tokenizer) -> PreTrainedTokenizerFast:
    backend.add_special_tokens(["<s>", "</s>"])
    backend.add_tokens([AddedToken("added one", normalized=False), AddedToken("\nnew", normalized=False)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")


def byte_fallback(decoder: Any) -> PreTrainedTokenizerFast:
    pieces = ["<unk>", *BYTES, "▁", "▁▁", *("▁" + word for word in WORDS), *WORDS, *MARKS]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    backend = Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<unk>", byte_fallback=True))
    backend.decoder = decoder
    return with_specials(backend)


def llama() -> PreTrainedTokenizerFast:
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    return byte_fallback(decoders.Sequence(steps))


def gemma() -> PreTrainedTokenizerFast:
    return byte_fallback(decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]))


def t5() -> PreTrainedTokenizerFast:
    pieces = ["<unk>", "▁", "▁The▁Thing", *("▁" + word for word in WORDS), *WORDS, *MARKS]
    backend = Tokenizer(models.Unigram([(piece, -1.0) for piece in pieces], unk_id=0, byte_fallback=False))
    backend.decoder = decoders.Metaspace()
    return with_specials(backend)


def bert() -> PreTrainedTokenizerFast:
    pieces = ["[UNK]", *WORDS, *MARKS, *("##" + word for word in WORDS)]
    backend = Tokenizer(models.WordPiece(vocab={p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    backend.decoder = decoders.WordPiece()
    return with_specials(backend)


def gpt1() -> PreTrainedTokenizerFast:
    """The end of a word is marked, and the last one's mark is dropped."""
    pieces = ["<unk>", *WORDS, *MARKS, *(word + "</w>" for word in WORDS)]
    backend = Tokenizer(models.BPE(vocab={p: i for i, p in enumerate(pieces)}, merges=[], unk_token="<unk>"))
    backend.decoder = decoders.BPEDecoder("</w>")
    return with_specials(backend)


def words_only() -> PreTrainedTokenizerFast:
    """No decoder: tokens are joined by spaces."""
    vocab = {word: i for i, word in enumerate(["<unk>", *WORDS, *MARKS])}
    return with_specials(Tokenizer(models.WordLevel(vocab=vocab, unk_token="<unk>")))


def byte_level() -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(sorted(byte_alphabet()))}, merges=[]))
    backend.decoder = decoders.ByteLevel()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return with_specials(backend)


MAKERS: dict[str, Callable[[], Any]] = {
    "llama": llama, "gemma": gemma, "t5": t5, "bert": bert, "gpt1": gpt1, "words": words_only,
    "byte-level": byte_level, "byt5": ByT5Tokenizer,
}  # fmt: skip
TOKENIZERS = {name: make() for name, make in MAKERS.items()}


def decoded(tokenizer: Any, ids: Sequence[int]) -> str:
    return tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)


def of(tokenizer: Any, *tokens: str) -> list[int]:
    ids = tokenizer.convert_tokens_to_ids(list(tokens))
    assert tokenizer.convert_ids_to_tokens(ids) == list(tokens)
    return ids


class Counting:
    """Counts the tokens that are decoded."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.backend_tokenizer = getattr(inner, "backend_tokenizer", None)
        self.all_special_ids = inner.all_special_ids
        self.decoded = 0

    def __len__(self) -> int:
        return len(self.inner)

    def convert_ids_to_tokens(self, id: int) -> str:
        return self.inner.convert_ids_to_tokens(id)

    def decode(self, ids: list[int], **settings: Any) -> str:
        self.decoded += len(ids)
        return self.inner.decode(ids, **settings)
