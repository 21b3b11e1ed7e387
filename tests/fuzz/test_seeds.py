"""The fuzzers' seeds through the Python bindings: nothing crashes, and what the fuzzers check holds here too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import scipy.sparse as sp
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from rerec_engine import _core
from rerec_engine.config import QasMode, RewardWeights
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
    sizes = [path.stat().st_size for name in ("parse", "match", "mentions", "score") for path in seeds(name)]
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
        assert re.match(rb"\\boxed\s*\{" + re.escape(content) + rb"\}", text[begin:])
    entries = _core.read_answer(text, catalogue.core, catalogue.candidate_ids(None), which)
    plain = box is None or not re.search(rb"[\\{}]|\xef\xbc\x9b", box[1])
    assert all((entry in text or not plain) and -1 <= item < len(catalogue) for item, entry in entries)
    assert _core.words(text) == _core.words(text.decode("utf-8", "replace"))
    name, year, tail = _core.split_title(text)
    assert name in text
    assert tail in text
    assert year == 0 or str(year) in " ".join(word[0] for word in _core.words(text))


@pytest.mark.parametrize("path", seeds("match"), ids=lambda path: path.stem)
def test_match(path: Path) -> None:
    options, (titles, chosen, queries, _) = read(path, 4)
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
        size = sizes[len(pieces) % len(sizes)] % 36 if sizes and len(pieces) < 4096 else 1
        pieces.append(text[at : at + size])
        at += size
    return pieces


@pytest.fixture(scope="module")
def by_bytes() -> PreTrainedTokenizerFast:
    return byte_level([])[0]


def mentioned(line: bytes, title: bytes) -> bool:
    """Whether the line holds the title's words, as `RewardEngine.score_tokens` tells what a mention is."""
    wanted, found = _core.words(title), _core.words(line)
    if not 1 <= len(wanted) <= 64:
        return False
    article = wanted.pop(0)[0] if len(wanted) > 1 and wanted[0][0] in ("the", "a", "an") else None
    *head, (last, _, upper, _) = wanted
    for i in range(len(found) - len(head)):
        text, stem, begins_upper, is_year = found[i + len(head)]
        if last not in (text, stem) or [word[0] for word in found[i : i + len(head)]] != [word[0] for word in head]:
            continue
        preceded = article is None or (i > 0 and found[i - 1][0] == article)
        if head or (preceded and not is_year and (begins_upper or not upper)):
            return True
    return False


def plain_titles(path: Path) -> list[bytes]:
    """Those that an answer holds as they stand."""
    _, (titles, _) = read(path, 2)
    return [t for t in titles.split(b"\x1f") if t.strip() and not set(t) & set(b"()[],;{}\\\r\n\"'*`._-")]


@pytest.mark.parametrize("path", [path for path in seeds("mentions") if plain_titles(path)], ids=lambda path: path.stem)
def test_mentions(path: Path, by_bytes: PreTrainedTokenizerFast) -> None:
    """Each title as an answer that is in no catalogue."""
    _, (_, text) = read(path, 2)
    engine = RewardEngine(Catalogue(["-"]), sp.csr_matrix((1, 1)), np.ones((1, 1), dtype=np.float32), threads=1)
    lines = re.findall(rb"[^\r\n]*[\r\n]", text + b"\n")
    for title in plain_titles(path):
        answer = b"".join(lines) + b"\\boxed{" + title + b"}"
        ids = np.frombuffer(answer, dtype=np.uint8).astype(np.int64)
        result = engine.score_tokens(ids, [0, len(ids)], [0], by_bytes)
        marks = np.repeat(result.segment_penalised, result.segment_lengths)
        ends = np.cumsum([len(line) for line in lines])
        assert [bool(marks[end - 1]) for end in ends] == [mentioned(line, title) for line in lines]


def statements(engine: RewardEngine, text: bytes) -> list[tuple[int, int, bool, bool]]:
    """What the engine reads in hostile text; as many as it counts."""
    found = engine._core.statements(text) if engine.score([text], [0], reasons=True) else []
    assert [line for line, *_ in found] == sorted(line for line, *_ in found)
    return found


