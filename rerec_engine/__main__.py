"""`python -m rerec_engine`: the commands, each in a line."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence

from rerec_engine.cli import Parser, run_command

COMMANDS = {
    "train": "train a model by reinforcement; without arguments: the demo",
    "evaluate": "accuracy and ranking metrics of a model, or of answers in a file",
    "recommend": "ask a trained model for recommendations, once or in a chat",
    "serve": "the same as a web page and as OpenAI's chat API",
    "prepare": "make a dataset directory of your tables, public data or the demo",
    "report": "one HTML page of a run, or of two runs compared",
    "share": "write a run's model card, and publish the model",
    "real": "a pretrained model learns to recommend real films",
    "experiment": "compare settings over seeds, with one table at the end",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Print the list; `--version` prints versions."""
    parser = Parser(prog="", usage="")
    parser.usage = "python -m rerec_engine.COMMAND [...]"
    told = "\n".join(f"  {name:<12}{what}" for name, what in COMMANDS.items())
    parser.description = f"commands, each with a --help of its own:\n{told}"
    words = list(sys.argv[1:] if argv is None else argv)
    if words and not words[0].startswith("-"):
        close = difflib.get_close_matches(words[0], COMMANDS, n=1)
        parser.error(f"{words[0]}: type python -m rerec_engine.{close[0] if close else 'COMMAND'}, with a dot")
    parser.parse_args(words)
    parser.print_help()


if __name__ == "__main__":
    run_command(main)
