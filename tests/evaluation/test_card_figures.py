"""The model card says what the evaluation found, and is whole before and after it."""

import json
from pathlib import Path

import pytest

from endoexit.artifacts.model_card import BEGIN, END, put_figures
from endoexit.artifacts.run import Run
from endoexit.artifacts.source import CARD
from endoexit.evaluation.card_figures import card_figures
from endoexit.evaluation.document import Evaluation, PromiseShown
from endoexit.evaluation.estimates import Estimate
from endoexit.evaluation.study import Options, evaluate_run
from endoexit.policy.document import Promise
from endoexit.policy.risks import Risk
from endoexit.runtime.session import open_session

REAL = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "reading_evaluation.json"


def figures(card: str) -> str:
    return card.partition(BEGIN)[2].partition(END)[0]


def test_an_evaluation_fills_the_card_and_another_replaces_it(run: Run) -> None:
    before = (run.path / CARD).read_text(encoding="utf-8")
    assert "Not evaluated yet" in figures(before)
    for threshold in (0.0, 1.0):
        evaluation = evaluate_run(
            open_session(run, threshold=threshold), Options(timing=False, resamples=20)
        )
        card = (run.path / CARD).read_text(encoding="utf-8")
        assert figures(card).strip() == card_figures(evaluation).strip()
        assert figures(card).count("Policy: ") == 1
        assert f"largest probability of {threshold:g} or more" in figures(card)
        accuracy = evaluation.row("final").scores.accuracy
        assert f"| final | {100 * accuracy.value:.1f} [" in figures(card)
        for scores in evaluation.rows[-1].scores.classes:
            assert f"| {scores.name} | {scores.images} | " in figures(card)
        assert card.replace(figures(card), figures(before)) == before  # nothing else changed


def test_only_the_test_role_of_the_runs_own_manifest_counts(run: Run) -> None:
    before = (run.path / CARD).read_text(encoding="utf-8")
    evaluate_run(open_session(run), Options(role="val", timing=False, resamples=20))
    assert (run.path / CARD).read_text(encoding="utf-8") == before


@pytest.mark.parametrize("text", [None, "# A card of someone's own\n"])
def test_a_run_without_a_place_for_figures_is_left_as_it_is(run: Run, text: str | None) -> None:
    card = run.path / CARD
    card.unlink()
    if text is not None:
        card.write_text(text)
    put_figures(run.path, "| a table |")
    assert (card.read_text() if card.exists() else None) == text


def test_promises_are_next_to_what_test_showed() -> None:
    """On the evaluation of a real run, given a promise that it breaks."""
    document = REAL.read_text(encoding="utf-8")
    evaluation = Evaluation.model_validate(json.loads(document)["evaluation"])
    assert evaluation.adaptive is not None
    promise = Promise(
        risk=Risk(name="disagreement", tolerance=0.01), delta=0.05, images=200, unit="group",
        observed=0.0, p_value=0.01, method="betting",
    )  # fmt: skip
    shown = PromiseShown(promise=promise, units=67, observed=Estimate(value=0.04), kept=False)
    adaptive = evaluation.adaptive.model_copy(update={"promises": (shown,)})
    text = card_figures(evaluation.model_copy(update={"adaptive": adaptive}))
    assert "| disagreement <= 0.01 | VIOLATED | 67 groups | 0.0 | 200 groups | 4.0 |" in text
    assert "Promised with probability 0.95, all at once." in text
    assert "weights `e50343107513`, manifest `7aafdb8bdc4f`." in text
