"""The assistant: answers a request from a trained model, reasoning first, then the items with their attributes.

    python -m rerec_engine.recommend --model DIR --data DIR [--user ID] ["request"]

Without a request: a chat on standard input, one request a line.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from rerec_engine.assistant.answer import Answer, Assistant
from rerec_engine.data.dataset import load_dataset
from rerec_engine.errors import UserError, run_command
from rerec_engine.evaluate import Parser, model_directory, positive
from rerec_engine.types import Sampling


def render(answer: Answer, out: TextIO) -> None:
    """Items with their attributes, then what is to be said about the answer. The reasoning was streamed before."""
    for rank, item in enumerate(answer.items, start=1):
        print(f"{rank}. {item.title}", file=out)
        for relation, value in item.attributes:
            print(f"   {'*' if value in item.asked else ' '} {relation.replace('_', ' ')}: {value}", file=out)
    if any(item.asked for item in answer.items):
        print("   (* named in the request)", file=out)
    for note in answer.notes:
        print(f"note: {note}", file=out)


def load_assistant(args: argparse.Namespace) -> Assistant:
    """Load dataset, policy and parser for the command."""
    model = model_directory(args.model)
    dataset = load_dataset(args.data)
    from rerec_engine.policy import load_policy
    from rerec_engine.rollout.sampler import Sampler

    policy = load_policy(str(model), device=args.device)
    sampling = Sampling(max_new_tokens=args.max_new_tokens, temperature=args.temperature, seed=args.seed)
    return Assistant(dataset, policy.tokenizer, policy.encode_prompt, Sampler(policy).stream, sampling)


def ask_once(assistant: Assistant, text: str, args: argparse.Namespace, out: TextIO) -> None:
    """Answer one request on `out`."""
    given = None
    if args.candidates is not None:
        given = [title.strip() for title in args.candidates.split(";") if title.strip()]
        if not given:
            raise UserError('--candidates: no title (expected: --candidates "A; B; C")')
    ask = assistant.prepare(text, given, args.user)
    if args.json:
        answer = assistant.answer(ask, args.top_k)
        print(json.dumps(answer.to_json(assistant.dataset.titles)), file=out, flush=True)
        return
    print(f"{len(ask.candidates)} candidates: {ask.reason}\n", file=out, flush=True)
    answer = assistant.answer(ask, args.top_k, lambda piece: print(_plain(piece), end="", file=out, flush=True))
    print("\n", file=out)
    render(answer, out)


def chat(assistant: Assistant, args: argparse.Namespace, lines: Iterable[str], out: TextIO) -> None:
    """Answer each line until the input ends. A bad request is told and the chat goes on."""
    shown = sys.stdin.isatty() and not args.json
    if shown:
        print("Ask for a recommendation; end with Ctrl-D.", file=out)
    prompt = "> " if shown else ""
    print(prompt, end="", file=out, flush=True)
    for line in lines:
        if line.strip():
            try:
                ask_once(assistant, line, args, out)
            except UserError as error:
                print(f"error: {error}", file=sys.stderr)
        print(prompt, end="", file=out, flush=True)


def _plain(text: str) -> str:
    """Without control characters: a response is untrusted and must not steer the terminal."""
    return "".join(c for c in text if c in "\n\t" or c.isprintable())


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m rerec_engine.recommend", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("request", nargs="?", help="what you look for; left out: a chat on standard input")
    parser.add_argument("--model", metavar="DIR", required=True, help="trained model, or a run directory (its final/)")
    parser.add_argument("--data", metavar="DIR", required=True, help="dataset directory (see rerec_engine.prepare)")
    parser.add_argument("--user", type=int, metavar="ID", help="row of interactions.npz whose history counts")
    parser.add_argument("--candidates", metavar='"A; B"', help="choose among these titles (default: a shortlist of 20)")
    parser.add_argument(
        "--top-k", type=positive, metavar="K", help="show at most K items (default: all that are named)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a request")
    parser.add_argument("--temperature", type=float, default=0.0, help="0 (default) is greedy")
    parser.add_argument("--max-new-tokens", type=positive, default=768, metavar="N", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of sampling at a temperature above 0")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    args = parser.parse_args(argv)
    if not 0 <= args.temperature < float("inf"):
        parser.error(f"--temperature must be 0 or more, got {args.temperature}")
    return args


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
