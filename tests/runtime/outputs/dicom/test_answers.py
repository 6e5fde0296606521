"""What is said of an image and of the model."""

from pathlib import Path

import pytest

from dicom_answers import CLASSES, MODEL, PROMISE, broken, row
from endoexit.files import sha256_file
from endoexit.policy import fixed_exit
from endoexit.runtime.outputs.dicom.answers import USE, Answer, ModelFacts
from endoexit.runtime.session import open_session
from tiny import tiny_run

FILE = Path("a.dcm")


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (row(4, FILE, 2), Answer(5, 2, "answered", "Pólyp", 0.875, 2)),
        (row(4, FILE, cut_short=True), Answer(5, 0, "cut short", "Pólyp", 0.875, 2)),
        (row(4, FILE, referred="unsure"), Answer(5, 0, "unsure", exit=2)),
        (row(4, FILE, referred="unlike", exit_=1), Answer(5, 0, "unlike", exit=1)),
        (broken(4, FILE, 3), Answer(5, 3, "not read")),
    ],
)
def test_each_row_has_its_outcome_and_a_referred_one_no_label(made, expected):
    assert Answer.of(made, CLASSES) == expected


def test_what_holds_for_all_answers_is_said_once():
    lines = {name: text for _, name, text in MODEL.lines()}
    assert lines["Intended use"] == USE
    assert lines["Promise of the policy"] == PROMISE
    assert MODEL.weights in lines.values()
    assert MODEL.policy in lines.values()


def test_the_facts_are_those_of_the_run_without_its_path(tmp_path: Path):
    run = tiny_run(tmp_path / "Curie-Marie")
    (without,) = [ModelFacts.of(open_session(run.path, threads=1))]
    assert without.policy is None
    assert without.promise_lines() == ("none",)
    fixed_exit(4, 2).write(run.path / "policy.json")
    facts = ModelFacts.of(open_session(run.path, threads=1))
    assert facts.policy == sha256_file(run.path / "policy.json")
    assert facts.weights == run.weights_sha256
    assert (facts.name, facts.stages) == ("ee_hifuse_nano", 4)
    assert "Curie" not in str(facts)
