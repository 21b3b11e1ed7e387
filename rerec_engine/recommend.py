"""The assistant: answers a request from a trained model, reasoning first, then the items with their attributes.

    python -m rerec_engine.recommend --model DIR --data DIR [--user ID] ["request"]

Without a request: a chat on standard input, one request a line, in which a request may refer to the answers before.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

from rerec_engine.cli import LOADING, SWITCH, Parser, positive, run_command, waiting
from rerec_engine.errors import RequestError, UserError

if TYPE_CHECKING:
    from rerec_engine.assistant.answer import Assistant
    from rerec_engine.assistant.exchange import Exchange

HELP = """Ask for a recommendation; what follows may refer to it: "something older", "not by him", "another".
/new starts afresh, /help shows this, Ctrl-D ends."""
LIMIT = "--max-new-tokens"


def load_assistant(args: argparse.Namespace) -> Assistant:
    """Load dataset, policy and parser for the command."""
    with waiting("loading the libraries"):
        from rerec_engine.assistant.answer import Assistant
        from rerec_engine.model.context import context_of
        from rerec_engine.model.source import Loading
        from rerec_engine.rollout.loading import constrain_answers, load_sampler, open_inputs

    loading = Loading.of(args)
    dataset = open_inputs(args.model, args.data, args.threads, loading)
    sampler = load_sampler(args.model, args.device, loading)
    constrain_answers(sampler, dataset.catalogue, args.constrain, args.threads)
    policy, search = sampler.policy, None
    if args.search_model is not None:
        from rerec_engine.assistant.search import TextIndex

        try:
            search = TextIndex(dataset, args.search_model)
        except UserError as error:
            raise UserError(f"--search-model: {error}") from None
    with waiting("reading the catalogue's titles and facts"):
        return Assistant(
            dataset,
            policy.chat,
            lambda prompt, how, _: sampler.stream(prompt, how),
            search,
            context_of(policy),
        )


def ask_once(
    assistant: Assistant, text: str, args: argparse.Namespace, out: TextIO, earlier: Sequence[Exchange] = ()
) -> Exchange:
    """Answer one request on `out`; earlier: the exchanges before, oldest first."""
    from rerec_engine.assistant.text import as_text, plain
    from rerec_engine.types import Sampling

    _check_encoding(text)
    given = None
    if args.candidates is not None:
        _check_encoding(args.candidates)
        given = [title.strip() for title in args.candidates.split(";") if title.strip()]
        if not given:
            raise UserError('--candidates: no title (expected: --candidates "A; B; C")')
    try:
        ask = assistant.prepare(text, given, args.user, earlier)
    except RequestError as error:
        raise UserError(f"--candidates: {error}" if error.field == "candidates" else str(error)) from None
    sampling = Sampling(max_new_tokens=args.max_new_tokens, temperature=args.temperature, seed=args.seed)
    if args.json:
        answer = assistant.answer(ask, sampling, args.top_k)
        print(json.dumps(answer.to_json(assistant.dataset.titles, LIMIT)), file=out, flush=True)
        return ask, answer
    if ask.request.told:
        print(f"asked: {'; '.join(ask.request.told)}", file=out)
    print(f"{len(ask.candidates)} candidates: {ask.reason}\n", file=out, flush=True)
    answer = assistant.answer(
        ask, sampling, args.top_k, lambda piece: print(plain(piece), end="", file=out, flush=True)
    )
    print(f"\n\n{as_text(answer, LIMIT)}", file=out)
    return ask, answer


def _check_encoding(text: str) -> None:
    """Python keeps a byte that is no text as a lone surrogate, which no tokenizer takes."""
    wrong = next((c for c in text if "\ud800" <= c <= "\udfff"), None)
    if wrong is not None:
        raise UserError(f"byte 0x{ord(wrong) & 0xFF:02x} is no {sys.stdin.encoding or 'UTF-8'}: {text.strip()!a}")


def chat(assistant: Assistant, args: argparse.Namespace, lines: Iterable[str], out: TextIO) -> None:
    """Answer each line until the input ends, each with the turns before it. A bad request is told; the chat goes on."""
    turns: list[Exchange] = []
    shown = sys.stdin.isatty() and not args.json
    if shown:
        print(HELP, file=out)
    prompt = "> " if shown else ""
    print(prompt, end="", file=out, flush=True)
    for line in lines:
        command = line.strip().lower()
        if command == "/new":
            turns.clear()
        elif command == "/help":
            print(HELP, file=sys.stderr if args.json else out)
        elif command:
            try:
                turns.append(ask_once(assistant, line, args, out, turns))
            except UserError as error:
                print(f"error: {error}", file=sys.stderr)
        print(prompt, end="", file=out, flush=True)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="recommend",
        usage='--model DIR|NAME --data DIR [options] ["request"]',
        description=(__doc__ or "").splitlines()[0],
        examples=(
            '--model runs/demo --data runs/demo/data "a comedy"',
            "--model runs/demo --data runs/demo/data",
        ),
    )
    parser.add_argument("request", nargs="?", help="what you look for; left out: a chat on standard input")
    parser.share("model", "data", required=True)
    parser.add_argument("--user", metavar="ID", help="whose history counts: an id of the source, or a row")
    parser.add_argument("--candidates", metavar='"A; B"', help="choose among these titles (default: a shortlist of 20)")
    parser.add_argument(
        "--top-k", type=positive, metavar="K", help="show at most K items (default: all that are named)"
    )
    parser.add_argument(
        "--search-model", metavar="DIR|NAME", help="order ties by a sentence-embedding model (extra `search`)"
    )
    parser.add_argument("--json", **SWITCH, help="one JSON object a request")
    parser.share("max-new-tokens", "temperature", "seed", "device", "threads", "constrain", *LOADING)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    args = _arguments(argv)
    assistant = load_assistant(args)
    if args.request is None:
        chat(assistant, args, sys.stdin, sys.stdout)
    else:
        ask_once(assistant, args.request, args, sys.stdout)


if __name__ == "__main__":
    run_command(main)
