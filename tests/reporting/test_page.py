"""The page as a document: what stands on it, in which order, and what it does with odd input."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from endoexit.evaluation.document import PromiseShown
from endoexit.phantom.origin import SETTINGS_FILE
from endoexit.policy.document import Promise
from endoexit.policy.referral import Referral, Unlike
from endoexit.policy.risks import Risk
from endoexit.reporting.gallery import MAX_CLASSES
from endoexit.reporting.headline import origin
from endoexit.reporting.material import Absent, History
from endoexit.reporting.page import picture_address, report_page, with_code
from endoexit.reporting.style import SVG_LIMIT, draw
from report_material import estimate, make_logits, make_material, referring_material

SECTIONS = [
    "headline", "about", "exits", "tradeoff", "shares", "reliability", "confusion", "classes",
    "audit", "training", "gallery", "masks", "provenance",
]  # fmt: skip
LIMIT = 15 * 2**20


class Outline(HTMLParser):
    """What a test asks of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.sections: list[str] = []
        self.headings: list[int] = []
        self.alts: list[str | None] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.warnings = 0
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.add(tag)
        if tag == "section":
            self.sections.append(values["id"])
        self.warnings += values.get("class") == "tile warn"
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "img":
            self.alts.append(values.get("alt"))
        self.addresses += [values[name] for name in ("src", "href") if values.get(name)]

    def handle_data(self, data):
        self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def report_html(material) -> str:
    return report_page(material).html


def outline(material) -> Outline:
    return outline_of(report_html(material))


def outline_of(html: str) -> Outline:
    assert len(html.encode()) < LIMIT
    read = Outline(html)
    assert read.sections == SECTIONS
    assert read.headings[0] == 1
    assert all(b - a <= 1 for a, b in zip(read.headings, read.headings[1:], strict=False))
    assert all(read.alts)
    assert all(address.startswith(("data:", "#")) for address in read.addresses)
    assert not read.tags & {"script", "iframe", "object", "form"}
    return read


def test_everything_stands_there_in_order_and_always_the_same():
    material = make_material()
    html = report_html(material)
    words = outline_of(html).words
    assert "Research use only. Not a medical device." in words
    assert "The terms of the images are not known here." in words
    assert "endoexit evaluate runs/made-up evaluation.json, logits" in words
    assert "endoexit report runs/made-up" in words
    for absent in ("No history.", "No manifest.", "No audit.", "No images.", "No network."):
        assert absent in words
    for row in material.evaluation.rows:
        assert f"{100 * row.scores.accuracy.value:.1f} [" in words
    final, policy = material.evaluation.row("final"), material.evaluation.row("adaptive")
    assert f"{100 * (1 - policy.time.ms / final.time.ms):.0f} % saved" in words
    assert report_html(material) == html


def test_synthetic_images_are_called_so_where_the_figures_are(tmp_path):
    (tmp_path / SETTINGS_FILE).write_text("{}")
    material = make_material(images=12)
    page = report_page(replace(material, images=tmp_path))
    read = Outline(page.html)
    assert "<h1>made-up: ee_made_up on synthetic images</h1>" in page.html
    assert "<title>endoexit report: made-up: ee_made_up on synthetic images</title>" in page.html
    assert "ee_made_up on 12 synthetic test images of 3 classes." in read.words
    headline = page.html.partition('id="headline"')[2].partition("</section>")[0]
    assert "<strong>Synthetic images.</strong>" in headline.partition('class="tiles"')[0]
    plain = report_page(material)
    assert "ynthetic" not in plain.html
    for picture, without in zip(page.pictures, plain.pictures, strict=True):
        assert picture.caption == f"Synthetic images. {without.caption}"
        assert picture.alt == f"Synthetic images. {without.alt}"
        assert picture.png != without.png, "the drawing says so too"


def test_the_headline_is_below_the_title_with_one_line_of_caution_above():
    html = report_html(make_material(images=12))
    top = html.partition("</h1>")[2].partition('class="tiles"')[0]
    assert top.count('class="notice"') == 1
    assert "Research use only. Not a medical device." in top
    assert "<nav" not in top
    assert html.index('class="tiles"') < html.index("<nav") < html.index('id="about"')


@pytest.mark.parametrize("count", [2, 65])
def test_two_and_many_classes(count):
    names = tuple(f"class number {index}" for index in range(count))
    read = outline(make_material(names, images=8 * count))
    for name in names:
        assert name in read.words
    if count > MAX_CLASSES:
        shown = ", ".join(names[MAX_CLASSES : MAX_CLASSES + 20])
        left_out = f"no room here for the classes with fewer images: {shown} and 5 more."
        assert left_out in read.words


def test_names_of_any_kind_and_a_class_that_is_never_answered():
    script, long = "<script>alert('x')</script>", "adenomatous-polyp-with-high-grade-" * 2
    vietnamese, dollars = "Viêm loét đại tràng xuất huyết mức độ nặng", "$x_1$ 100% a&amp;b"
    assert len(long) >= 60
    names = (script, long, vietnamese, dollars)
    logits, _ = make_logits(4, 40, 4)
    logits[:, :, 2] -= 100
    material = make_material(names, images=40, logits=logits)
    read = outline(material)
    assert script not in report_html(material)
    assert not read.tags & {"script"}
    assert all(name in read.words for name in names)
    assert script in " ".join(alt or "" for alt in read.alts)
    assert f"The policy never answers {vietnamese}." in read.words


