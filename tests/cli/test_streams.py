"""Standard streams that are closed, full, gone or not UTF-8: real processes, real devices."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tiny_project import command

FULL = Path("/dev/full")
ASCII = {"PYTHONIOENCODING": "ascii"}
OLD = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
CP1252 = {"PYTHONIOENCODING": "cp1252"}

needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def test_a_thread_that_waits_for_input_does_not_keep_the_program_from_ending():
    program = (
        "import threading, time; from endoexit.cli.streams import standard_input;"
        "threading.Thread(target=standard_input().readline, daemon=True).start();"
        "time.sleep(0.3)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.wait(60) == 0, process.stderr.read().decode()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes, with names that ASCII lacks (é, Latin 1 has it; Ж, it lacks it too)."""
    folder = tmp_path_factory.mktemp("streams") / "images"
    rng = np.random.default_rng(0)
    for name in ("é", "Ж"):
        (folder / name).mkdir(parents=True)
        for number in range(3):
            pixels = rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An audit writes its findings into the folder that it is started in."""
    monkeypatch.chdir(tmp_path)


def in_shell(redirections: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command as a shell does that redirects its streams."""
    line = ["sh", "-c", f'"$@" {redirections}', "sh", *command(*arguments)]
    return subprocess.run(line, check=False, capture_output=True, text=True)


def run(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command(*arguments), check=False, capture_output=True, env=os.environ | environment
    )


@needs_full
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_full_output_is_one_line_and_exit_code_1(images, more):
    done = in_shell("> /dev/full", "audit", images, *more)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert errors == [
        "error: cannot write to standard output: No space left on device. Free space, or send the "
        "output elsewhere."
    ]
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@needs_full
@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["audit", "--help"]])
def test_a_full_output_fails_short_answers_too(arguments):
    done = in_shell("> /dev/full", *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot write to standard output")
    assert len(done.stderr.splitlines()) == 1


@needs_full
def test_a_full_standard_error_loses_messages_only():
    done = in_shell("2> /dev/full", "audit", "nowhere", "--json")
    assert done.returncode == 1
    assert "nowhere" in json.loads(done.stdout)["error"]


@needs_full
def test_a_full_output_does_not_hide_why_a_command_failed():
    done = in_shell("> /dev/full", "audit", "nowhere", "--json")
    assert done.returncode == 1
    assert done.stderr == ("error: the folder of images nowhere does not exist: check its path.\n")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_the_null_device(images, closed, tmp_path):
    out = tmp_path / "audit.json"
    done = in_shell(closed, "audit", images, "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert bool(done.stdout) == (">&-" not in closed.split())
    json.loads(out.read_text(encoding="utf-8"))  # nothing that was printed went into a file


def test_nobody_reads_standard_output(images):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        command("audit", images, "--json"),
        check=False, stdout=writer, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr.count("Traceback")) == (1, 0)
    assert "error" not in done.stderr


@pytest.mark.parametrize("console", [ASCII, CP1252], ids=["ascii", "cp1252"])
def test_a_console_that_is_not_utf8_gets_plain_characters(images, console):
    encoding = "cp1252" if console is CP1252 else "ascii"
    for more in ([], ["--json"]):
        done = run(console, "audit", images, *more)
        assert done.returncode == 0, done.stderr
        text = done.stdout.decode(encoding)
        done.stderr.decode(encoding)
        if more:
            classes = json.dumps(json.loads(text), ensure_ascii=False)
            assert "é" in classes
            assert "Ж" in classes
        else:
            assert r"\u0416" in text


@pytest.mark.parametrize("console", [ASCII, OLD, CP1252], ids=["ascii", "C", "cp1252"])
def test_frames_and_signs_of_other_answers_too(console):
    encoding = "cp1252" if console is CP1252 else "ascii"
    shown = run(console, "--help")
    assert shown.returncode == 0
    assert "predict" in shown.stdout.decode(encoding)
    listed = run(console, "models", "--family", "bag_of_features")
    assert listed.returncode == 0, listed.stderr
    times = "×" if encoding == "cp1252" else "x"
    assert f"(query {times} key, weight" in listed.stdout.decode(encoding)


@pytest.mark.parametrize("arguments", [["audit", "nowhé"], ["audit", "--nowhé"], ["nowhé"]])
def test_errors_on_such_a_console(arguments):
    done = run(ASCII, *arguments)
    assert done.returncode in {1, 2}
    assert r"\xe9" in done.stderr.decode("ascii")
    assert b"Traceback" not in done.stderr


def test_a_progress_bar_on_such_a_terminal(images):
    ours, theirs = pty.openpty()
    environment = os.environ | ASCII | {"TERM": "xterm"}
    done = subprocess.run(
        command("audit", images), check=False, stdout=subprocess.PIPE, stderr=theirs,
        env=environment,
    )  # fmt: skip
    os.set_blocking(ours, False)
    shown = os.read(ours, 1 << 16)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0
    assert b"3" in shown
    shown.decode("ascii")
