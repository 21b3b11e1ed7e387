"""The page: what is in the file, and what a real browser makes of it."""

from __future__ import annotations

import json
import re

import pytest

from rerec_engine.report import write_report
from rerec_engine.report.page import embedded

pytestmark = pytest.mark.slow  # a browser starts

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def run(make_run):
    return make_run()


@pytest.fixture(scope="module")
def report(run):
    return write_report(run)


@pytest.fixture
def opened(browser, report):
    """Opens the report; whatever the page complains of fails the test."""
    pages, complaints = [], []

    def open_page(path=report, viewport=WIDE, **options):
        page = browser.new_page(viewport=viewport, **options)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: complaints.append(request.url) if request.url[:4] == "http" else None)
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready=yes]", timeout=30_000)
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not complaints


def test_one_small_file_that_needs_nothing_else(report):
    text = report.read_text(encoding="utf-8")
    assert report.stat().st_size < 1_000_000
    assert not re.search(r'(?:src|href)="(?!#)', text)
    assert text.count("<script") == text.count("</script>") == 3
    assert "onerror" not in text.split('id="data">')[0]


def test_accuracy_by_place_is_drawn_where_it_was_measured(opened, make_run):
    path = make_run(steps=2)
    title = "Accuracy by the right candidate's place"
    assert title not in opened(write_report(path)).locator("#learning").inner_text()
    groups = {str(n): {"accuracy": {"mean": 1 / n}, "chosen": 0.25} for n in range(1, 5)}
    (path / "orders.json").write_text(json.dumps({"orders": {"by_place": groups}}))
    shown = opened(write_report(path)).locator("#learning .chart", has_text=title)
    assert "answered" in shown.inner_text()


def test_embedded_json_cannot_end_its_element():
    text = embedded({"runs": ["</script><!-- \u2028 &amp;"]})
    assert not set(text) & set("<>&\u2028")
    assert json.loads(text) == {"runs": ["</script><!-- \u2028 &amp;"]}


def test_numbers_equal_the_metrics(opened, run):
    page = opened()
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    data = json.loads(page.locator("#data").text_content())["runs"][0]
    assert data["metrics"]["reward"] == [float(f"{line['reward']:.5g}") for line in lines]
    for name in ("reward", "accuracy", "entropy", "seconds_update", "curriculum_mastered"):
        cells = page.locator(f'tr[data-metric="{name}"] td').all_text_contents()
        values = [line[name] for line in lines]
        expected = [values[0], values[-1], min(values), max(values)]
        assert cells[0] == name
        assert [float(cell) for cell in cells[1:]] == pytest.approx(expected, rel=6e-4)
    tiles = page.locator(".tile b").all_text_contents()
    assert tiles[0].replace("\u00a0", " ") == "30.0 % → 60.0 %"
    assert tiles[2] == "300"
    label = page.locator("#learning .uplot").first.get_attribute("aria-label")
    assert float(re.search(r"last: reward ([\d.e-]+)", label)[1]) == pytest.approx(lines[-1]["reward"], rel=6e-4)


def test_hovering_shows_a_step(opened, run):
    page = opened()
    plot = page.locator("#learning .u-over").first
    box = plot.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    legend = page.locator("#learning .u-legend").first.locator(".u-value").all_text_contents()
    step = int(legend[0])
    line = json.loads((run / "metrics.jsonl").read_text().splitlines()[step - 1])
    assert 1 < step < 300
    assert float(legend[1]) == pytest.approx(line["reward"], rel=6e-4)


def test_filters(opened):
    page = opened()
    groups, count = page.locator("#rollouts .group"), page.locator("#rollouts .count")
    assert count.text_content() == "12 of 12 groups"
    page.select_option('[name="category"]', "implicit")
    assert count.text_content() == "4 of 12 groups"
    page.select_option('[name="step"]', "300")
    assert groups.count() == 2
    assert "step 300" in groups.first.text_content()
    page.fill('[name="text"]', "OF 4")
    assert groups.count() == 1
    page.fill('[name="text"]', "")
    page.check('[name="mixed"]')
    page.check('[name="penalised"]')
    assert groups.count() == 2
    page.fill('[name="text"]', "no such text")
    assert groups.count() == 0


def test_rollouts_are_text_shaded_by_advantage(opened, run):
    page = opened()
    group = page.locator("#rollouts .group", has_text="step 1 ·").filter(has_text="Find film 0").first
    group.locator("summary").click()
    responses = group.locator(".response")
    responses.first.wait_for()  # a group is filled once it is opened
    assert responses.count() == 4
    assert "right" in responses.first.get_attribute("class")
    data = json.loads(page.locator("#data").text_content())["runs"][0]["groups"]
    shown = next(g for g in data if g["step"] == 1 and g["query"] == "q0")["responses"]
    for i, response in enumerate(shown):
        spans = responses.nth(i).locator(".text span")
        assert "".join(spans.all_text_contents()) == response["text"]
        assert spans.count() == len(response["tokens"])
    assert responses.nth(1).locator(".penalised").count() == 3
    value = shown[0]["advantages"][0][1]
    assert f"advantage {value:.4g}".rstrip("0").rstrip(".") in responses.first.locator("span").first.get_attribute(
        "title"
    )
    colour = responses.first.locator(".text span").first.evaluate("e => e.style.backgroundColor")
    assert ("0, 114, 178" if value > 0 else "213, 94, 0") in colour
    assert page.evaluate("window.broken") is None
    assert page.locator("#rollouts img, #rollouts script").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(opened, scheme):
    page = opened(viewport=PHONE, color_scheme=scheme)
    page.locator("#rollouts .group summary").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.locator("#learning .uplot").first.bounding_box()["width"] <= PHONE["width"]


def test_two_runs_on_one_page(opened, run, make_run, tmp_path):
    other = make_run("other", steps=50, seed=1)
    page = opened(write_report(run, other, output=tmp_path / "both.html"))
    assert page.locator("h1").text_content() == "run and other"
    assert page.locator(".tiles").count() == 2
    labels = page.locator("#learning .u-legend").first.locator(".u-label").all_text_contents()
    assert "reward, run" in labels
    assert "reward, other" in labels
    assert page.locator("tr.differs td").first.text_content() == "seed"
    page.select_option('[name="run"]', "1")
    page.select_option('[name="step"]', "50")
    assert page.locator("#rollouts .group").count() == 6
