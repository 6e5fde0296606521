"""The page in a real browser: nothing is fetched, nothing complains, nothing runs over."""

from dataclasses import replace
from pathlib import Path

import pytest

import chromium
from endoexit.images.reference import ImageRef
from endoexit.reporting.explain import explain
from endoexit.reporting.opening import open_material
from endoexit.reporting.page import report_page
from endoexit.reporting.write import write_report
from endoexit.runtime.session import open_session
from report_material import make_material, make_source

FACTS = """() => ({
    overflow: document.documentElement.scrollWidth - innerWidth,
    headings: [...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(e => +e.tagName[1]),
    alts: [...document.images].map(e => e.alt.trim()),
    broken: [...document.images].filter(e => !e.complete || !e.naturalWidth).length,
    ids: [...document.querySelectorAll('[id]')].map(e => e.id),
    links: [...document.querySelectorAll('a')].map(e => e.getAttribute('href').slice(1)),
    language: document.documentElement.lang,
    fetched: performance.getEntriesByType('resource')
        .map(e => e.name).filter(n => !n.startsWith('data:')),
})"""

pytestmark = chromium.MARKS
browser = chromium.browser


def look(browser, page: Path, width: int) -> dict:
    """Open a page from the disk; return what is seen, after checking what holds for all."""
    tab = browser.new_page(viewport={"width": width, "height": 800})
    said, asked = [], []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    try:
        tab.goto(page.resolve().as_uri())
        tab.wait_for_load_state("load")
        seen = tab.evaluate(FACTS)
    finally:
        tab.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [page.resolve().as_uri()]
    assert seen["fetched"] == []
    assert seen["overflow"] <= 0
    assert seen["headings"][0] == 1
    assert seen["headings"].count(1) == 1
    steps = zip(seen["headings"], seen["headings"][1:], strict=False)
    assert all(after - before <= 1 for before, after in steps)
    assert all(seen["alts"])
    assert seen["broken"] == 0
    assert len(set(seen["ids"])) == len(seen["ids"])
    assert set(seen["links"]) <= set(seen["ids"])
    assert seen["language"] == "en"
    return seen


@pytest.fixture(scope="module")
def written(evaluated_once, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    return write_report(open_material(evaluated_once.path), out).page


@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_of_a_run(browser, written, width):
    seen = look(browser, written, width)
    figures = len(list((written.parent / "figures").glob("*.png")))
    assert len(seen["alts"]) > figures  # the gallery too


def measured(browser, page, width, question):
    tab = browser.new_page(viewport={"width": width, "height": 800})
    tab.goto(page.resolve().as_uri())
    measures = tab.evaluate(question)
    tab.close()
    return measures


def test_the_caption_of_a_figure_alone_fills_the_room_beside_it(browser, written):
    question = """[...document.querySelectorAll('.figures > figure')].map(e => [
        e.parentElement.children.length,
        e.querySelector('img').getBoundingClientRect().right,
        e.querySelector('figcaption').getBoundingClientRect().left])"""
    wide = measured(browser, written, 1280, question)
    assert {count == 1 for count, _, _ in wide} == {True, False}
    assert all((left >= right) == (count == 1) for count, right, left in wide)
    narrow = measured(browser, written, 390, question)
    assert all(left < right for _, right, left in narrow)


def test_headings_of_tables_stay_low_on_a_phone(browser, written):
    heights = measured(
        browser, written, 390,
        "[...document.querySelectorAll('thead')].map(e => e.getBoundingClientRect().height)",
    )  # fmt: skip
    lines = 16 * 0.9 * 1.5
    assert max(heights) < 4 * lines


def test_nothing_is_cut_or_closed_on_paper(browser, tmp_path):
    names = tuple(f"a-finding-with-a-long-name-{index}" for index in range(12))
    page = tmp_path / "report.html"
    page.write_text(report_page(make_material(names, images=96)).html, encoding="utf-8")
    tab = browser.new_page(viewport={"width": 680, "height": 960})  # A4 within its margins
    tab.emulate_media(media="print")
    tab.goto(page.as_uri())
    tables = tab.evaluate(
        "[...document.querySelectorAll('table')]"
        ".map(e => [e.getBoundingClientRect().right, e.checkVisibility()])"
    )
    background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    tab.close()
    assert len(tables) > 8
    assert all(right <= 680 for right, _ in tables), tables
    assert all(visible for _, visible in tables), "what is folded on the screen is open"
    assert background == "rgb(255, 255, 255)"


def test_forty_classes_with_long_names_on_a_phone(browser, tmp_path):
    unbroken = "x" * 60
    names = tuple(f"{index}-{unbroken}" for index in range(40))
    page = tmp_path / "report.html"
    material = replace(make_material(names, images=80), source=make_source("/" + "long" * 60))
    page.write_text(report_page(material).html, encoding="utf-8")
    look(browser, page, 390)


def test_the_page_on_single_images(browser, evaluated_once, tmp_path):
    cohort = evaluated_once.manifest().cohort("test")
    session = open_session(evaluated_once, out=tmp_path)
    explained = explain(session, [*cohort.images[:2], ImageRef(tmp_path / ("gone" * 40))])
    assert len(look(browser, explained.page, 390)["alts"]) == 10
    cards = measured(
        browser, explained.page, 1280,
        """[...document.querySelectorAll('.card')].map(e => [
            e.querySelectorAll('summary').length,
            e.querySelector('h3').getBoundingClientRect().top - e.getBoundingClientRect().top])""",
    )  # fmt: skip
    assert len(cards) == 2
    assert all(folded == 1 and gap < 20 for folded, gap in cards), cards


def test_scripts_and_addresses_elsewhere_are_forbidden(browser, tmp_path):
    """The policy of the page itself stops what would slip through the escaping."""
    html = report_page(make_material(exits=1, images=10)).html
    page = tmp_path / "report.html"
    slipped = "<img src='http://127.0.0.1:9/a.png' alt='a'><script>document.title = 'ran'</script>"
    page.write_text(html.replace("</main>", f"{slipped}</main>"), encoding="utf-8")
    tab = browser.new_page()
    said = []
    tab.on("console", lambda message: said.append(message.text))
    tab.goto(page.as_uri())
    title = tab.title()
    tab.close()
    assert title != "ran"
    assert sum("Content Security Policy" in text for text in said) == 2
