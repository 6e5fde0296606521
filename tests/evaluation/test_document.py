"""An `evaluation.json` is read back, in its first form too, or refused by name."""

from pathlib import Path

import pytest

from endoexit.errors import RunError, UsageError
from endoexit.evaluation.document import Evaluation
from endoexit.evaluation.study import Options, evaluate_run
from endoexit.runtime.session import open_session

RELEASE = Path(__file__).resolve().parents[1] / "golden" / "release-0.1"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        ("{", "is not valid JSON"),
        (
            '{"format": "endoexit-evaluation-3"}',
            r"newer endoexit \(format 3, this one reads up to 2\).*again with `endoexit evaluate`",
        ),
        ("[]", "is damaged at 'the top'"),
    ],
)
def test_a_document_that_is_none_is_refused(tmp_path, content, message):
    file = tmp_path / "evaluation.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(RunError, match=message):
        Evaluation.read(file)


def test_a_misspelt_row_is_answered_by_the_nearest(run):
    evaluation = evaluate_run(open_session(run, threshold=0.5), Options(timing=False, resamples=20))
    with pytest.raises(UsageError, match="unknown row 'adaptiv': did you mean 'adaptive'"):
        evaluation.row("adaptiv")


def test_the_first_format_is_read_and_written_in_the_present_one(tmp_path):
    first = Evaluation.read(RELEASE / "run" / "evaluation.json")
    assert first.format == "endoexit-evaluation-2"
    assert first.images.contents_sha256 is None
    assert first.adaptive.policy.format == "endoexit-policy-2"
    first.write(tmp_path / "evaluation.json")
    assert Evaluation.read(tmp_path / "evaluation.json") == first
