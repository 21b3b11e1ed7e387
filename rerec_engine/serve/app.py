"""The HTTP side: an OpenAI-compatible API over a conversation, and the page."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from rerec_engine.rollout.base import derive_seed
from rerec_engine.serve.conversation import Conversation, Question, Reply
from rerec_engine.serve.errors import ApiError
from rerec_engine.serve.guard import Guard
from rerec_engine.serve.job import Job
from rerec_engine.serve.limits import Gate, Limits
from rerec_engine.serve.schema import MODEL, WORDED, ChatRequest
from rerec_engine.serve.wire import DONE, Wording, delta, model_card, sse
from rerec_engine.types import Message, Sampling

PAGE = Path(__file__).parent / "page"
FILES = {"/": "page.html", "/page.css": "page.css", "/page.js": "page.js", "/answer.js": "answer.js"}
Result = TypeVar("Result")


def create_app(
    conversation: Conversation,
    limits: Limits,
    *,
    key: str | None = None,
    hosts: Sequence[str] | None = None,
    seed: int = 0,
) -> FastAPI:
    """The app. hosts: names under which it may be asked (None: any). seed: of the requests that bring none, each of
    which draws otherwise. Its lifespan ends with the backend's `close`."""
    created = int(time.time())
    gate = Gate(limits.concurrent, limits.queue)
    executor = ThreadPoolExecutor(limits.concurrent, thread_name_prefix="answer")
    jobs: set[Job] = set()
    numbers = itertools.count()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        for job in jobs:
            job.cancel()
        executor.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(conversation.backend.close)
        await asyncio.to_thread(executor.shutdown)

    app = FastAPI(title="rerec", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(Guard, limits=limits, key=key, hosts=hosts)
    _tell_errors(app)

    @app.post("/v1/chat/completions")
    async def chat_completions(body: ChatRequest, request: Request) -> Response:
        body.check(limits)
        fault = conversation.backend.fault()
        if fault is not None:
            raise ApiError(503, str(fault), code="engine_failed")
        question = _question(body, limits, derive_seed(seed, "serve", next(numbers)))
        job = await _until_gone(request, Job.begin(question, conversation, gate, executor))
        jobs.add(job)
        wording = Wording()
        if body.stream:
            return StreamingResponse(
                _stream(job, jobs, wording, body.include_usage), media_type="text/event-stream; charset=utf-8"
            )
        try:
            text, thinking, reply = await _until_gone(request, _collect(job))
        finally:
            job.cancel()
            jobs.discard(job)
        return JSONResponse(wording.whole(text, reply, thinking))

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [model_card(created)]}

    @app.get("/v1/models/{name}")
    async def model(name: str) -> dict[str, Any]:
        if name != MODEL:
            raise ApiError(404, f"no model {name[:80]!r} here, only {MODEL!r}", param="model", code="model_not_found")
        return model_card(created)

    @app.get("/health")
    async def health() -> JSONResponse:
        fault = conversation.backend.fault()
        state = {"status": "ok" if fault is None else str(fault), "engine": conversation.backend.name}
        counts = {"running": gate.running, "waiting": gate.waiting}
        return JSONResponse({**state, **counts}, 200 if fault is None else 503)

    for path, name in FILES.items():
        app.add_api_route(path, _file(PAGE / name), include_in_schema=False)
    return app


def _file(path: Path) -> Any:
    async def send() -> FileResponse:
        return FileResponse(path)

    return send


def _question(body: ChatRequest, limits: Limits, own_seed: int) -> Question:
    """own_seed: of a request that brings none."""
    seed = own_seed if body.seed is None else body.seed
    sampling = Sampling(body.new_tokens(limits), 0.0 if body.temperature is None else body.temperature, seed)
    earlier = tuple(
        Message(role=message.role, content=message.text)
        for message in body.messages[:-1]
        if message.role in ("user", "assistant")
    )
    deadline = time.monotonic() + limits.seconds
    candidates = None if body.candidates is None else tuple(body.candidates)
    switches = body.chat_template_kwargs or {}
    return Question(body.request, sampling, deadline, earlier, candidates, body.user_id, body.top_k, switches)


async def _until_gone(request: Request, work: Awaitable[Result]) -> Result:
    """What `work` gives, which is cancelled when the client goes away."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(gone())
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ApiError(499, "the client went away")
        return working.result()
    finally:
        working.cancel()
        watching.cancel()


async def _collect(job: Job) -> tuple[str, str, Reply]:
    """The answer, its blocks of reasoning, and the reply."""
    pieces: list[str] = []
    thoughts: list[str] = []
    async for event in job.events():
        if isinstance(event, Reply):
            return "".join([*pieces, _after(pieces[-1:], event)]), "".join(thoughts).strip(), event
        if isinstance(event, str):
            pieces.append(event)
        else:
            thoughts.append(event.text)
    raise AssertionError("a job ends with its reply")


def _after(last: list[str], reply: Reply) -> str:
    """The items, an empty line after the reasoning. last: its last piece, if any."""
    gap = "" if not last or not reply.tail else "\n" if last[0].endswith("\n") else "\n\n"
    return gap + reply.tail


async def _stream(job: Job, jobs: set[Job], wording: Wording, include_usage: bool) -> AsyncIterator[str]:
    """Server-sent events. An error on the way is one of them, since the status has gone out."""
    last: list[str] = []
    try:
        yield sse(wording.chunk({"role": "assistant", "content": ""}))
        async for event in job.events():
            if not isinstance(event, Reply):
                last = [event] if isinstance(event, str) else last
                yield sse(wording.chunk(delta(event)))
                continue
            if event.tail:
                yield sse(wording.chunk({"content": _after(last, event)}))
            yield sse(wording.chunk({}, event.finish, event.structured))
            if include_usage:
                yield sse(wording.usage_chunk(event))
        yield DONE
    except ApiError as error:
        yield sse(error.body()) + DONE
    except Exception:
        yield sse(ApiError(500, "internal error").body()) + DONE
        raise
    finally:
        job.cancel()
        jobs.discard(job)


def _tell_errors(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    async def told(_: Request, error: ApiError) -> JSONResponse:
        return error.response()

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        return ApiError(error.status_code, str(error.detail)).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = [str(part) for part in first["loc"] if part != "body"]
        if first["type"] == "json_invalid" or (not place and first["type"] not in WORDED):
            return ApiError(400, "the body is no JSON object (Content-Type: application/json)").response()
        if first["type"] == "extra_forbidden":
            return ApiError(400, f"unknown field {'.'.join(place)}", param=place[-1]).response()
        param = (first.get("ctx") or {}).get("param") or ".".join(place) or None
        told = first["msg"] if param is None or first["type"] in WORDED else f"{param}: {first['msg']}"
        return ApiError(400, told, param=param).response()

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        return ApiError(500, "internal error").response()
