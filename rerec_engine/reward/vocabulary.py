"""From token ids to bytes.

A byte-level BPE tokenizer (Qwen2.5, Llama 3, GPT-2) decodes by concatenating its tokens' bytes, so that one table of
id -> bytes yields a response's text and its token boundaries without decoding. Other tokenizers (SentencePiece style)
are decoded prefix by prefix, exactly and slowly.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core


def byte_alphabet() -> dict[str, int]:
    """Character -> byte of the byte-level alphabet (GPT-2's `bytes_to_unicode`, inverted)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


def token_bytes(tokenizer: Any) -> list[bytes] | None:
    """Bytes of each id 0..V-1, as `decode(skip_special_tokens=True)` joins them; None: not a byte-level tokenizer.

    Special tokens, and ids that the tokenizer leaves out, have none. A token is read through the byte-level alphabet if
    all its characters are in it, and is raw text otherwise (an added token such as " The Silent River (1987)").
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not _is_byte_level(json.loads(backend.to_str()).get("decoder")):
        return None
    alphabet = byte_alphabet()
    special = {id for id, token in backend.get_added_tokens_decoder().items() if token.special}
    vocabulary = backend.get_vocab(with_added_tokens=True)
    table = [b""] * (max(vocabulary.values(), default=-1) + 1)
    for token, id in vocabulary.items():
        if id not in special:
            in_alphabet = all(char in alphabet for char in token)
            table[id] = bytes(alphabet[char] for char in token) if in_alphabet else token.encode("utf-8")
    return table


def _is_byte_level(decoder: dict[str, Any] | None) -> bool:
    if decoder is None:
        return False
    if decoder["type"] == "Sequence":
        return len(decoder["decoders"]) == 1 and _is_byte_level(decoder["decoders"][0])
    return decoder["type"] == "ByteLevel"


_tables: weakref.WeakKeyDictionary[Any, tuple[int, _core.Vocabulary | None]] = weakref.WeakKeyDictionary()


def vocabulary(tokenizer: Any) -> _core.Vocabulary | None:
    """The tokenizer's table for the C++ engine, made once and again when tokens were added; None: not byte-level."""
    size = len(tokenizer)
    known = _tables.get(tokenizer)
    if known is None or known[0] != size:
        table = token_bytes(tokenizer)
        known = (size, None if table is None else _pack(table))
        _tables[tokenizer] = known
    return known[1]


def _pack(table: list[bytes]) -> _core.Vocabulary:
    ptr = np.zeros(len(table) + 1, dtype=np.int64)
    np.cumsum([len(token) for token in table], out=ptr[1:])
    return _core.Vocabulary(ptr, b"".join(table))


def decode_with_ends(tokenizer: Any, ids: list[int]) -> tuple[bytes, NDArray[np.int64]]:
    """Text of a response and the byte at which each token ends, [len(ids)], from decoding every prefix.

    A token ends where its prefix's text stops agreeing with the whole text. Tokens that build one character together
    (byte fallback) share its bytes evenly.
    """
    text = _decode(tokenizer, ids)
    ends = np.zeros(len(ids), dtype=np.int64)
    pending: list[int] = []
    last = 0
    for i, (agreed, complete) in enumerate(_prefixes(tokenizer, ids, text)):
        if not complete:
            pending.append(i)
            continue
        end = max(last, len(text[:agreed].encode("utf-8", "surrogatepass")))
        for place, j in enumerate(pending, 1):
            ends[j] = last + (end - last) * place // (len(pending) + 1)
        pending.clear()
        ends[i] = last = end
    size = len(text.encode("utf-8", "surrogatepass"))
    for place, j in enumerate(pending, 1):
        ends[j] = last + (size - last) * place // len(pending)
    return text.encode("utf-8", "surrogatepass"), ends


def _prefixes(tokenizer: Any, ids: list[int], text: str) -> Iterator[tuple[int, bool]]:
    """For each prefix of `ids`: characters that agree with `text`, and whether the prefix holds nothing else."""
    for count in range(1, len(ids) + 1):
        prefix = _decode(tokenizer, ids[:count])
        if text.startswith(prefix):
            yield len(prefix), True
            continue
        agreed = next(i for i, char in enumerate(prefix) if not text.startswith(char, i))
        yield agreed, False


def _decode(tokenizer: Any, ids: list[int]) -> str:
    text: str = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text
