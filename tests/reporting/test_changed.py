"""The section on changed images: shown only if it was measured for the same state."""

import pytest

from endoexit.evaluation.robustness import FILE, ChangedRow, Robustness
from endoexit.evaluation.robustness_study import measure_robustness
from endoexit.evaluation.study import Options, evaluate_run
from endoexit.policy import threshold_policy
from endoexit.reporting.changed import changed_images
from endoexit.reporting.opening import open_material
from endoexit.reporting.page import report_page
from endoexit.runtime.session import open_session
from evaluation_runs import copy_run


@pytest.fixture(scope="module")
def run(tiny_run, tmp_path_factory):
    run = copy_run(tiny_run, tmp_path_factory.mktemp("changed") / "run")
    session = open_session(run, threshold=0.4, threads=1)
    evaluate_run(session, Options(timing=False, resamples=50))
    measure_robustness(session)
    return run


def test_the_page_shows_every_change_and_the_figure(run):
    material = open_material(run.path)
    page = report_page(material)
    assert '<section id="changed">' in page.html
    assert "Exit early with a wrong answer" in page.html
    picture = changed_images(material.robustness, synthetic=False)
    assert "at the highest strength: blur" in picture.alt
    assert picture.name in {drawn.name for drawn in page.pictures}


@pytest.mark.parametrize(
    "changes",
    [
        {"weights_sha256": "0"},
        {"role": "val"},
        {"manifest_sha256": "0"},
        {"policy": threshold_policy(4, 0.9)},
    ],
    ids=["weights", "role", "manifest", "policy"],
)
def test_what_was_measured_for_another_state_is_not_shown(run, changes):
    robustness = Robustness.read(run.path / FILE)
    try:
        robustness.replaced(**changes).write(run.path / FILE)
        assert open_material(run.path).robustness is None
    finally:
        robustness.write(run.path / FILE)


def test_a_network_with_one_exit_has_no_cost_to_draw(run):
    robustness = Robustness.read(run.path / FILE)
    rows = tuple(ChangedRow(**(dict(row) | {"shares": (1.0,)})) for row in robustness.rows)
    assert changed_images(robustness.replaced(rows=rows), synthetic=True).width > 0
