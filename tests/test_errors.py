"""Errors that name a place: what they say and what they are."""

from __future__ import annotations

from rerec_engine.errors import PromptTooLong, RequestError, RunError, Stopped, UserError, file_error, first_line


def test_file_error_names_file_and_row() -> None:
    assert str(file_error("data/items.csv", "no title", row=3)) == "data/items.csv:3: no title"
    assert str(file_error("data/items.csv", "empty")) == "data/items.csv: empty"
    assert isinstance(file_error("data/items.csv", "empty"), UserError)


def test_user_error_is_a_value_error() -> None:
    assert issubclass(UserError, ValueError)


def test_a_request_error_is_the_users_and_knows_its_field() -> None:
    error = PromptTooLong("request", "too long")
    assert isinstance(error, RequestError) and isinstance(error, UserError)
    assert (error.field, str(error)) == ("request", "too long")


def test_what_breaks_or_stops_a_run_is_no_mistake_of_the_users() -> None:
    assert not isinstance(RunError("the engine died"), ValueError)
    assert not isinstance(Stopped("resume with --resume"), (ValueError, RuntimeError))
    assert (Stopped("resume").exit_code, Stopped("resume", exit_code=143).exit_code) == (130, 143)


def test_first_line_of_an_exception() -> None:
    assert first_line(ValueError("\n one \ntwo")) == "one "
    assert first_line(ValueError("  ")) == "ValueError"
