"""From token ids to bytes, as `rerec_engine.model.text.decode` writes them.

A byte-level BPE tokenizer (Qwen2.5, Llama 3, GPT-2) decodes by concatenating its tokens' bytes, so that one table of
id -> bytes yields a response's text and its token boundaries without decoding. Other tokenizers (SentencePiece,
WordPiece, written in Python) are decoded once a response, and their tokens' pieces are laid along that text.

Spaces before punctuation are never cleaned up (`clean_up_tokenization_spaces=False`), whatever the tokenizer's setting.
"""

from __future__ import annotations

import json
import threading
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rerec_engine import _core
from rerec_engine.errors import UserError
from rerec_engine.model.text import decode
from rerec_engine.model.thinking import CLOSE, OPEN
from rerec_engine.reward.pieces import Pieces, window_ends

PADDING = 4096
"""Ids past the tokenizer's last that are accepted: a model's embedding is often padded by some hundreds of rows. They
have no text, and neither have holes in the range of ids: `decode` leaves out what has no token."""


def byte_alphabet() -> dict[str, int]:
    """Character -> byte of the byte-level alphabet (GPT-2's `bytes_to_unicode`, inverted)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


def token_bytes(tokenizer: Any) -> list[bytes] | None:
    """Bytes of each id from 0 to the last that has a token, as `decode` joins them; None: not a byte-level tokenizer.

    Special tokens but for the marks of reasoning, and ids that the tokenizer leaves out, have none. A token is read
    through the byte-level alphabet if all its characters are in it, and is raw text otherwise (an added token such as
    " The Silent River (1987)"). A tokenizer that decodes all its ids to another text than this table is none.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not _is_byte_level(_decoder(backend)):
        return None
    alphabet = byte_alphabet()
    added = backend.get_added_tokens_decoder()
    # `decode` drops special tokens by their text.
    special = {token.content for id, token in added.items() if not backend.decode([id], skip_special_tokens=True)}
    special -= {OPEN, CLOSE}
    table = []
    for id in range(_last_id(backend) + 1):
        token = backend.id_to_token(id)
        table.append(b"" if token is None or token in special else _from_alphabet(token, alphabet))
    text = b"".join(table).decode("utf-8", "replace")
    return table if decode(tokenizer, list(range(len(table)))) == text else None


def _from_alphabet(token: str, alphabet: dict[str, int]) -> bytes:
    try:
        return bytes([alphabet[char] for char in token])
    except KeyError:
        return token.encode("utf-8")


def _decoder(backend: Any) -> dict[str, Any] | None:
    if backend.decoder is None:
        return None
    decoder: dict[str, Any] = json.loads(backend.decoder.__getstate__())
    return decoder


def _is_byte_level(decoder: dict[str, Any] | None) -> bool:
    if decoder is None:
        return False
    if decoder["type"] == "Sequence":
        return len(decoder["decoders"]) == 1 and _is_byte_level(decoder["decoders"][0])
    return decoder["type"] == "ByteLevel"


def _last_id(backend: Any) -> int:
    vocabulary, added = backend.get_vocab(with_added_tokens=True), backend.get_added_tokens_decoder()
    return max(max(vocabulary.values(), default=-1), max(added, default=-1))


def id_limit(tokenizer: Any) -> int:
    """Ids from 0 up to here, exclusive, are accepted: the tokenizer's and `PADDING` more."""
    return _known(tokenizer).limit


def vocabulary(tokenizer: Any) -> _core.Vocabulary | None:
    """The tokenizer's table of `id_limit` ids for the C++ engine; None: not byte-level.

    Made once for a tokenizer and kept while the tokenizer lives. It is made again when tokens were added or declared
    special, or the tokenizer's parts were exchanged, which a sample of its ids tells (a change of single tokens of the
    model in place goes unseen). May be called from several threads.
    """
    return _known(tokenizer).table


@dataclass(frozen=True)
class _Known:
    """What is kept of one tokenizer."""

    owner: Any
    backend: Any
    sample: list[int]
    fingerprint: tuple[Any, ...]
    limit: int
    table: _core.Vocabulary | None
    pieces: Pieces


