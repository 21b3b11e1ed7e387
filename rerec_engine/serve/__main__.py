"""The assistant as a server: OpenAI's chat API and a page to chat on, for this machine alone unless told otherwise.

python -m rerec_engine.serve --model DIR --data DIR
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rerec_engine.cli import LOADING, Parser, positive, run_command, waiting
from rerec_engine.errors import UserError

if TYPE_CHECKING:
    import uvicorn

    from rerec_engine.serve.backend import Backend
    from rerec_engine.serve.limits import Limits

LOOPBACK = ("127.0.0.1", "::1", "localhost")
KEY = "REREC_API_KEY"
WATCH_SECONDS = 1.0
CONNECTIONS = 1000  # more at once are answered 503


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="serve",
        usage="--model DIR|NAME --data DIR [options]",
        description=(__doc__ or "").splitlines()[0],
        examples=(
            "--model runs/demo --data runs/demo/data",
            "--model runs/demo --data runs/demo/data --port 0",
        ),
    )
    parser.share("model", "data", required=True)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="0: any free one (default: %(default)s)")
    parser.add_argument("--api-key", metavar="KEY", help=f"asked of every client; better in the variable {KEY}")
    parser.add_argument(
        "--engine", choices=("auto", "sampler", "vllm"), default="auto", help="auto: vLLM where it is installed"
    )
    parser.share("device", help="of the sampler: auto (CUDA where there is one), cpu, cuda or cuda:N (default: auto)")
    parser.add_argument("--vllm-python", metavar="PROGRAM", help="a Python that has vLLM (default: this one)")
    parser.add_argument("--vllm-args", default="", metavar='"..."', help="passed on to vLLM's server")
    parser.add_argument(
        "--max-body-kb", type=positive, default=64, metavar="KB", help="kB of a request at most (default: %(default)s)"
    )
    parser.share("max-new-tokens", "constrain", *LOADING)
    parser.share("seed", help="seed of what is drawn for requests that bring none (default: 0)")
    parser.add_argument(
        "--max-concurrent", type=positive, metavar="N", help="answers made at once (default: 2; with vLLM 32)"
    )
    parser.add_argument(
        "--queue", type=positive, default=32, metavar="N", help="requests that may wait (default: %(default)s)"
    )
    parser.add_argument(
        "--timeout", type=positive, default=120, metavar="S", help="seconds of a request (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    if not 0 <= args.port < 65536:
        parser.error(f"--port must be in 0..65535, got {args.port}")
    return args


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound to the address. Raises UserError where that is not possible."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise UserError(
            f"cannot listen at {host} port {port}: {error.strerror}; name another --host or --port"
        ) from None
    return bound


def url(host: str, port: int) -> str:
    """Where a browser finds the page."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _limits(args: argparse.Namespace, engine: str) -> Limits:
    from rerec_engine.serve.limits import Limits

    return Limits(
        body=args.max_body_kb * 1024,
        new_tokens=args.max_new_tokens,
        concurrent=args.max_concurrent or (32 if engine == "vllm" else 2),
        queue=args.queue,
        seconds=float(args.timeout),
    )


async def _serve(server: uvicorn.Server, bound: socket.socket, backend: Backend, ready: str) -> None:
    """Serve until a signal comes or the backend fails. ready: what is told once the server answers."""

    async def watch() -> None:
        while not server.started:
            await asyncio.sleep(0.01)
        print(ready, file=sys.stderr, flush=True)
        while backend.fault() is None:
            await asyncio.sleep(WATCH_SECONDS)
        server.should_exit = True

    watching = asyncio.ensure_future(watch())
    try:
        await server.serve(sockets=[bound])
    finally:
        watching.cancel()


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    args = _arguments(argv)
    try:
        import fastapi  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise UserError(f"{error.name} is not installed: pip install 'rerec-engine[serve]'") from None
    with waiting("loading the libraries"):
        from rerec_engine.model.source import find_model
        from rerec_engine.serve.app import create_app
        from rerec_engine.serve.start import start_conversation

    find_model(args.model, args.revision)
    key = args.api_key or os.environ.get(KEY) or None
    bound = listen(args.host, args.port)
    port = bound.getsockname()[1]
    local = args.host in LOOPBACK
    if not local and key is None:
        print(f"warning: everybody who reaches {args.host} can ask; set a key ({KEY})", file=sys.stderr)
    conversation, limits = start_conversation(args, lambda engine: _limits(args, engine))
    try:
        hosts = LOOPBACK if local else None
        app = create_app(conversation, limits, key=key, hosts=hosts, seed=args.seed)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=2,
            ws="none",
        )
        server = uvicorn.Server(config)
        where = url(args.host, port)
        ready = f"chat: {where}  API: {where}/v1  engine: {conversation.backend.name}"
        asyncio.run(_serve(server, bound, conversation.backend, ready))
        fault = conversation.backend.fault()
        if fault is not None:
            raise fault
    finally:
        conversation.backend.close()


if __name__ == "__main__":
    run_command(main)
