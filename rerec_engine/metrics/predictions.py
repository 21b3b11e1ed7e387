"""Answers of any model read from a file, and the RecBench+ queries that they answer.

Answers: JSON lines (or one JSON list) of `{"id", "response"}`, or the output of an OpenAI batch
(`{"custom_id", "response": {"body": {"choices": [{"message": {"content"}}]}}}`), or the log of a server's answers
(`answer_log`). Rankings: `{"id", "items": [ids]}` or `{"id", "titles": [titles]}`, best first.
Queries: RecBench+'s list of groups, each with `query & ground true`: a list of `{"query", "movie subset"}`. A query's
id is `<group index>-<query index>`, empty objects not counted.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rerec_engine.data.files.encoding import STRANGE, whole_text
from rerec_engine.errors import file_error
from rerec_engine.model.thinking import CLOSE, OPEN

HEADER = "answers_of"
"""Name of what the first line of a log of answers holds."""
_QUERIES_KEY = "query & ground true"
_TRUTH_KEYS = ("movie subset", "book subset")


@dataclass(frozen=True)
class GroupQuery:
    """One query of a RecBench+ group file; ground_truth are titles, at least one."""

    id: str
    text: str
    ground_truth: tuple[str, ...]


class _BadRow(ValueError):
    """A fault of one answer; kind is the field of `Skipped` that counts it."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass
class Skipped:
    """What `skip_bad` left out. The first three count answers, the last one queries."""

    broken: int = 0
    repeated: int = 0
    unknown: int = 0
    unanswered: int = 0

    def total(self) -> int:
        """All that was left out."""
        return self.broken + self.repeated + self.unknown + self.unanswered


@dataclass(frozen=True)
class Reply:
    """A response, whoever gave it."""

    text: str
    tokens: int | None = None
    """None where nobody has counted them."""
    cut: bool = False
    """Whether it ran into the token limit."""

    reasoning: str = ""
    """What a server gives apart from the text."""
    items: tuple[str, ...] | None = None
    """A ranking instead of a text: the source's ids of its items, best first."""
    titles: tuple[str, ...] | None = None
    """The same by titles."""

    @property
    def is_ranking(self) -> bool:
        return self.items is not None or self.titles is not None

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Reply:
        """Of an answer in a log: {"response"}, perhaps with "reasoning", "completion_tokens" and "finish"."""
        tokens, reasoning = entry.get("completion_tokens"), entry.get("reasoning")
        return cls(
            _whole(entry["response"]),
            tokens if isinstance(tokens, int) else None,
            entry.get("finish") == "length",
            _whole(reasoning) if isinstance(reasoning, str) else "",
        )

    @property
    def response(self) -> str:
        """All of it, as a model writes it: the reasoning in a block before the text."""
        if not self.reasoning:
            return self.text
        return f"{OPEN}\n{self.reasoning.replace(OPEN, '').replace(CLOSE, '')}\n{CLOSE}\n{self.text}"


@dataclass
class Answers:
    """Answers by query id, in the order of the queries."""

    replies: dict[str, Reply]
    skipped: Skipped = field(default_factory=Skipped)


def read_group_queries(path: str | Path) -> dict[str, GroupQuery]:
    """Read a RecBench+ demographics or interest file: id -> query, in the file's order.

    Raises UserError that names the file and the entry.
    """
    groups = _parse(path, _read_text(path))
    if not isinstance(groups, list):
        raise file_error(path, "expected a JSON list of groups")
    queries: dict[str, GroupQuery] = {}
    for group_index, group in enumerate(groups):
        entries = group.get(_QUERIES_KEY) if isinstance(group, dict) else None
        if not isinstance(entries, list):
            raise file_error(path, f"group {group_index} has no list {_QUERIES_KEY!r}")
        for query_index, entry in enumerate(entry for entry in entries if entry):
            query = _group_query(path, f"{group_index}-{query_index}", entry)
            queries[query.id] = query
    if not queries:
        raise file_error(path, "holds no query")
    return queries


def read_answers(
    path: str | Path,
    queries: Collection[str],
    skip_bad: bool = False,
    wanted: Collection[str] | None = None,
    rankings: bool = False,
) -> Answers:
    """Read the answers to queries, by id. wanted: those of them that need one; all by default. rankings: whether a row
    may hold a ranking instead of a text.

    A broken line, a second answer to a query, an answer to no query and a query without an answer raise UserError with
    file and line, or are left out and counted where skip_bad is set.
    """
    wanted = queries if wanted is None else wanted
    found: dict[str, Reply] = {}
    skipped = Skipped()
    for row, entry in _entries(path):
        try:
            answer_id, reply = _answer(entry, queries, found, rankings)
        except _BadRow as error:
            if not skip_bad:
                raise file_error(path, f"{error} (skip_bad leaves such rows out)", row) from None
            setattr(skipped, error.kind, getattr(skipped, error.kind) + 1)
        else:
            found[answer_id] = reply
    missing = [query_id for query_id in wanted if query_id not in found]
    if missing and not skip_bad:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise file_error(path, f"no answer to query {missing[0]!r}{more} (skip_bad leaves such queries out)")
    if len(missing) == len(wanted):
        raise file_error(path, "answers none of the queries")
    skipped.unanswered = len(missing)
    return Answers({query_id: found[query_id] for query_id in wanted if query_id in found}, skipped)


