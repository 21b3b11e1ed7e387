"""Requests in other words, by a model behind an OpenAI-compatible server, unless something of them got lost."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rerec_engine.data.description import DatasetDescription
from rerec_engine.errors import UserError
from rerec_engine.worlds.catalogue.drafts import Draft
from rerec_engine.worlds.catalogue.english import ONES, Atom
from rerec_engine.worlds.catalogue.wording import Said

INSTRUCTIONS = (
    "Say the following request to a shop or library in other words, as another person would. Keep every name, title, "
    "number and wish exactly, add none, and answer with the request alone."
)
SECONDS = 60.0
AT_ONCE = 8
TRIES = 2
LONGEST = 1000
"""Characters of a rewriting."""
_NEGATION = re.compile(r"(?i)\b(?:no|not|none|never|nothing|without|except|excluding|avoid|other than)\b|n['’]t\b")


class Rewriter:
    """One server. url: with or without /v1. model: "" for the first that the server names. Raises UserError."""

    def __init__(self, url: str, model: str = "") -> None:
        if not re.match(r"https?://", url):
            raise UserError(f"llm: expected an address such as http://localhost:8000/v1, got {url!r}")
        self._url = url.rstrip("/").removesuffix("/chat/completions").removesuffix("/v1") + "/v1"
        self._model = model or self._first_model()

    def rewrite(
        self, requests: Sequence[tuple[Draft, Said]], description: DatasetDescription, seed: int
    ) -> list[str | None]:
        """Each request in other words; None where none was found that keeps all that is asked. Raises UserError where
        the server fails."""

        def one(number: int) -> str | None:
            draft, said = requests[number]
            for attempt in range(TRIES):
                text = self._ask(said.text, seed + TRIES * number + attempt)
                if keeps_all(draft, said, text, description):
                    return text
            return None

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(one, range(len(requests))))

    def _ask(self, text: str, seed: int) -> str:
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": f"{INSTRUCTIONS}\n\n{text}"}],
            "temperature": 0.8,
            "max_tokens": 300,
            "seed": seed,
        }
        answer = self._fetch("chat/completions", body)
        try:
            content = answer["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError):
            raise UserError(f"llm: {self._url} answered without a message: {str(answer)[:100]}") from None
        return " ".join(str(content or "").split()).strip('"')

    def _first_model(self) -> str:
        try:
            return str(self._fetch("models")["data"][0]["id"])
        except (KeyError, IndexError, TypeError):
            raise UserError(f"llm: {self._url} names no model: give --llm-model") from None

    def _fetch(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._url}/{path}", data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise UserError(f"llm: {self._url}/{path} answered {error.code} {error.reason}") from None
        except (OSError, ValueError) as error:
            raise UserError(f"llm: {self._url} cannot be asked: {error}") from None


def keeps_all(draft: Draft, said: Said, text: str, description: DatasetDescription) -> bool:
    """Whether titles, values, numbers, exclusions and relations of a request are still in the words."""
    if not 0 < len(text) <= LONGEST:
        return False
    words = text.casefold()
    if not all(_named(piece, words) for piece in said.pieces if isinstance(piece, Atom)):
        return False
    if any(condition.excluded for condition in draft.conditions) and not _NEGATION.search(text):
        return False
    for place, condition in enumerate(draft.conditions):
        wording = description.wording(condition.name)
        inferred = 0 <= draft.inferred <= place
        named = draft.via >= 0 if inferred else bool(wording.clause)  # whether the words name the relation
        if condition.span is None and named:
            stems = [w[:5] for w in f"{wording.clause} {wording.role}".casefold().split() if len(w) > 3 and w != "with"]
            if stems and not any(stem in words for stem in stems):
                return False
    return True


def _named(piece: str, words: str) -> bool:
    """Whether a name or number stands in the words, a small number as digits or as a word."""
    ways = [piece.casefold()]
    if ways[0] in ONES:
        ways.append(str(ONES.index(ways[0])))
    elif ways[0].isdigit() and int(ways[0]) < len(ONES):
        ways.append(ONES[int(ways[0])])
    return any(re.search(rf"(?<!\w){re.escape(way)}(?!\w)", words) for way in ways)
