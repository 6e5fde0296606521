"""With --json, standard output holds one document also when a command fails as a whole."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tiny_project import command, endoexit, endoexit_process, interruptible


@pytest.mark.parametrize(
    "arguments",
    [
        ["audit", "nowhere"],
        ["split", "nowhere"],
        ["train", "nowhere.csv"],
        ["calibrate", "nowhere", "--mean-exit-cost", "0.5"],
        ["evaluate", "nowhere"],
        ["predict", "nowhere", "image.png"],
        ["report", "nowhere"],
        ["serve", "nowhere", "--port", "0"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_the_error_is_one_document(arguments, tmp_path):
    done = endoexit(*arguments, "--json", cwd=tmp_path)
    document = json.loads(done.stdout)
    assert set(document) == {"error", "exit_code"}
    assert document["exit_code"] == done.returncode
    assert done.returncode in {1, 2}
    assert "nowhere" in document["error"]
    assert done.stderr.splitlines()[-1] == f"error: {document['error']}"
    plain = endoexit(*arguments, cwd=tmp_path)
    assert (plain.returncode, plain.stdout) == (done.returncode, "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["audit"], "Missing argument"),
        (["audit", ".", "--nonsense"], "No such option: --nonsense"),
        (["models", "--size", "large"], "Invalid value for '--size'"),
        (["train", "--accelerator", "tpu"], "'--accelerator': 'tpu' is not one of"),
        (["modles"], "No such command 'modles'"),
        (["reproduce", "table4"], "No such command 'table4'"),
    ],
    ids=["missing", "option", "value", "choice", "command", "below"],
)
def test_wrong_usage_is_one_document(arguments, words):
    done = endoexit(*arguments, "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["exit_code"]) == (2, 2)
    assert words in document["error"]
    assert "Usage: endoexit" in done.stderr
    assert endoexit(*arguments).stdout == ""


def test_an_unexpected_error_is_a_document_and_a_traceback(tiny_manifest, tmp_path):
    """A fault of ours, put into `audit` before the command line starts."""
    (tmp_path / "sitecustomize.py").write_text(
        "import endoexit.auditing.findings as module\n"
        "def fail(*arguments, **options):\n"
        "    raise KeyError('fault')\n"
        "for name in [n for n in vars(module) if callable(vars(module)[n])]:\n"
        "    if getattr(vars(module)[name], '__module__', '') == module.__name__:\n"
        "        setattr(module, name, fail)\n"
    )
    paths = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    done = endoexit_process(
        "audit", tiny_manifest.parent / "images", "--json",
        env=os.environ | {"PYTHONPATH": paths}, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"error": "KeyError: 'fault'", "exit_code": 1}
    assert "Traceback" in done.stderr


def test_ctrl_c_is_one_document(tiny_manifest: Path, tmp_path: Path):
    line = command("train", tiny_manifest, "--out", tmp_path / "run", "--json")
    process = subprocess.Popen(
        interruptible(*line), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "run" / "config.json").exists() and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=300)
    assert process.returncode == 130, error
    assert json.loads(out) == {"error": "stopped before it was done.", "exit_code": 130}
