"""Answers of a model behind any OpenAI-compatible server: several at once, retried, each kept as it comes."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from rerec_engine.cli import progress_bar
from rerec_engine.errors import UserError, first_line
from rerec_engine.metrics.answer_log import AnswerLog
from rerec_engine.types import Query

KEY = "OPENAI_API_KEY"
SECONDS = 600.0
"""That one request may take."""
RETRIES = 10
"""Of the client, for rate limits, faults of the server and of the network, with growing pauses: a minute in all."""
UNREADABLE = 3
"""Tries where the server answers, but not with a message."""
PAUSE = 0.5
"""Seconds after the first of them, twice as long after the next."""
IN_A_ROW = 8
"""Queries without an answer, one after the other, after which a server is given up."""
_TOO_LONG = re.compile(r"(?i)context|too (?:long|many tokens)|reduce the length|max_new_tokens.{0,3} must be")


class _Unanswered(Exception):
    """A query to which the server, tried again and again, gives no answer."""


class Server:
    """One model behind a server. url: with or without /v1. max_tokens, temperature: of an answer. seconds: that one
    request may take.

    The key is taken from the environment, OPENAI_API_KEY, and told nowhere. Raises UserError where the client is not
    installed, or url is none.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seconds: float = SECONDS,
        retries: int = RETRIES,
    ) -> None:
        try:
            import openai
        except ImportError as error:
            raise UserError(f"openai is missing: pip install 'rerec-engine[openai]' ({error})") from None
        self._openai: Any = openai
        self.url, self.model = address(url), model
        self.settings: dict[str, Any] = {"max_tokens": max_tokens, "temperature": temperature}
        """As they are sent: what the model refuses is gone, or has another name."""
        self._key = os.environ.get(KEY, "")
        self._seconds, self._retries = seconds, retries
        self._names: list[str] = []

    def ask(
        self,
        queries: Sequence[Query],
        log: AnswerLog,
        *,
        concurrency: int = 8,
        skip_bad: bool = False,
        progress: bool = False,
    ) -> dict[str, str]:
        """Ask those that have no answer in the log, into which the answers go.

        A query that is too long for the model has an empty answer, and the reason under "error". skip_bad: leave those
        out to which the server gives no answer. Returns these: id -> why. Raises UserError for a server that is not
        there, refuses the key, does not know the model or answers no longer.
        """
        missing = [query for query in queries if query.id not in log.entries]
        with progress_bar(len(queries), "asked", "query", initial=len(queries) - len(missing), shown=progress) as bar:
            return asyncio.run(self._ask(missing, log, concurrency, skip_bad, bar)) if missing else {}

    async def _ask(
        self, missing: Sequence[Query], log: AnswerLog, concurrency: int, skip_bad: bool, bar: Any
    ) -> dict[str, str]:
        client = self._openai.AsyncOpenAI(
            base_url=self.url, api_key=self._key or "none", max_retries=self._retries, timeout=self._seconds
        )
        failed: dict[str, str] = {}
        in_a_row, tokens = 0, 0

        async def work(waiting: Iterator[Query]) -> None:
            nonlocal in_a_row, tokens
            for query in waiting:
                try:
                    entry = await self._answer(client, query)
                except _Unanswered as fault:
                    failed[query.id] = str(fault)
                    in_a_row += 1
                    if not skip_bad or in_a_row == IN_A_ROW:
                        kept = f"{len(log.entries)} answers are in {log.path}, the same command goes on"
                        more = "" if skip_bad else "; --skip-bad leaves such queries out"
                        told = f"{self.url} gives no answer to query {query.id!r}: {fault} ({kept}{more})"
                        raise UserError(told) from None
                else:
                    in_a_row = 0
                    log.add(entry)
                    tokens += entry.get("completion_tokens") or 0
                    bar.set_postfix_str(f"{tokens:,} tokens", refresh=False)
                bar.update()

        async with client:
            await self._greet(client)
            waiting = iter(missing)
            workers = [asyncio.create_task(work(waiting)) for _ in range(min(concurrency, len(missing)))]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        return failed

    async def _greet(self, client: Any) -> None:
        """Find out at once whether a server is there and takes the key, and which models it names, if it tells."""
        try:
            models = await client.with_options(max_retries=1, timeout=min(30.0, self._seconds)).models.list()
            self._names = [str(model.id) for model in models.data or ()]
        except (self._openai.APITimeoutError, self._openai.APIConnectionError) as error:
            raise UserError(f"{self.url} cannot be asked: {self._told(error)}") from None
        except (self._openai.AuthenticationError, self._openai.PermissionDeniedError) as error:
            raise self._refused(error) from None
        except Exception:  # not every server has the list, or a readable one
            pass

    async def _answer(self, client: Any, query: Query) -> dict[str, Any]:
        """The log's entry. Raises _Unanswered, and UserError where no query will be answered."""
        openai, tries = self._openai, 0
        while True:
            sent, start = dict(self.settings), time.monotonic()
            try:
                answer = await client.chat.completions.create(model=self.model, messages=list(query.messages), **sent)
                return {"id": query.id, **_read(answer), "seconds": round(time.monotonic() - start, 3)}
            except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
                raise self._refused(error) from None
            except openai.NotFoundError as error:
                names = f" (it has: {', '.join(self._names[:10])})" if self._names else ""
                raise UserError(f"{self.url} has no model {self.model!r}{names}: {self._told(error)}") from None
            except (openai.APITimeoutError, openai.APIConnectionError) as error:
                raise _Unanswered(self._told(error)) from None
            except openai.APIStatusError as error:
                code, told = error.status_code, self._told(error)
                if code in (408, 409, 429) or code >= 500:
                    raise _Unanswered(f"{code} {told}") from None
                if code == 413 or (code in (400, 422) and _TOO_LONG.search(told)):
                    return {"id": query.id, "response": "", "error": f"too long: {told}"}
                if code not in (400, 422) or not self._adapt(told, sent):
                    raise UserError(f"{self.url} refuses the request: {code} {told}") from None
            except (AttributeError, IndexError, TypeError, ValueError) as error:  # no JSON, no choices, no message
                tries += 1
                if tries == UNREADABLE:
                    raise _Unanswered(f"an answer without a message ({self._told(error)})") from None
                await asyncio.sleep(PAUSE * 2 ** (tries - 1))

    def _adapt(self, told: str, sent: dict[str, Any]) -> bool:
        """Whether the request is worth another try: without what the model has just refused."""
        if "max_tokens" in sent and "max_completion_tokens" in told:
            if limit := self.settings.pop("max_tokens", None):
                self.settings["max_completion_tokens"] = limit
            return True
        if "temperature" in sent and "temperature" in told:
            if self.settings.pop("temperature", None) is not None:
                print(f"{self.model} takes no temperature {sent['temperature']:g}: its own is left", file=sys.stderr)
            return True
        return False

    def _refused(self, error: Exception) -> UserError:
        what = f"refuses the key in {KEY}" if self._key else f"asks for a key: set {KEY}"
        return UserError(f"{self.url} {what} ({self._told(error)})")

    def _told(self, error: Exception) -> str:
        """In one line and without the key."""
        body = getattr(error, "body", None)
        told = body.get("message") if isinstance(body, dict) else None
        line = " ".join(str(told).split()) if told else first_line(error)
        if isinstance(error, self._openai.APIConnectionError) and isinstance(error.__cause__, Exception):
            line = f"{line.rstrip('.')} ({first_line(error.__cause__)})"
        return (line.replace(self._key, "***") if self._key else line)[:300]


