"""The table of token bytes against the tokenizer's own decode, and how long it is kept."""

from __future__ import annotations

import copy
import gc
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import GPT2Tokenizer, PreTrainedTokenizerFast, Qwen2Tokenizer

from rerec_engine.errors import UserError
from rerec_engine.reward import vocabulary as module
from rerec_engine.reward.vocabulary import (
    PADDING,
    byte_alphabet,
    decode_with_ends,
    id_limit,
    token_bytes,
    vocabulary,
)

ALPHABET = {char: i for i, char in enumerate(sorted(byte_alphabet()))}


def decoded(tokenizer: Any, ids: list[int]) -> str:
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def from_table(tokenizer: Any, ids: list[int]) -> str:
    table = token_bytes(tokenizer)
    assert table is not None
    return b"".join(table[i] for i in ids if i < len(table)).decode("utf-8", "replace")


def byte_level(vocab: dict[str, int] | None = None, decoder: Any = None) -> Tokenizer:
    backend = Tokenizer(models.BPE(vocab=vocab or ALPHABET, merges=[]))
    backend.decoder = decoder or decoders.ByteLevel()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return backend


def wrap(backend: Tokenizer, kind: type = PreTrainedTokenizerFast, **settings: Any) -> Any:
    return kind(tokenizer_object=backend, **settings)


def test_the_alphabet_is_a_bijection() -> None:
    assert sorted(byte_alphabet().values()) == list(range(256))


def test_single_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    table = token_bytes(tokenizer)
    assert table is not None
    assert len(table) == len(tokenizer)
    expected = {" Heat (1995)": " Heat (1995)", "Ġseven": " seven", "<eos>": "", "日本": "日本"}
    assert {token: table[tokenizer.convert_tokens_to_ids(token)].decode() for token in expected} == expected


@given(st.lists(st.integers(0, 263), max_size=20))
def test_any_ids_decode_as_the_tokenizer_decodes_them(tokenizer: PreTrainedTokenizerFast, ids: list[int]) -> None:
    assert from_table(tokenizer, ids) == decoded(tokenizer, ids)


@given(st.text(max_size=40))
def test_any_text_comes_back(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert from_table(tokenizer, ids) == decoded(tokenizer, ids)


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("setting", ["plain", "lstrip", "rstrip", "normalized", "single_word"])
def test_added_tokens(setting: str, special: bool) -> None:
    """Their settings say how text is split; only `special` says what decode writes."""
    backend = byte_level()
    backend.normalizer = normalizers.Lowercase()
    settings = {"normalized": False} | ({setting: True} if setting != "plain" else {})
    backend.add_tokens([AddedToken(text, special=special, **settings) for text in (" The END ", "éa", "Ġx", "日\n")])
    tokenizer = wrap(backend)
    table = token_bytes(tokenizer)
    assert table is not None
    if setting != "normalized":  # then decode writes normalised text, which is no longer that of a special token
        # "éa" and "Ġx" are in the byte alphabet: decode reads them as bytes.
        assert table[256:] == ([b""] * 4 if special else [b" The END ", b"\xe9a", b" x", "日\n".encode()])
    ids = [*range(256, 260), 5, *range(259, 255, -1), 200]
    assert from_table(tokenizer, ids) == decoded(tokenizer, ids)


def test_a_special_token_added_again_as_plain() -> None:
    backend = byte_level()
    backend.add_special_tokens(["<x>"])
    backend.add_tokens([AddedToken("<x>", special=False), AddedToken("<y>", special=False)])
    tokenizer = wrap(backend)
    assert from_table(tokenizer, [256, 257]) == decoded(tokenizer, [256, 257])


def test_a_token_of_the_model_declared_special() -> None:
    tokenizer = wrap(byte_level())
    tokenizer.add_special_tokens({"pad_token": "a"})
    ids = [ALPHABET[char] for char in "bab"]
    assert from_table(tokenizer, ids) == decoded(tokenizer, ids) == "bb"


def test_holes_in_the_ids_have_no_text() -> None:
    tokenizer = wrap(byte_level(ALPHABET | {"Ġfar": 1000}))
    table = token_bytes(tokenizer)
    assert table is not None
    assert (len(tokenizer), len(table)) == (257, 1001)
    ids = [ALPHABET["a"], 500, 1000, 999]
    assert from_table(tokenizer, ids) == decoded(tokenizer, ids) == "a far"


def test_ids_of_a_padded_embedding_have_no_text(tokenizer: PreTrainedTokenizerFast) -> None:
    table = vocabulary(tokenizer)
    assert table is not None
    assert len(table) == id_limit(tokenizer) == len(tokenizer) + PADDING
    assert decoded(tokenizer, [len(tokenizer), len(table) - 1]) == ""


def test_an_empty_vocabulary() -> None:
    backend = Tokenizer(models.BPE())
    backend.decoder = decoders.ByteLevel()
    tokenizer = wrap(backend)
    assert token_bytes(tokenizer) == []
    assert vocabulary(tokenizer) is not None


@pytest.mark.parametrize(
    ("decoder", "expected"),
    [
        (decoders.Sequence([decoders.ByteLevel()]), True),
        (decoders.Sequence([decoders.Sequence([decoders.ByteLevel()])]), True),
        (decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)]), False),
        (decoders.Sequence([decoders.Replace(Regex("a+"), "b"), decoders.ByteLevel()]), False),
        (decoders.Sequence([decoders.Fuse(), decoders.ByteLevel()]), False),
        (decoders.Fuse(), False),
    ],
    ids=["sequence", "nested", "strip", "replace", "fuse", "other"],
)
def test_decoders(decoder: Any, expected: bool) -> None:
    backend = byte_level(decoder=decoder)
    backend.add_tokens([AddedToken("aa 日", normalized=False)])
    tokenizer = wrap(backend)
    assert (token_bytes(tokenizer) is not None) == expected
    ids = tokenizer(" caa 日本 aa", add_special_tokens=False)["input_ids"]
    text, ends = decode_with_ends(tokenizer, ids)
    assert text.decode() == decoded(tokenizer, ids)
    assert ends[-1] == len(text)


