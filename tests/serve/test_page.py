"""The page, as a real browser shows it, on a real server; what a server seldom says is put in its mouth."""

from __future__ import annotations

import json
import time

import pytest

pytestmark = pytest.mark.slow  # a browser starts

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
HOSTILE = '<img src=x onerror="window.broken = 1"><script>window.broken = 1</script>'
ANSWER = {
    "request": "x",
    "conditions": ["drama", f"not {HOSTILE}"],
    "candidates": [HOSTILE, "Heat (1995)"],
    "candidates_from": f"a shortlist {HOSTILE}",
    "reasoning": f"1) {HOSTILE} drama yes",
    "items": [
        {
            "title": f"Heat {HOSTILE} {'long' * 60}",
            "attributes": [
                {"relation": "Directed_by", "value": f"Ann {HOSTILE}", "asked": True},
                {"relation": "Genre", "value": "crime", "asked": False},
            ],
            "evidence": [{"condition": "before 2000", "relation": "year", "value": "1995"}],
            "missed": [f"set in {HOSTILE}"],
        }
    ],
    "unmet": [{"condition": "in Japan", "why": "no candidate is"}],
    "notes": [f"in no catalogue: {HOSTILE}"],
}


@pytest.fixture
def opened(browser):
    """Opens the page; whatever it complains of, and any request to elsewhere, fails the test."""
    pages, complaints = [], []

    def open_page(url, viewport=WIDE, expected="", **options):
        page = browser.new_page(viewport=viewport, **options)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda message: (
                complaints.append(message.text)
                if message.type == "error" and not (expected and expected in message.text)
                else None
            ),
        )
        page.on(
            "request",
            lambda request: None if request.url.startswith((url, "data:")) else complaints.append(request.url),
        )
        page.goto(url)
        page.locator("#engine:not(:empty)").wait_for()
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not complaints


@pytest.fixture(scope="module")
def url(serve_here):
    return serve_here(new_tokens=40)


def sse(*events):
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"