def test_what_a_reader_must_know_is_said():
    """No image exits at exit 2, a promise is violated, a later exit was faster, logits are gone."""
    material = make_material(images=10, thresholds=(0.7, None, 0.7))
    promise = Promise(
        risk=Risk(name="disagreement", tolerance=0.02),
        delta=0.05,
        images=100,
        observed=0.01,
        p_value=0.01,
        method="exact binomial",
    )
    shown = PromiseShown(promise=promise, units=60, observed=estimate(0.1), kept=False)
    adaptive = material.evaluation.adaptive.replaced(promises=(shown,))
    rows = list(material.evaluation.rows)
    slow = rows[0].time.replaced(ms=99.0)
    rows[0] = rows[0].replaced(time=slow)
    evaluation = material.evaluation.replaced(adaptive=adaptive, rows=tuple(rows))
    material = replace(material, evaluation=evaluation, logits=Absent("Gone."), policy_changed=True)
    read = outline(material)
    for text in (
        "No image exits at exit 2.",
        "exit 2: never",
        "Only 10 images: the intervals are wide",
        "VIOLATED",
        "the machine was busy",
        "Nothing is shown after temperature scaling. Gone.",
        "Probabilities are at T = 1.",
        "The run’s policy.json is no longer the policy that was evaluated.",
    ):
        assert text in read.words
    assert read.warnings == 2, "promise and times"


def test_without_temperatures_the_page_speaks_of_none():
    plain = outline(make_material(temperatures=(1.0,) * 4)).words
    assert "The evaluated policy has no fitted temperatures." in plain
    assert "Temperatures were fitted" not in plain
    assert "Probabilities are at T = 1." in plain
    fitted = outline(make_material()).words
    assert "Temperatures were fitted on the calibrate images; what is shown are" in fitted
    assert "Probabilities are at the policy’s temperatures." in fitted


def test_only_sections_with_content_stand_in_the_contents():
    links = [address[1:] for address in outline(make_material()).addresses if address[0] == "#"]
    assert links[0] == "about", "the line of caution points to the full cautions"
    assert links[1:] == [name for name in SECTIONS if name not in {"audit", "training", "masks"}]
    history = History({"epoch": (1, 2), "train/loss": (2.0, 1.0)}, best=2)
    read = outline(make_material(history=history, split={}))
    assert {"#audit", "#training"} <= set(read.addresses)


def test_the_goal_of_the_policy_is_told_in_words():
    material = make_material()
    adaptive, policy = material.evaluation.adaptive, material.policy
    assert origin(material) == "The policy: made up."
    told = adaptive.replaced(origin="policy.json: mean cost <= 0.5 ms")
    material = replace(
        material,
        evaluation=material.evaluation.replaced(adaptive=told),
        policy=policy.replaced(goal="mean cost <= 0.5 ms"),
    )
    sentence = "The policy comes from policy.json and was calibrated for the goal: mean cost ≤ 0.5"
    words = outline(material).words
    assert f"{sentence} ms." in words
    assert "<=" not in words
    assert "Nothing was proven of this policy" in words


def test_one_exit_no_times_and_a_class_without_images():
    read = outline(make_material(("a", "b", "c"), images=2, exits=1, timed=False))
    for text in (
        "Every image is answered by the only exit.",
        "Nothing is shown after temperature scaling. There is no exit policy",
        "No test image is of c: no sensitivity there.",
        "No time was measured.",
    ):
        assert text in read.words
    assert "G multiply-adds" in read.alts[0]


def test_without_a_policy_the_page_says_who_answers():
    """Exits without a rule: what `evaluate` writes of a run without `policy.json`."""
    material = make_material(images=12)
    rows = tuple(row for row in material.evaluation.rows if row.kind == "exit")
    evaluation = material.evaluation.replaced(adaptive=None, rows=rows)
    read = outline(replace(material, evaluation=evaluation, policy=None))
    assert "Every image is answered by the last exit, as there is no policy." in read.words
    assert "accuracy of the policy" not in read.words


@pytest.mark.slow
def test_a_hundred_thousand_images_and_forty_classes():
    names = tuple(f"a class with a rather long name, number {index}" for index in range(40))
    read = outline(make_material(names, images=100_000, exits=4))
    assert "100000 test images" in read.words


def test_a_drawing_that_is_too_large_goes_in_as_png():
    def paint(figure):
        axes = figure.subplots()
        axes.plot(np.random.default_rng(0).random(20_000), ".")

    about = {"alt": "a", "caption": "a", "source": "a", "synthetic": False}
    large = draw("a", (3, 2), paint, **about)
    assert len(large.svg) > SVG_LIMIT
    assert picture_address(large).startswith("data:image/png;base64,")
    small = draw("a", (3, 2), lambda figure: figure.subplots(), **about)
    assert picture_address(small).startswith("data:image/svg+xml;base64,")


def test_backticks_become_code_and_the_rest_is_escaped():
    assert with_code("run `a <b>` & c") == "run <code>a &lt;b&gt;</code> &amp; c"


def test_referred_images_have_a_part_of_the_gallery_and_no_answer():
    unlike = Unlike(thresholds=(-3.0, 99.0, 99.0, 99.0), share=0.5)
    material = referring_material(Referral(unlike=unlike))
    html = report_page(material).html
    _, part = html.split("<h3>Referred to a human</h3>")
    article = part.split("<article")[1]
    assert "<h4>Referred to a human, at exit 1</h4>" in article
    assert "it does not look like the calibrate images. The network leans to " in article
    assert "answers here" not in article
    assert "<h3>Referred to a human</h3>" not in report_page(make_material()).html
