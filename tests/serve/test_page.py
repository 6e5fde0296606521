"""The page in a real browser: images in, answers exit by exit, by mouse, drop and keyboard."""

import csv
import io
from pathlib import Path

import pytest
from servers import CALIBRATED, PHOTOS

import chromium
from tiny import CLASSES

ACCESSIBLE = """() => ({
    overflow: document.documentElement.scrollWidth - innerWidth,
    headings: [...document.querySelectorAll('h1,h2,h3,h4')].map(e => +e.tagName[1]),
    unnamed: [...document.querySelectorAll('button, input, canvas, meter')].filter(e => !(
        e.textContent.trim() || e.getAttribute('aria-label') || (e.labels && e.labels.length)
    )).map(e => e.outerHTML),
    ids: [...document.querySelectorAll('[id]')].map(e => e.id),
    language: document.documentElement.lang,
    small: [...document.querySelectorAll('button, .button')]
        .filter(e => e.offsetParent && e.getBoundingClientRect().height < 24).length,
})"""
AXE = Path(__file__).with_name("axe") / "axe.min.js"
RULES = """async () => (await axe.run(document)).violations.map(
    found => `${found.id}: ${found.nodes.map(node => node.html.slice(0, 120)).join(' ; ')}`)"""
DROP = """async ([names, contents]) => {
    const files = new DataTransfer();
    names.forEach((name, place) => files.items.add(
        new File([Uint8Array.from(contents[place])], name, {type: 'image/png'})));
    document.getElementById('drop').dispatchEvent(
        new DragEvent('drop', {dataTransfer: files, bubbles: true, cancelable: true}));
}"""

pytestmark = chromium.MARKS
browser = chromium.browser


@pytest.fixture(params=[1280, 390])
def tab(browser, server, request):
    """The page when it is ready; afterwards nothing may have complained or asked elsewhere."""
    tab = browser.new_page(viewport={"width": request.param, "height": 800})
    said, asked = [], []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(server.url)
    tab.wait_for_selector("#health.ready")
    tab.wait_for_function("() => document.querySelectorAll('#exits tbody tr').length === 4")
    yield tab
    seen = tab.evaluate(ACCESSIBLE)
    tab.close()
    assert said == []
    assert [url for url in asked if not url.startswith((server.url, "blob:", "data:"))] == []
    assert seen["overflow"] <= 0
    assert seen["unnamed"] == []
    assert seen["small"] == 0
    assert seen["language"] == "en"
    assert seen["headings"].count(1) == 1
    steps = zip(seen["headings"], seen["headings"][1:], strict=False)
    assert all(after - before <= 1 for before, after in steps)
    assert len(set(seen["ids"])) == len(seen["ids"])


@pytest.fixture
def folder(tmp_path) -> Path:
    for number, content in enumerate(PHOTOS[:6]):
        (tmp_path / f"{number}.png").write_bytes(content)
    (tmp_path / "broken.png").write_bytes(PHOTOS[0][:200])
    return tmp_path


def answered(tab, count):
    tab.wait_for_function(
        "count => document.getElementById('said').textContent.startsWith(`${count} of ${count} `)",
        arg=count,
    )


def test_images_are_chosen_and_answered_exit_by_exit(tab, folder, client):
    tab.set_input_files("#files", sorted(folder.glob("*.png")))
    answered(tab, 7)
    titles = tab.eval_on_selector_all(".card h3", "all => all.map(e => e.textContent)")
    assert titles.count("No answer") == 1
    assert sum("answered by" in title for title in titles) == 6
    for number in range(6):
        expected = client.post(
            "/v1/predict", content=PHOTOS[number], headers={"content-type": "image/png"}
        ).json()["results"][0]
        card = tab.locator(".card").nth(number)
        assert card.locator("h3").inner_text().startswith(expected["label"])
        assert card.locator(".exit").count() == expected["exit"]
        assert card.locator(".exit.answers h4").inner_text() == f"Exit {expected['exit']} answers"
        assert card.locator(".exit.answers meter").count() == len(CLASSES)
        assert "ms in the network" in card.locator(".time").inner_text()
    broken = tab.locator(".card").nth(6)
    assert "damaged or cut off" in broken.locator(".time").inner_text()