@pytest.mark.parametrize("path", seeds("score"), ids=lambda path: path.stem)
def test_score(path: Path) -> None:
    options, (titles, text, sizes, truth, candidates, attribute_names) = read(path, 6)
    names, more = texts(titles), options[7]
    rng = np.random.default_rng(options[4])
    embeddings = np.eye(4, dtype=np.float32)[rng.integers(0, 4, len(names))]
    attributes = sp.csr_matrix(rng.random((len(names), 6)) < 0.5, dtype=np.float32)
    known = ([name.decode("utf-8", "replace") for name in attribute_names.split(b"\x1f")] * 6)[:6]
    years = [1980 + (options[3] + i) % 40 for i in range(len(names))] if options[0] & 8 else None
    answer: Literal["first", "last"] = "first" if options[0] & 1 else "last"
    modes: list[QasMode] = ["shared", "max", "mean"]
    weights = RewardWeights(
        qas_mode=modes[(options[0] >> 1 & 3) % 3],
        ndcg_graded=bool(more & 1),
        pas_centred=bool(more & 2),
        qas_idf=bool(more & 4),
        repeat_penalty=options[2] / 64 if more & 16 else 0.0,
    )
    penalty, credit = options[2] / 64, options[2] / 64 if more & 32 else 0.0
    responses = [text, b"", text[: len(text) // 2], text + b"\n" + text] * 5
    wanted = [[byte % len(names) for byte in truth or b"\0"]] * len(responses)
    among = [[byte % len(names) for byte in candidates] if i % 2 == 0 else None for i in range(len(responses))]
    pieces = [cut(response, sizes) for response in responses]
    tokenizer, ids = byte_level([piece for row in pieces for piece in row])
    token_ids = [[ids[piece] for piece in row] for row in pieces]

    def run(rows: list[list[int]], threads: int, padded: bool = False) -> TokenScores:
        engine = RewardEngine(Catalogue(names, years), attributes, embeddings, weights, threads, answer, known)
        assert all(0 <= item < len(names) for _, item, _, _ in statements(engine, text))
        settings: dict[str, Any] = dict(candidates=among, w_penalty=penalty, w_credit=credit, k=options[1] % 12 + 1)
        lengths = np.array([len(row) for row in rows])
        flat = np.array([id for row in rows for id in row], dtype=np.int64)
        if padded:
            matrix = np.full((len(rows), max(lengths) + 3), -1, dtype=np.int32)
            matrix[np.arange(matrix.shape[1]) < lengths[:, None]] = flat
            return engine.score_tokens(matrix, lengths, wanted, tokenizer, **settings)
        result = engine.score_tokens(flat, np.cumsum([0, *lengths]), wanted, tokenizer, **settings)
        plain = engine.score(responses, wanted, among, k=settings["k"])
        np.testing.assert_array_equal(plain.total, result.scores.total)
        return result

    by_byte = run([[ids[bytes([byte])] for byte in response] for response in responses], 1)
    result, again, rows = run(token_ids, 1), run(token_ids, 2), run(token_ids, 2, padded=True)
    assert np.isfinite(result.scores.total).all()
    np.testing.assert_array_equal(result.scores.total, by_byte.scores.total)
    for other in (again, rows):
        np.testing.assert_array_equal(result.segment_lengths, other.segment_lengths)
        np.testing.assert_array_equal(result.segment_penalised, other.segment_penalised)
        np.testing.assert_array_equal(result.segment_credited, other.segment_credited)
    np.testing.assert_array_equal(result.token_rewards, again.token_rewards)
    there = np.arange(rows.token_rewards.shape[1]) < np.array([len(row) for row in pieces])[:, None]
    np.testing.assert_array_equal(rows.token_rewards[there], result.token_rewards)
    assert (rows.token_rewards[~there] == 0).all()

    def kinds(scores: TokenScores) -> list[int]:
        return np.repeat(scores.segment_penalised + 2 * scores.segment_credited, scores.segment_lengths).tolist()

    marks, byte_marks = kinds(result), kinds(by_byte)
    assert len(marks) == len(result.token_rewards)
    rewards = np.repeat(result.scores.total.astype(np.float64), [len(row) for row in pieces])
    shares = np.choose(marks, [0.0, -penalty, credit]) if marks else np.zeros(0)
    np.testing.assert_allclose(result.token_rewards, rewards + shares * abs(rewards), rtol=1e-5, atol=1e-6)
    token = at = 0
    for row in pieces:
        for piece in row:
            first = next((i for i, byte in enumerate(piece) if byte not in b"\r\n"), 0)
            assert marks[token] == (byte_marks[at + first] if piece else 0)
            token += 1
            at += len(piece)
