"""The fuzzers' seeds through the Python bindings: nothing crashes, and what the fuzzers check holds here too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from rerec_engine import _core
from rerec_engine.config import RewardWeights
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.reward import RewardEngine, TokenScores
from rerec_engine.reward.vocabulary import byte_alphabet

CORPUS = Path(__file__).parent / "corpus"


def seeds(fuzzer: str) -> list[Path]:
    return sorted((CORPUS / fuzzer).glob("*.seed"))


def read(path: Path, count: int) -> tuple[bytes, list[bytes]]:
    """Options [8] and sections, as tests/fuzz/input.hpp reads them."""
    data = path.read_bytes()
    return data[:8].ljust(8, b"\0"), (data[8:].split(b"\x1e") + [b""] * count)[:count]


def texts(section: bytes) -> list[str]:
    return [text.decode("utf-8", "surrogateescape") for text in section.split(b"\x1f")]


def test_there_are_seeds() -> None:
    sizes = [path.stat().st_size for name in ("parse", "match", "score") for path in seeds(name)]
    assert len(sizes) > 30
    assert sum(sizes) < 100_000


@pytest.mark.parametrize("path", seeds("parse"), ids=lambda path: path.stem)
@pytest.mark.parametrize("which", [_core.Which.first, _core.Which.last], ids=["first", "last"])
def test_parse(path: Path, which: _core.Which) -> None:
    _, (text,) = read(path, 1)
    catalogue = Catalogue(["The Glass Harbour (1987)", "Owls; a Winter (2003)", "Quiet", "Río (El) (1999)"])
    box = _core.boxed(text, which)
    if box is not None:
        begin, content = box
        assert text[begin:].startswith(b"\\boxed{" + content + b"}")
    entries = _core.read_answer(text, catalogue.core, catalogue.candidate_ids(None), which)
    assert all(entry in text and -1 <= item < len(catalogue) for item, entry in entries)
    assert _core.words(text) == _core.words(text.decode("utf-8", "replace"))
    name, year, tail = _core.split_title(text)
    assert name in text
    assert tail in text
    assert year == 0 or str(year).encode() in text


@pytest.mark.parametrize("path", seeds("match"), ids=lambda path: path.stem)
def test_match(path: Path) -> None:
    options, (titles, chosen, queries) = read(path, 3)
    names = texts(titles)
    years = [1980 + (options[1] + i // 2) % 40 for i in range(len(names))] if options[0] & 1 else None
    catalogue = Catalogue(names, years)
    candidates = [byte % len(names) for byte in chosen]
    for query in [*texts(queries), *names]:
        for among in (None, candidates):
            found = catalogue.explain(query, among)
            assert (found.item_id >= 0) == (found.rule not in ("ambiguous", "none"))
            assert all(0 <= item < len(names) for item in found.alternatives)
            assert catalogue.match(f" {query}\n", among) == found.item_id
    for i, name in enumerate(names):
        if name.strip() and [other.strip() for other in names].count(name.strip()) == 1:
            assert catalogue.match(name) == i


def byte_level(pieces: list[bytes]) -> tuple[PreTrainedTokenizerFast, dict[bytes, int]]:
    """A tokenizer of all bytes, the pieces and a token without text, and its ids by their bytes."""
    names = {byte: char for char, byte in byte_alphabet().items()}
    tokens = [bytes([byte]) for byte in range(256)]
    tokens += sorted(set(pieces) - set(tokens) - {b""})
    vocab = {"".join(names[byte] for byte in token): id for id, token in enumerate(tokens)}
    backend = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<none>"])
    ids = {token: id for id, token in enumerate(tokens)} | {b"": len(tokens)}
    return PreTrainedTokenizerFast(tokenizer_object=backend), ids


def cut(text: bytes, sizes: bytes) -> list[bytes]:
    pieces: list[bytes] = []
    at = 0
    while at < len(text):
        size = sizes[len(pieces) % len(sizes)] % 12 if sizes and len(pieces) < 4096 else 1
        pieces.append(text[at : at + size])
        at += size
    return pieces


@pytest.mark.parametrize("path", seeds("score"), ids=lambda path: path.stem)
@pytest.mark.parametrize("mode", ["shared", "max", "mean"])
def test_score(path: Path, mode: str) -> None:
    options, (titles, text, sizes, truth, candidates) = read(path, 5)
    names = texts(titles)
    rng = np.random.default_rng(options[4])
    embeddings = np.eye(4, dtype=np.float32)[rng.integers(0, 4, len(names))]
    attributes = sp.csr_matrix(rng.random((len(names), 6)) < 0.5, dtype=np.float32)
    years = [1980 + (options[3] + i) % 40 for i in range(len(names))] if options[0] & 8 else None
    answer = "first" if options[0] & 1 else "last"
    responses = [text, b"", text[: len(text) // 2], text + b"\n" + text] * 5
    wanted = [[byte % len(names) for byte in truth or b"\0"]] * len(responses)
    among = [[byte % len(names) for byte in candidates] if i % 2 == 0 else None for i in range(len(responses))]
    pieces = [cut(response, sizes) for response in responses]
    tokenizer, ids = byte_level([piece for row in pieces for piece in row])

    def run(rows: list[list[bytes]], threads: int) -> TokenScores:
        weights = RewardWeights(qas_mode=mode)
        engine = RewardEngine(Catalogue(names, years), attributes, embeddings, weights, threads, answer)
        flat = [ids[piece] for row in rows for piece in row]
        result = engine.score_tokens(
            np.array(flat, dtype=np.int64), np.cumsum([0, *map(len, rows)]), wanted, tokenizer, among, k=options[1] + 1
        )
        plain = engine.score(responses, wanted, among, k=options[1] + 1)
        np.testing.assert_array_equal(plain.total, result.scores.total)
        return result

    by_byte = run([[bytes([byte]) for byte in response] for response in responses], 1)
    result, again = run(pieces, 1), run(pieces, 2)
    assert np.isfinite(result.scores.total).all()
    np.testing.assert_array_equal(result.scores.total, by_byte.scores.total)
    np.testing.assert_array_equal(result.token_rewards, again.token_rewards)
    np.testing.assert_array_equal(result.segment_lengths, again.segment_lengths)
    marks = np.repeat(result.segment_penalised, result.segment_lengths)
    byte_marks = np.repeat(by_byte.segment_penalised, by_byte.segment_lengths)
    assert len(marks) == len(result.token_rewards)
    rewards = np.repeat(result.scores.total.astype(np.float64), [len(row) for row in pieces])
    np.testing.assert_allclose(result.token_rewards, np.where(marks, rewards - 0.3 * abs(rewards), rewards), rtol=1e-6)
    token = at = 0
    for row in pieces:
        for piece in row:
            first = next((i for i, byte in enumerate(piece) if byte not in b"\r\n"), 0)
            assert marks[token] == (bool(piece) and byte_marks[at + first])
            token += 1
            at += len(piece)
