"""The top of the page: title, origin of the policy, and what its tiles say."""

from dataclasses import replace

import pytest

from endoexit.evaluation.document import PromiseShown
from endoexit.evaluation.estimates import Estimate
from endoexit.policy.document import Promise
from endoexit.policy.risks import Risk
from endoexit.reporting.headline import headline, origin, title
from endoexit.reporting.tradeoff import tradeoff
from report_material import estimate, make_material, make_source


def test_the_title_does_not_say_the_network_twice():
    material = make_material(images=12)
    assert title(material) == "made-up: ee_made_up on test images"
    named = replace(material, source=make_source("runs/ee_made_up-seed0"))
    assert title(named) == "ee_made_up-seed0 on test images"


def test_no_saving_is_told_from_times_that_cannot_be():
    material = make_material()
    policy, final = (material.evaluation.row(name) for name in ("adaptive", "final"))
    saved, whole = (tile.value for tile in headline(material)[1:3])
    assert saved == f"{100 * (1 - policy.time.ms / final.time.ms):.0f} % saved"
    rows = list(material.evaluation.rows)
    rows[0] = rows[0].replaced(time=rows[0].time.replaced(ms=99.0))
    busy = material.evaluation.replaced(rows=tuple(rows))
    _, time, macs, _ = headline(replace(material, evaluation=busy))
    assert (time.value, time.warn) == ("not known", True)
    assert "the machine was busy" in time.detail
    assert "ms" not in time.detail.split()
    assert macs.value == whole
    assert "G multiply-adds" in tradeoff(replace(material, evaluation=busy)).alt


def test_a_network_with_one_exit_has_one_tile_and_no_policy():
    material = make_material(exits=1)
    (tile,) = headline(material)
    final = material.evaluation.row("final")
    assert tile.value == f"{100 * final.scores.accuracy.value:.1f} %"
    assert "10.0 ms, 1.00 G multiply-adds an image" in tile.detail
    assert origin(material) == "Every image is answered by the only exit."


def test_a_policy_that_costs_more_is_not_called_a_saving():
    material = make_material()
    rows = list(material.evaluation.rows)
    rows[-1] = rows[-1].replaced(macs=5e9)
    dear = replace(material, evaluation=material.evaluation.replaced(rows=tuple(rows)))
    tiles = {tile.label: tile for tile in headline(dear)}
    assert tiles["multiply-adds of an image"].value == "25 % more"
    assert tiles["multiply-adds of an image"].detail.startswith("5.00 G under the policy")
    assert tiles["promise"].value == "none"


@pytest.mark.parametrize(
    ("kept", "observed", "value", "detail"),
    [
        (True, estimate(0.0), "kept", "test shows 0.0 [0.0, 5.0] % in 60 images; promised with"),
        (False, estimate(0.1), "VIOLATED", "test shows 10.0 [5.0, 15.0] % in 60 images; promised"),
        (None, Estimate(value=None), "nothing seen", "The promise is about none of the test"),
    ],
)
def test_a_promise_has_a_tile_that_warns_where_it_is_broken(kept, observed, value, detail):
    material = make_material()
    promise = Promise(
        risk=Risk(name="disagreement", tolerance=0.02), delta=0.05, images=100, observed=0.01,
        p_value=0.01, method="exact binomial",
    )  # fmt: skip
    shown = PromiseShown(promise=promise, units=60, observed=observed, kept=kept)
    adaptive = material.evaluation.adaptive.replaced(promises=(shown,))
    evaluation = material.evaluation.replaced(adaptive=adaptive)
    tile = headline(replace(material, evaluation=evaluation))[-1]
    assert tile.label == "promise: disagreement ≤ 0.02"
    assert tile.value == value
    assert tile.detail.startswith(detail)
    assert tile.warn == (kept is False)


def test_the_tile_of_a_floor_shows_the_share_that_it_is_named_after():
    material = make_material()
    promise = Promise(
        risk=Risk(name="sensitivity", tolerance=0.05, of_class="polyp"), delta=0.05, images=100,
        observed=0.01, p_value=0.01, method="exact binomial",
    )  # fmt: skip
    shown = PromiseShown(promise=promise, units=60, observed=estimate(0.1), kept=False)
    adaptive = material.evaluation.adaptive.replaced(promises=(shown,))
    evaluation = material.evaluation.replaced(adaptive=adaptive)
    tile = headline(replace(material, evaluation=evaluation))[-1]
    assert tile.label == "promise: sensitivity[polyp] ≥ 0.95"
    assert tile.detail.startswith("test shows 90.0 [85.0, 95.0] % in 60 images")