def address(url: str) -> str:
    """A server's address as the client takes it. Raises UserError.

    >>> address("http://localhost:8000"), address("https://example.org/api/v2/chat/completions")
    ('http://localhost:8000/v1', 'https://example.org/api/v2')
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not host:
        raise UserError(f"--server: expected an address such as http://localhost:8000/v1, got {url!r}")
    if "@" in parts.netloc or parts.query:
        raise UserError(f"--server: leave keys and passwords out of the address; the key is taken from {KEY}")
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    return f"{parts.scheme}://{parts.netloc}{path or '/v1'}"


def _read(answer: Any) -> dict[str, Any]:
    """What is kept of an answer. Raises AttributeError, IndexError or TypeError where it holds no message."""
    choice = answer.choices[0]
    message, usage = choice.message, getattr(answer, "usage", None)
    found: dict[str, Any] = {"response": _text(message.content), "finish": choice.finish_reason}
    further = getattr(message, "model_extra", None) or {}
    if reasoning := _text(further.get("reasoning_content") or further.get("reasoning")):
        found["reasoning"] = reasoning
    for name in ("prompt_tokens", "completion_tokens"):
        if isinstance(count := getattr(usage, name, None), int):
            found[name] = count
    return found


def _text(content: Any) -> str:
    """A content, or the texts among its parts; of anything else the message is none."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part["text"] for part in content if part.get("type") == "text")
