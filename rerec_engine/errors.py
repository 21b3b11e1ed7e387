"""Errors a user can cause, and what breaks under a run."""

from __future__ import annotations

from pathlib import Path


class UserError(ValueError):
    """Bad input from outside: a file, a row, a setting. Its message is one line that names the place and the remedy."""


class RequestError(UserError):
    """A request to the assistant that cannot be answered. field: "request", "candidates", "user" or
    "chat_template_kwargs".

    A command knows what its users call the field (a flag, a field of JSON); that of "candidates" is not in the message.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class PromptTooLong(RequestError):
    """The prompt leaves the model no token for an answer."""


class RunError(RuntimeError):
    """What broke while a run was going on, through no setting of the user's: an engine, a rank. Its message is one line
    that says what happened and how to go on."""


class Stopped(Exception):
    """A run ended early because it was asked to. Its message is one line that says how to go on."""

    def __init__(self, message: str, exit_code: int = 130) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def file_error(path: str | Path, message: str, row: int | None = None) -> UserError:
    """A `UserError` that names file and, where known, the row (1-based, as an editor counts lines)."""
    place = f"{path}:{row}" if row is not None else str(path)
    return UserError(f"{place}: {message}")


def first_line(error: Exception) -> str:
    """What another library's exception says, in one line; its type's name where it says nothing."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def hub_miss(held: str, what: str) -> str:
    """Why the Hub's client has not got something, and what to do, where neither the Hub nor its cache gives it. held:
    how a sentence calls it; what: its kind."""
    from huggingface_hub import constants

    off, remedy = f"{constants.ENDPOINT} cannot be reached", "try again with a network"
    if constants.HF_HUB_OFFLINE:
        off, remedy = "HF_HUB_OFFLINE is set", f"unset it to fetch the {what}"
    return f"{off}, and the Hub's cache does not hold {held}: {remedy}"