def _group_query(path: str | Path, query_id: str, entry: object) -> GroupQuery:
    if not isinstance(entry, dict):
        raise file_error(path, f"query {query_id} is no JSON object")
    truth = next((entry[key] for key in _TRUTH_KEYS if key in entry), None)
    if not isinstance(truth, list) or not truth or not all(isinstance(title, str) for title in truth):
        raise file_error(path, f"query {query_id} has no list of titles under {' or '.join(map(repr, _TRUTH_KEYS))}")
    text = entry.get("query")
    if not isinstance(text, str):
        raise file_error(path, f"query {query_id} has no text under 'query'")
    return GroupQuery(query_id, text, tuple(truth))


def _entries(path: str | Path) -> Iterator[tuple[int, object]]:
    """Yield (line, parsed entry); a line that is no JSON is yielded as the _BadRow that tells why."""
    text = _read_text(path)
    if text.lstrip().startswith("["):
        parsed = _parse(path, text)
        if not isinstance(parsed, list):
            raise file_error(path, "expected a JSON list of answers")
        yield from enumerate(parsed, start=1)
        return
    for row, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            if row > 1 or not isinstance(entry, dict) or HEADER not in entry:
                yield row, entry
        except (json.JSONDecodeError, RecursionError) as error:
            yield row, _BadRow("broken", f"is no JSON ({error})")


def _answer(entry: object, queries: Container[str], found: Container[str], rankings: bool = False) -> tuple[str, Reply]:
    """(query id, reply) of one parsed entry; raises _BadRow."""
    if isinstance(entry, _BadRow):
        raise entry
    if not isinstance(entry, dict):
        raise _BadRow("broken", f"expected a JSON object, got {type(entry).__name__}")
    answer_id = entry["custom_id"] if "custom_id" in entry else entry.get("id")
    if isinstance(answer_id, bool) or not isinstance(answer_id, (str, int)):
        raise _BadRow("broken", "has neither 'id' nor 'custom_id'")
    told = dict(entry)
    if isinstance(entry.get("response"), dict):
        told = _of_batch(entry["response"])
    ranking = _ranking(told) if rankings and "response" not in told else None
    if ranking is None and not isinstance(told.get("response"), str):
        more = ", nor a list under 'items' or 'titles'" if rankings else ""
        raise _BadRow("broken", f"has no text under 'response'{more}")
    if str(answer_id) not in queries:
        raise _BadRow("unknown", f"id {answer_id!r} is in no query")
    if str(answer_id) in found:
        raise _BadRow("repeated", f"id {answer_id!r} has an answer already")
    return str(answer_id), ranking or Reply.of(told)


def _ranking(told: Mapping[str, Any]) -> Reply | None:
    """Of a row with a list of ids or of titles; None where it has neither. Raises _BadRow for one that is none."""
    name = next((name for name in ("items", "titles") if name in told), None)
    if name is None:
        return None
    kinds = (str,) if name == "titles" else (str, int)
    entries = told[name]
    if not isinstance(entries, list) or not all(isinstance(e, kinds) and not isinstance(e, bool) for e in entries):
        raise _BadRow("broken", f"expected a list of {'titles' if name == 'titles' else 'item ids'} under {name!r}")
    words = tuple(_whole(str(entry)) for entry in entries)
    return Reply("", titles=words) if name == "titles" else Reply("", items=words)


def _of_batch(response: Mapping[str, Any]) -> dict[str, Any]:
    """One response of an OpenAI batch as an entry of a log; raises _BadRow."""
    try:
        body = response["body"]
        choice = body["choices"][0]
        told = {"response": choice["message"]["content"], "finish": choice.get("finish_reason")}
        return {**told, "completion_tokens": (body.get("usage") or {}).get("completion_tokens")}
    except (AttributeError, KeyError, IndexError, TypeError):
        raise _BadRow("broken", "its 'response' holds no body.choices[0].message.content") from None


def _whole(text: str) -> str:
    """With "?" for half a character, which JSON can tell (`\\ud83d`) and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()


def _read_text(path: str | Path) -> str:
    """The file as text; bytes that are none become U+FFFD."""
    return whole_text(Path(path)).replace(STRANGE, "\ufffd")


def _parse(path: str | Path, text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise file_error(path, f"is no JSON ({error.msg})", error.lineno) from None
    except RecursionError:
        raise file_error(path, "is nested too deeply") from None