def chunk(content="", **more):
    return {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": None}], **more}


def says(page, status=200, body="", **headers):
    """The server's answer to the next requests."""
    page.route("**/v1/chat/completions", lambda route: route.fulfill(status=status, body=body, headers=headers))


def send(page, text):
    page.get_by_label("Your request").fill(text)
    page.keyboard.press("Enter")


def answered(page, count=1):
    page.locator(".answer:not([aria-busy])").nth(count - 1).wait_for(timeout=20_000)
    return page.locator(".answer").nth(count - 1)


def test_conversation_on_a_real_server(opened, url, parts):
    page = opened(url)
    assert page.get_by_role("button", name="Send").is_disabled()
    asked = []
    page.on("request", lambda request: asked.append(request) if request.method == "POST" else None)
    send(page, "Find a drama film")
    first = answered(page)
    assert page.locator(".said").inner_text() == "Find a drama film"
    assert "candidates" in first.locator("details").text_content()
    assert first.locator(".items li, .nothing").count() >= 1
    assert page.locator("#text").evaluate("box => box === document.activeElement")
    page.get_by_label("User").fill("3")
    page.get_by_label("At most").fill("1")
    send(page, "another")
    answered(page, 2)
    body = asked[1].post_data_json
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert (body["user"], body["top_k"], body["stream"]) == ("3", 1, True)
    page.get_by_role("button", name="New chat").click()
    assert page.locator(".answer, .said").count() == 0
    send(page, "a comedy")
    answered(page)
    assert len(asked[2].post_data_json["messages"]) == 1


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_hostile_answer_is_shown_as_text_and_fits(opened, url, viewport):
    page = opened(url, viewport)
    says(page, body=sse(chunk("1) "), chunk(HOSTILE), chunk("", rerec=ANSWER)))
    send(page, HOSTILE)
    answer = answered(page)
    answer.locator("summary").click()
    assert page.locator("img, script:not([src])").count() == 0
    assert page.evaluate("window.broken") is None
    assert answer.locator("h2").inner_text().startswith(f"Heat {HOSTILE}")
    assert answer.locator(".asked").all_text_contents() == [
        f"Directed by: Ann {HOSTILE} (asked for)",
        "Year: 1995 (asked for)",
    ]
    assert answer.locator(".missed").inner_text() == f"Not met: set in {HOSTILE}"
    assert answer.locator(".notes li").all_inner_texts() == [
        "Not met: in Japan: no candidate is",
        f"Note: in no catalogue: {HOSTILE}",
    ]
    assert answer.locator(".legend").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    box = page.get_by_label("Your request").bounding_box()
    assert 0 < box["y"] < viewport["height"] - box["height"]


@pytest.mark.parametrize(
    ("status", "headers", "body", "told"),
    [
        (429, {"Retry-After": "7"}, "{}", "Busy, try again in 7 s."),
        (504, {}, "{}", "The answer took too long. Try again, or ask for less."),
        (400, {}, json.dumps({"error": {"message": f"no {HOSTILE}"}}), f"No answer: no {HOSTILE}"),
        (502, {}, "<html>", "No answer: the server answered 502"),
        (200, {}, sse({"error": {"message": "the engine is gone"}}), "The answer broke off: the engine is gone"),
        (200, {}, sse(chunk("half of")), "The answer broke off."),
    ],
    ids=["busy", "late", "refused", "no JSON", "failed", "cut"],
)
def test_errors_are_told_and_the_next_request_goes_on(opened, url, status, headers, body, told):
    page = opened(url, expected=f"status of {status}")
    says(page, status, body, **headers)
    send(page, "a drama")
    assert answered(page).locator(".error").inner_text() == told
    page.unroute("**/v1/chat/completions")
    with page.expect_request("**/v1/chat/completions") as asked:
        send(page, "a comedy")
    assert len(asked.value.post_data_json["messages"]) == 1
    assert answered(page, 2).locator(".error").count() == 0


def test_server_that_is_gone(opened, url):
    page = opened(url, expected="ERR_")
    page.route("**/v1/chat/completions", lambda route: route.abort())
    send(page, "a drama")
    assert "cannot be reached" in answered(page).locator(".error").inner_text()


def test_stop_ends_the_answer(opened, serve_here, parts, monkeypatch):
    from rerec_engine.rollout.sampler import Sampler

    def endless(*_):
        while True:
            time.sleep(0.02)
            yield parts[1].tokenizer.encode("a")[0]

    url = serve_here(concurrent=1)
    page = opened(url)
    with monkeypatch.context() as patch:
        patch.setattr(Sampler, "stream", endless)
        send(page, "a drama")
        page.get_by_text("Thinking").wait_for()
        assert page.get_by_role("button", name="Send").count() == 0
        page.get_by_role("button", name="Stop").click()
        assert answered(page).locator(".error").inner_text() == "Stopped."
    send(page, "a comedy")
    assert answered(page, 2).locator(".error").count() == 0


def test_key_is_asked_for_and_sent(opened, serve_here):
    page = opened(serve_here(key="secret", new_tokens=10), expected="401")
    assert not page.get_by_label("API key").is_visible()
    send(page, "a drama")
    assert "enter it below" in answered(page).locator(".error").inner_text()
    page.get_by_label("API key").fill("secret")
    send(page, "a drama")
    assert answered(page, 2).locator(".error").count() == 0


def test_every_control_has_a_name_and_text_enough_contrast(opened, url):
    for scheme in ("light", "dark"):
        page = opened(url, color_scheme=scheme)
        says(page, body=sse(chunk("", rerec={**ANSWER, "unmet": []})))
        send(page, "a drama")
        answered(page)
        for control in page.locator("button, input, textarea").all():
            name = control.evaluate("c => c.labels?.[0]?.textContent || c.textContent")
            assert name.strip(), control
        for selector in (".asked .value", ".said", ".legend", "#engine", ".relation", ".missed"):
            assert contrast(page, selector) >= 4.5, (scheme, selector)


def contrast(page, selector):
    """WCAG's ratio of a text to what is behind it."""
    text, behind = page.locator(selector).first.evaluate(
        """element => {
            const clear = (c) => c === "rgba(0, 0, 0, 0)";
            let under = element;
            while (clear(getComputedStyle(under).backgroundColor)) under = under.parentElement;
            return [getComputedStyle(element).color, getComputedStyle(under).backgroundColor];
        }"""
    )

    def luminance(colour):
        parts = [int(part) / 255 for part in colour[4:-1].split(",")[:3]]
        linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(text), luminance(behind)))
    return (high + 0.05) / (low + 0.05)
