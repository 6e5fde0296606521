"""Risk against coverage, drawn and told; the section of the page."""

import dataclasses

from endoexit.evaluation.estimates import CoverageRow, Estimate, Referrals, RiskCurve
from endoexit.reporting.coverage import risk_against_coverage
from endoexit.reporting.page import report_page
from report_material import make_material


def material(risk):
    plain = make_material()
    row = CoverageRow(name="all images", images=48, unsure=6, unlike=0,
                      coverage=Estimate(value=0.875), risk=risk)  # fmt: skip
    curves = tuple(
        RiskCurve(name=name, coverage=(0.5, 1.0), risk=(0.0, 0.25), area=area)
        for name, area in (("policy", 0.0432), ("final", 0.0654))
    )
    evaluation = plain.evaluation.replaced(referrals=Referrals(rows=(row,), curves=curves))
    return dataclasses.replace(plain, evaluation=evaluation)


def test_the_policy_and_both_areas_are_told():
    picture = risk_against_coverage(material(Estimate(value=0.0476)))
    assert "answers 87.5 %, of which 4.8 % are wrong" in picture.alt
    assert "answers of the policy 0.0432; answers of the final exit 0.0654" in picture.alt


def test_a_policy_without_answers_and_one_without_referral():
    nothing = Estimate(value=None, reason="every image is referred")
    assert "No image is answered." in risk_against_coverage(material(nothing)).alt
    assert risk_against_coverage(make_material()) is None


def test_the_page_has_a_section_of_referral():
    page = report_page(material(Estimate(value=0.0476)))
    assert '<section id="referral">' in page.html
    assert "<figcaption>Referral on " in page.html
    assert "risk-coverage" in {picture.name for picture in page.pictures}
