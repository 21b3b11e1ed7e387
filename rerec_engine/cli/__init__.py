"""What the commands share on the command line: flags read, waits shown, mistakes told in one line. Loads in no time."""

from rerec_engine.cli.parser import (
    LOADING,
    SHARED,
    SWITCH,
    Parser,
    boolean,
    natural,
    not_negative,
    positive,
    versions,
)
from rerec_engine.cli.run import end_now, fail, run_command, tell_mistakes
from rerec_engine.cli.waits import progress_bar, waiting

__all__ = [
    "LOADING",
    "SHARED",
    "SWITCH",
    "Parser",
    "boolean",
    "end_now",
    "fail",
    "natural",
    "not_negative",
    "positive",
    "progress_bar",
    "run_command",
    "tell_mistakes",
    "versions",
    "waiting",
]
