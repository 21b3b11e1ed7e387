"""Errors in the shape of OpenAI's API."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("fastapi", reason="fastapi is missing: pip install .[serve]")

from rerec_engine.serve.errors import ApiError


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "invalid_request_error"),
        (413, "invalid_request_error"),
        (429, "rate_limit_error"),
        (499, "invalid_request_error"),
        (500, "server_error"),
        (503, "server_error"),
    ],
)
def test_each_status_has_its_kind(status, kind):
    response = ApiError(status, "what").response()
    assert response.status_code == status
    error = {"message": "what", "type": kind, "param": None, "code": None}
    assert json.loads(response.body) == {"error": error}


def test_field_and_code_are_told():
    error = ApiError(400, "too many", param="messages", code="too_many")
    assert str(error) == error.message == "too many"
    assert error.body()["error"] == {
        "message": "too many",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "too_many",
    }


def test_headers_of_those_who_may_come_again():
    waiting = ApiError(429, "busy", retry_after=0).response().headers
    assert waiting["retry-after"] == "0"
    assert "www-authenticate" not in waiting
    assert ApiError(401, "who").response().headers["www-authenticate"] == "Bearer"
    assert "retry-after" not in ApiError(429, "busy").response().headers
