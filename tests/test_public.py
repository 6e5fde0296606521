"""What `import endoexit` offers: lazy, typed, documented."""

import inspect
import subprocess
import sys

import numpy as np
import pytest

import endoexit
from endoexit.errors import ImageError, RunError
from tiny import CLASSES, save_photos, tiny_run

SNIPPET = """
from pathlib import Path
import endoexit

predictor: endoexit.Predictor = endoexit.open(Path("runs/mine"), threshold=0.9)
answers: list[endoexit.Answer] = predictor.predict(["image.jpg"])
probabilities: dict[str, float] = answers[0].probabilities
policy: endoexit.Policy = endoexit.Policy.read(Path("policy.json"))
policy = endoexit.calibrate("runs/mine", endoexit.make_goal(max_accuracy_drop=0.01)).policy
accuracy: float | None = endoexit.evaluate("runs/mine").evaluation.rows[-1].scores.accuracy.value
try:
    model = endoexit.create_model("ee_hifuse_nano", num_classes=5)
except endoexit.EndoexitError:
    pass
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("public") / "run").path


@pytest.fixture(scope="module")
def predictor(folder):
    return endoexit.open(folder, threads=1)


@pytest.mark.parametrize("name", endoexit.__all__)
def test_every_name_is_there(name):
    assert getattr(endoexit, name)
    assert name in dir(endoexit)


@pytest.mark.parametrize("name", sorted(set(endoexit.__all__) - {"__version__"}))
def test_every_name_is_documented(name):
    value = getattr(endoexit, name)
    text = inspect.getdoc(value)
    assert text
    if inspect.isfunction(value):
        assert "Args:" in text
        assert "Raises:" in text or name == "load_published"


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        endoexit.opne  # noqa: B018


def test_the_import_is_light():
    code = (
        "import sys, endoexit; dir(endoexit); "
        "print(sorted({'numpy', 'torch', 'PIL', 'pydantic', 'typer'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_types_are_known(tmp_path):
    right, wrong = tmp_path / "right.py", tmp_path / "wrong.py"
    right.write_text(SNIPPET)
    wrong.write_text("import endoexit\n\nendoexit.opne\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", right, wrong]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert len(errors) == 1, done.stdout
    assert "wrong.py:3:" in errors[0]
    assert "opne" in errors[0]


def test_paths_and_arrays_of_any_size_get_answers(predictor, tmp_path):
    paths = sorted(save_photos(tmp_path / "photos", 18).iterdir())
    array = np.full((90, 70, 3), 128, np.uint8)
    answers = predictor.predict([str(paths[0]), *paths[1:], array])
    assert predictor.classes == CLASSES
    assert len(answers) == len(paths) + 1
    for answer in answers:
        assert tuple(answer.probabilities) == CLASSES
        assert answer.label == max(answer.probabilities, key=answer.probabilities.__getitem__)
        assert sum(answer.probabilities.values()) == pytest.approx(1)
        assert answer.exit == 4
        assert answer.milliseconds > 0
    again = predictor.predict([array])[0]  # the same answer alone as in a batch
    assert again.probabilities == pytest.approx(answers[-1].probabilities, abs=1e-4)


def test_one_path_and_no_image(predictor, tmp_path):
    path = next(save_photos(tmp_path / "photos", 1).iterdir())
    assert len(predictor.predict(path)) == 1
    assert predictor.predict([]) == []


def test_options_reach_the_engine(folder):
    array = np.zeros((32, 32, 3), np.uint8)
    eager = endoexit.open(str(folder), threshold=0.0, deadline_ms=60_000, threads=1)
    assert [answer.exit for answer in eager.predict([array, array])] == [1, 1]
    assert "largest probability" in eager.decided_by


def test_errors_name_what_is_wrong(predictor, tmp_path):
    good = np.zeros((32, 32, 3), np.uint8)
    with pytest.raises(ImageError, match=r"images\[1\] must be a uint8 array"):
        predictor.predict([good, good.astype(np.float32)])
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageError, match=r"empty\.png is empty"):
        predictor.predict([tmp_path / "empty.png"])
    with pytest.raises(RunError):
        endoexit.open(tmp_path / "nowhere")