_MOST_KNOWN = 64
_known_by_id: dict[int, _Known] = {}
_lock = threading.Lock()


def _known(tokenizer: Any) -> _Known:
    found = _known_by_id.get(id(tokenizer))
    if found is None or not _is_current(found, tokenizer):
        with _lock:
            found = _known_by_id.get(id(tokenizer))
            if found is None or not _is_current(found, tokenizer):
                found = _known_by_id[id(tokenizer)] = _make(tokenizer)
                while len(_known_by_id) > _MOST_KNOWN:
                    del _known_by_id[next(iter(_known_by_id))]
    return found


def _is_current(known: _Known, tokenizer: Any) -> bool:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return known.backend is backend and known.fingerprint == _fingerprint(tokenizer, backend, known.sample)


def _make(tokenizer: Any) -> _Known:
    if not (hasattr(tokenizer, "decode") and hasattr(tokenizer, "__len__")):
        kind = f"{type(tokenizer).__module__}.{type(tokenizer).__qualname__}"
        raise UserError(f"tokenizer must be one of transformers (PreTrainedTokenizerBase), got {kind}")
    backend = getattr(tokenizer, "backend_tokenizer", None)
    table = token_bytes(tokenizer)
    sample: list[int] = []
    size = len(tokenizer)
    if backend is not None:
        size = _last_id(backend) + 1 if table is None else len(table)
        added = sorted(backend.get_added_tokens_decoder())
        sample = [*range(0, size, size // 32 + 1), *added[:: len(added) // 32 + 1]]
    return _Known(
        owner=_reference(tokenizer),
        backend=backend,
        sample=sample,
        fingerprint=_fingerprint(tokenizer, backend, sample),
        limit=size + PADDING,
        table=None if table is None else _pack(table, size + PADDING),
        pieces=Pieces(),
    )


def _reference(tokenizer: Any) -> Any:
    """Weak where the tokenizer allows it, so that its table goes with it; else the tokenizer, so that its id stays."""
    key = id(tokenizer)
    try:
        return weakref.ref(tokenizer, lambda _: _known_by_id.pop(key, None))
    except TypeError:
        return tokenizer


def _fingerprint(tokenizer: Any, backend: Any, sample: list[int]) -> tuple[Any, ...]:
    if backend is None:
        return (len(tokenizer),)
    decoder = None if backend.decoder is None else backend.decoder.__getstate__()
    special = getattr(tokenizer, "all_special_ids", None)
    return len(tokenizer), decoder, special, backend.decode(sample, skip_special_tokens=True)


def _pack(table: list[bytes], size: int) -> _core.Vocabulary:
    ptr = np.zeros(size + 1, dtype=np.int64)
    np.cumsum([len(token) for token in table], out=ptr[1 : len(table) + 1])
    ptr[len(table) + 1 :] = ptr[len(table)]
    return _core.Vocabulary(ptr, b"".join(table))


def decode_with_ends(tokenizer: Any, ids: list[int]) -> tuple[bytes, NDArray[np.int64]]:
    """Text of a response, its `decode`, and the byte at which each token ends, [len(ids)], ascending to the text's end.

    A token has the text that it adds after other tokens; special tokens and ids without a token have none. A byte
    token ("<0xF0>") has its byte, or one U+FFFD where its run of byte tokens is no UTF-8. Where tokens cannot be told
    apart, they share the bytes that they write together evenly. Lone surrogates are written as UTF-8 writes other
    characters. Takes time in proportion to the length.
    Errors: `UserError` for ids that the tokenizer refuses.
    """
    try:
        text = decode(tokenizer, ids)
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"token_ids: the tokenizer cannot decode them: {error}") from error
    raw = text.encode("utf-8", "surrogatepass")
    pieces = _known(tokenizer).pieces
    ends = pieces.ends(tokenizer, ids, raw)
    return raw, window_ends(tokenizer, ids, text) if ends is None else ends
