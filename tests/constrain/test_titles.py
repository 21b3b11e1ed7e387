"""Which tokens may follow, against a reading of the whole text; titles with the answer's reader as the judge."""

from __future__ import annotations

import random
import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rerec_engine import _core
from rerec_engine.constrain.titles import AnswerTitles
from rerec_engine.errors import UserError
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.model.small_model import corpus_tokenizer, phrase_tokenizer

BOX = re.compile(rb"\\boxed\s*\{")


def possible(text: bytes, titles: set[bytes]) -> bool:
    """Whether a text is the beginning of one whose boxes hold distinct titles, a line each, and nothing else."""
    at = 0
    while found := BOX.search(text, at):
        end = text.find(b"}", found.end())
        body = text[found.end() :] if end < 0 else text[found.end() : end]
        if body[:1] == b"\n":
            body = body[1:]
        lines = [line.removeprefix(b" ") for line in body.split(b"\n")]
        whole = lines if end >= 0 else lines[:-1]
        if len(set(whole)) < len(whole) or not titles.issuperset(whole):
            return False
        if end < 0:
            return any(title.startswith(lines[-1]) for title in titles - set(whole))
        at = end + 1
    return True


def made(titles: list[str], tokens: list[bytes]) -> tuple[_core.Titles, set[bytes]]:
    catalogue = Catalogue(titles)
    ptr = np.cumsum([0, *map(len, tokens)], dtype=np.int64)
    tree = _core.TokenTree(ptr, b"".join(tokens))
    order = _core.title_order(catalogue.core, tree, 1)
    said = [titles[i].strip(" ").encode() for i in order]
    assert said == sorted(set(said))
    return _core.Titles(catalogue.core, tree, order), set(said)


LETTERS = [bytes([b]) for b in b"abc \n}{\\oxed("]
PIECES = [
    b"\\boxed",
    b"boxed{",
    b"{a",
    b"{ b",
    b"{\n",
    b"ab",
    b"a b",
    b"c}",
    b"}\n",
    b"\na",
    b"\n b",
    b"}\\boxed{",
    b"a}b",
]
PIECES += [b"\\boxed{", b"bc\na", b"", b"a\nb\nc", b"d{ab", b" (", b"}}", b"  "]


def walk(rng: random.Random, core: _core.Titles, titles: set[bytes], tokens: list[bytes], items: list[int]) -> None:
    """Draw from what is allowed, and compare it at every step."""
    rows = _core.AnswerRows(core)
    rows.join(np.array([0, len(items)], dtype=np.int64), np.array(items, dtype=np.int32), 1)
    text = b""
    for _ in range(40):
        inside = rows.inside(0)
        right = {i for i, token in enumerate(tokens) if possible(text + token, titles) and (token or not inside)}
        at, denied, _, ids = rows.allowed()
        every = set(range(len(tokens)))
        told = every if not len(at) else every - set(ids.tolist()) if denied[0] else set(ids.tolist())
        assert told == right, text
        assert not len(at) or bool(denied[0]) != inside
        box = [i for i in right if b"x" in tokens[i] or b"\\" in tokens[i]]
        token = rng.choice(sorted(box or right) if not inside and rng.random() < 0.7 else sorted(right))
        text += tokens[token]
        rows.advance(np.array([token]), np.array([0]))


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from([3, 12, 200]))
def test_what_may_follow_is_what_can_be_completed(rng: random.Random, size: int) -> None:
    titles = list({"".join(rng.choice("abc ") for _ in range(rng.randint(1, 6))).strip() for _ in range(size)} - {""})
    tokens = [*LETTERS, *rng.sample(PIECES, 12)]
    core, said = made(titles, tokens)
    if said:
        for _ in range(3):
            walk(rng, core, said, tokens, [])
    some = sorted(rng.sample(range(len(titles)), min(3, len(titles))))
    few = {titles[i].encode() for i in some}
    if few <= said:
        walk(rng, core, few, tokens, some)


def test_a_title_is_said_where_the_reader_takes_it_for_that_item() -> None:
    titles = [
        "Heat (1995)",
        "Twins",
        "Twins",
        "Bad } brace",
        "Back\\slash",
        " Trimmed ",
        "Two\nlines",
        "A; B",
        "C [SEP] D",
        "",
    ]
    tokenizer = corpus_tokenizer(titles, 300)
    answers = AnswerTitles(Catalogue(titles), tokenizer)
    assert answers.unsaid == 7
    for title in ("Heat (1995)", "Trimmed", "A; B"):
        drawn = answers.rows()
        drawn.join([()], 1)
        for token in tokenizer.encode(f"So: \\boxed{{{title}}}"):
            drawn.advance(torch.tensor([token]))
        assert drawn.core.answer(0) == [[t.strip() for t in titles].index(title)]