def test_a_tokenizer_that_decodes_otherwise_has_no_table() -> None:
    class Shouting(PreTrainedTokenizerFast):
        def decode(self, token_ids: Any, **settings: Any) -> str:
            return super().decode(token_ids, **settings).upper()

    tokenizer = wrap(byte_level(), Shouting)
    assert token_bytes(tokenizer) is None
    ids = tokenizer("see it", add_special_tokens=False)["input_ids"]
    text, ends = decode_with_ends(tokenizer, ids)
    assert (text, ends.tolist()) == (b"SEE IT", [1, 2, 3, 4, 5, 6])


def test_spaces_are_not_cleaned_up() -> None:
    settings = {
        "clean_up_tokenization_spaces": True,
        "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output": True,
    }
    tokenizer = wrap(byte_level(), **settings)
    ids = tokenizer("it 's , ok", add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == "it's, ok"
    assert from_table(tokenizer, ids) == decoded(tokenizer, ids) == "it 's , ok"


@pytest.mark.parametrize("kind", [GPT2Tokenizer, Qwen2Tokenizer])
def test_model_classes(kind: type) -> None:
    vocab = dict(ALPHABET) | {"he": 256, "Ġhe": 257, "<|endoftext|>": 258}
    tokenizer = kind(vocab=vocab, merges=[("h", "e"), ("Ġ", "he")])
    ids = [*tokenizer("he said: hé 日本\r\n", add_special_tokens=False)["input_ids"], 258, 200, 258, 257]
    assert from_table(tokenizer, ids) == decoded(tokenizer, ids)
    assert decoded(tokenizer, ids).startswith("he said: hé 日本\r\n")


def test_other_tokenizers_have_no_table() -> None:
    backend = Tokenizer(models.WordLevel(vocab={"Heat": 0, "<unk>": 1}, unk_token="<unk>"))
    assert token_bytes(wrap(backend)) is None
    assert vocabulary(wrap(backend)) is None
    assert token_bytes(object()) is None


@pytest.mark.parametrize("wrong", [object(), byte_level(), None, "gpt2"], ids=["object", "tokenizers", "none", "str"])
def test_what_is_no_tokenizer_is_refused(wrong: Any) -> None:
    with pytest.raises(UserError, match="tokenizer must be one of transformers"):
        vocabulary(wrong)


def test_a_real_tokenizer(shared_data: Path) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(shared_data / "reward-workload")
    for text in ("Los olvidados – 日本語 😀\n\n\\boxed{Amélie (2001)}", "\u200b\ufeff é\r\n\t\x00", " " * 9):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert from_table(tokenizer, ids) == decoded(tokenizer, ids) == text
    ids = np.random.default_rng(0).integers(0, len(tokenizer), 20_000).tolist()
    assert from_table(tokenizer, ids) == decoded(tokenizer, ids)


# How long a table is kept.


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The tables that were made, in order."""
    made: list[Any] = []

    def counted(tokenizer: Any) -> list[bytes] | None:
        made.append(token_bytes(tokenizer))
        return made[-1]

    monkeypatch.setattr(module, "token_bytes", counted)
    return made


def test_the_table_is_made_once(builds: list[Any]) -> None:
    tokenizer = wrap(byte_level())
    tables = {id(vocabulary(tokenizer)) for _ in range(5)}
    assert id_limit(tokenizer) == 256 + PADDING
    assert (len(tables), len(builds)) == (1, 1)


def test_a_tokenizer_without_a_table_is_looked_at_once(builds: list[Any]) -> None:
    tokenizer = wrap(Tokenizer(models.WordLevel(vocab={"Heat": 0, "<unk>": 1}, unk_token="<unk>")))
    for _ in range(3):
        assert vocabulary(tokenizer) is None
        decode_with_ends(tokenizer, [0])
    assert len(builds) == 1


def replace_model(tokenizer: Any) -> None:
    """Another vocabulary of the same length."""
    rotated = {char: (i + 1) % 256 for char, i in ALPHABET.items()}
    tokenizer.backend_tokenizer.model = models.BPE(vocab=rotated, merges=[])


def replace_backend(tokenizer: Any) -> None:
    """Two tokens changed, which the sample does not hold."""
    swapped = ALPHABET | {char: {1: 2, 2: 1}[i] for char, i in ALPHABET.items() if i in (1, 2)}
    tokenizer._tokenizer = byte_level(swapped)


def replace_decoder(tokenizer: Any) -> None:
    tokenizer.backend_tokenizer.decoder = decoders.Fuse()


CHANGES: list[Callable[[Any], Any]] = [
    lambda tokenizer: tokenizer.add_tokens([AddedToken(" new", normalized=False)]),
    lambda tokenizer: tokenizer.add_special_tokens({"pad_token": "<pad>"}),
    lambda tokenizer: tokenizer.add_special_tokens({"eos_token": "a"}),
    lambda tokenizer: tokenizer.backend_tokenizer.add_tokens(["new"]),
    replace_model,
    replace_backend,
    replace_decoder,
]


@pytest.mark.parametrize(
    "change", CHANGES, ids=["add", "special", "same", "backend-add", "model", "backend", "decoder"]
)
def test_a_change_in_place_makes_it_anew(builds: list[Any], change: Callable[[Any], Any]) -> None:
    tokenizer = wrap(byte_level())
    vocabulary(tokenizer)
    change(tokenizer)
    vocabulary(tokenizer)
    vocabulary(tokenizer)
    assert len(builds) == 2
    assert builds[0] != builds[1]
    if builds[1] is not None:
        ids = list(range(len(tokenizer)))
        assert b"".join(builds[1]).decode("utf-8", "replace") == decoded(tokenizer, ids)


def test_copies_have_tables_of_their_own(builds: list[Any]) -> None:
    tokenizer = wrap(byte_level())
    first = vocabulary(tokenizer)
    other = copy.deepcopy(tokenizer)
    other.add_tokens(["new"])
    assert len(vocabulary(other) or []) == 257 + PADDING
    assert vocabulary(tokenizer) is first
    shallow = copy.copy(tokenizer)  # shares the backend
    shallow.add_tokens(["new"])
    assert len(vocabulary(shallow) or []) == len(vocabulary(tokenizer) or []) == 257 + PADDING
    assert len(builds) == 4


class Unhashable(PreTrainedTokenizerFast):
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unhashable)


class Slotted:
    """A wrapper that takes no weak reference."""

    __slots__ = ("inner",)

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __len__(self) -> int:
        return len(self.inner)

    def decode(self, ids: list[int], **settings: Any) -> str:
        return self.inner.decode(ids, **settings)

    @property
    def backend_tokenizer(self) -> Tokenizer:
        return self.inner.backend_tokenizer


@pytest.mark.parametrize("kind", [Unhashable, Slotted])
def test_tokenizers_without_hash_or_weak_references(builds: list[Any], kind: type) -> None:
    tokenizers = [wrap(byte_level(), kind) if kind is Unhashable else Slotted(wrap(byte_level())) for _ in range(2)]
    tables = [vocabulary(tokenizer) for tokenizer in tokenizers for _ in range(3)]
    assert len(builds) == 2
    assert tables[0] is tables[2]
    assert tables[0] is not tables[3]


def test_a_table_goes_with_its_tokenizer() -> None:
    tokenizer = wrap(byte_level())
    vocabulary(tokenizer)
    key = id(tokenizer)
    assert key in module._known_by_id
    del tokenizer
    gc.collect()
    assert key not in module._known_by_id


def test_few_tables_are_kept_of_what_takes_no_weak_reference() -> None:
    for _ in range(module._MOST_KNOWN + 3):
        vocabulary(Slotted(wrap(byte_level())))
    assert len(module._known_by_id) <= module._MOST_KNOWN


def test_threads_make_one_table(builds: list[Any]) -> None:
    tokenizer = wrap(byte_level())
    start = threading.Barrier(8)
    tables = []

    def ask() -> None:
        start.wait()
        tables.append(vocabulary(tokenizer))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(builds) == 1
    assert all(table is tables[0] for table in tables)