def test_axe_finds_nothing_on_the_page(tab, folder):
    """All rules of axe-core, with answers, an error and maps on the page. CSP stays in force."""
    tab.set_input_files("#files", [folder / "0.png", folder / "broken.png"])
    answered(tab, 2)
    tab.click(".look")
    tab.wait_for_selector(".maps li:nth-child(4)")
    tab.evaluate(AXE.read_text(encoding="utf-8"))
    assert tab.evaluate(RULES) == []
    # The engine would find a fault.
    tab.evaluate("document.querySelector('#csv').textContent = ''")
    assert tab.evaluate(RULES)[0].startswith("button-name")
    tab.evaluate("document.querySelector('#csv').textContent = 'Download'")


def test_the_answers_as_csv(tab, folder):
    tab.set_input_files("#files", [*sorted(folder.glob("[01].png")), folder / "broken.png"])
    answered(tab, 3)
    with tab.expect_download() as download:
        tab.click("#csv")
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert [row["name"] for row in rows] == ["0.png", "1.png", "broken.png"]
    for row in rows[:2]:
        assert sum(float(row[name]) for name in CLASSES) == pytest.approx(1, abs=1e-4)
        assert row["label"] == max(CLASSES, key=lambda name: float(row[name]))
    assert rows[2]["error"].startswith("The image is damaged")


def test_images_are_dropped(tab):
    tab.evaluate(DROP, [["=1+1.png", "b.png"], [list(content) for content in PHOTOS[:2]]])
    answered(tab, 2)
    with tab.expect_download() as download:
        tab.click("#csv")
    assert "'=1+1.png" in Path(download.value.path()).read_text()  # no formula of a spreadsheet
    tab.click("#clear")
    assert tab.locator(".card").count() == 0
    assert tab.is_disabled("#csv")


def test_it_works_by_keyboard(tab, folder):
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    seen = []
    for _ in range(4):
        tab.keyboard.press("Tab")
        seen.append(tab.evaluate("document.activeElement.id"))
    assert {"files", "folder"} <= set(seen)
    # The dialogue of the system itself does not always open in a browser without a window.
    tab.evaluate(
        "document.querySelector('#files').addEventListener("
        "'click', event => { event.preventDefault(); window.asked = true; })"
    )
    tab.focus("#files")
    tab.keyboard.press("Space")
    tab.wait_for_function("window.asked")
    tab.set_input_files("#files", [folder / "0.png"])
    answered(tab, 1)
    tab.focus(".look")
    tab.keyboard.press("Enter")
    tab.wait_for_selector(".maps li:nth-child(4)")


def test_what_the_exits_looked_at(tab, folder):
    tab.set_input_files("#files", [folder / "0.png"])
    answered(tab, 1)
    tab.click(".look")
    tab.wait_for_selector(".maps li:nth-child(4)")
    words = tab.eval_on_selector_all(".maps li", "all => all.map(e => e.textContent)")
    kinds = ("attention", "attention", "attention", "Grad-CAM")
    assert words == [f"Exit {exit_}, {kind}" for exit_, kind in enumerate(kinds, start=1)]
    colours = tab.eval_on_selector(
        ".maps canvas",
        "e => new Set(e.getContext('2d').getImageData(0, 0, e.width, e.height).data).size",
    )
    assert colours > 10


def test_the_model_and_its_shares_are_shown(tab):
    assert "Research use only" in tab.inner_text("header")
    assert "was not certified" in tab.inner_text("#promises")
    assert "a policy of tests" in tab.inner_text("#facts")
    counts = {"exits": CALIBRATED.exits, "labels": CALIBRATED.labels,
              "confidence": CALIBRATED.confidences}  # fmt: skip
    for name, expected in counts.items():
        shares = tab.eval_on_selector_all(
            f"#{name} tbody tr td:last-child", "all => all.map(e => e.textContent)"
        )
        assert shares == [f"{count:.1f} %" for count in expected]


def test_nothing_of_the_page_may_be_inline_or_from_elsewhere(client):
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "<script>" not in client.get("/").text