def test_candidates_tell_twins_apart_and_the_catalogue_does_not() -> None:
    titles = ["Twins", "Twins", "Other"]
    tokenizer = phrase_tokenizer([" Twins", " Other"])
    answers = AnswerTitles(Catalogue(titles), tokenizer)
    ids = torch.tensor(tokenizer.encode("\\boxed{ Twins}"))
    bounds = torch.tensor([0, len(ids), 2 * len(ids)])
    allowed = answers.read(torch.cat([ids, ids]), bounds, [(1, 2), ()])
    assert len(allowed.among(torch.arange(len(ids)))) == 2  # the title and the brace
    second = allowed.among(torch.arange(len(ids), 2 * len(ids)))
    assert len(second) == 0  # "Twins" could not be said: free from there on


def test_reading_is_what_drawing_saw() -> None:
    rng = random.Random(3)
    titles = [f"{rng.choice(['The', 'A', 'My'])} {rng.choice('abcdefgh')}{i} ({1900 + i})" for i in range(90)]
    tokenizer = corpus_tokenizer(titles * 2, 400)
    answers = AnswerTitles(Catalogue(titles), tokenizer)
    texts = [f"x \\boxed{{{titles[3]}\n{titles[7]}}} and \\boxed{{{titles[1]}}}", f"\\boxed{{ {titles[5]}}}", "none"]
    candidates = [(3, 7, 1), (), (2,)]
    encoded = [tokenizer.encode(text) for text in texts]
    bounds = torch.tensor([0, *np.cumsum([len(ids) for ids in encoded])])
    allowed = answers.read(torch.tensor(sum(encoded, [])), bounds, candidates)
    seen: list[tuple[int, bool, list[int]]] = []
    for i, ids in enumerate(encoded):
        rows = answers.rows()
        rows.join(candidates[i : i + 1], 1)
        for k, token in enumerate(ids):
            at, denied, _, some = rows.core.allowed()
            if len(at):
                seen.append((int(bounds[i]) + k, bool(denied[0]), some.tolist()))
            rows.advance(torch.tensor([token]))
    parts = allowed.ids.tensor_split(allowed.ptr[1:-1])
    assert [(int(a), bool(d), p.tolist()) for a, d, p in zip(allowed.at, allowed.denied, parts, strict=True)] == seen


def test_a_mask_leaves_what_may_follow_as_it_is() -> None:
    titles = ["Heat (1995)", "Alien (1979)"]
    tokenizer = corpus_tokenizer(titles, 300)
    rows = AnswerTitles(Catalogue(titles), tokenizer).rows()
    rows.join([(), ()], 1)
    free, boxed = tokenizer.encode("so"), tokenizer.encode("\\boxed{")
    for place, token in enumerate(boxed):
        rows.advance(torch.tensor([free[0], token]))
        logits = torch.randn(2, len(tokenizer) + 5)
        masked = rows.mask(logits.clone())
        assert torch.equal(masked, rows.mask(logits.double()).float())  # not in the core
        wider = torch.zeros(2, logits.shape[1] + 3)
        wider[:, : logits.shape[1]] = logits
        rows.mask(wider[:, : logits.shape[1]])
        assert torch.equal(wider[:, : logits.shape[1]], masked)
        assert not wider[:, logits.shape[1] :].any()
        assert torch.equal(masked[0], logits[0])
        kept = masked[1].isfinite()
        assert torch.equal(masked[1][kept], logits[1][kept])
        if place + 1 == len(boxed):
            first = {tokenizer.decode([i]).strip()[:1] for i in kept.nonzero()[:, 0].tolist()}
            assert first == {"H", "A", ""}
            assert not kept[tokenizer.eos_token_id]
            assert not kept[len(tokenizer) :].any()
    rows.keep(torch.tensor([1, 1, 0]))
    assert len(rows.core) == 3
    assert rows.core.inside(1)
    assert not rows.core.inside(2)


def test_a_token_that_may_not_follow_is_an_error() -> None:
    titles = ["Heat (1995)"]
    tokenizer = corpus_tokenizer(titles, 300)
    rows = AnswerTitles(Catalogue(titles), tokenizer).rows()
    rows.join([()], 1)
    for token in tokenizer.encode("\\boxed{"):
        rows.advance(torch.tensor([token]))
    with pytest.raises(ValueError, match="row 0: token .* cannot follow"):
        rows.advance(torch.tensor([tokenizer.eos_token_id]))


def test_titles_that_no_token_spells_are_refused() -> None:
    class Digits:
        """Tokens without letters."""

        all_special_ids: Any = ()

        def __len__(self) -> int:
            return 3

        def decode(self, ids: list[int], **_: Any) -> str:
            return "".join("0123"[i] for i in ids)

    with pytest.raises(UserError, match="cannot be constrained"):
        AnswerTitles(Catalogue(["Heat"]), Digits())
