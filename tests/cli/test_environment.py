"""What is in the environment before libraries are imported, in real processes."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import tiny_project

# Runs the command line; says what the variable was when torch was first imported.
WATCH = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print("policy", os.environ.get("OMP_WAIT_POLICY"), file=sys.stderr)
            sys.meta_path.remove(self)
sys.meta_path.insert(0, Watch())
"""
SCRIPT = "from endoexit.cli.main import main; main()"
MODULE = "import runpy; runpy.run_module('endoexit', run_name='__main__')"
# A container whose user has neither a name nor HOME.
NAMELESS = """
import pwd
def nobody(uid):
    raise KeyError("uid not found")
pwd.getpwuid = nobody
"""


def python(code: str, *arguments: object, **environment: str | None):
    """Run code with arguments; a variable that is None is left out of the environment."""
    changed = {name: value for name, value in environment.items() if value is not None}
    kept = {name: value for name, value in os.environ.items() if name not in environment}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        check=False, capture_output=True, text=True, env=kept | changed,
    )  # fmt: skip


@pytest.mark.parametrize("start", [SCRIPT, MODULE], ids=["script", "module"])
@pytest.mark.parametrize(("of_user", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_wait_passively_unless_the_user_says_otherwise(start, of_user, expected):
    done = python(WATCH + start, "train", "nothing.csv", OMP_WAIT_POLICY=of_user)
    assert "nothing.csv" in done.stderr
    assert f"policy {expected}\n" in done.stderr


@pytest.mark.parametrize("home", [None, "/proc/1"], ids=["no HOME", "HOME is not writable"])
def test_without_a_home_caches_are_in_a_temporary_folder(tiny_run, tmp_path, home):
    arguments = ["evaluate", tiny_run, "--no-timing", "--out", tmp_path / "evaluation.json"]
    without = {"HOME": home, "XDG_CACHE_HOME": None, "ENDOEXIT_CACHE": None}
    done = python(NAMELESS + SCRIPT, *arguments, TMPDIR=str(tmp_path), **without)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / f"endoexit-{os.getuid()}"
    assert done.stderr.splitlines() == [
        f"note: there is no home folder to write to, so caches are in {folder}. Name another "
        "folder in HOME or ENDOEXIT_CACHE."
    ]
    assert list(folder.glob(".cache/endoexit/*/*.npy"))


def test_a_cache_that_is_named_needs_no_home(tiny_run, tmp_path):
    arguments = ["evaluate", tiny_run, "--no-timing", "--out", tmp_path / "evaluation.json"]
    done = python(NAMELESS + SCRIPT, *arguments, TMPDIR=str(tmp_path), HOME=None)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(
    os.name != "posix" or os.getuid() != 0 or not shutil.which("setpriv"),
    reason="only root can become a user without a name",
)
def test_a_user_without_a_name_gets_a_bundle(tiny_run, tiny_manifest):
    pytest.importorskip("openvino")
    user = ["setpriv", "--reuid", "54321", "--clear-groups", "--inh-caps=-all,+dac_override",
            "--ambient-caps=+dac_override"]  # fmt: skip
    keep = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    with tempfile.TemporaryDirectory() as folder:  # pytest's folders are closed to other users
        run, bundle = Path(folder, "runs", "tiny"), Path(folder, "bundle")
        shutil.copytree(tiny_run, run)
        shutil.copytree(tiny_manifest.parent, Path(folder, tiny_manifest.parent.name))
        for path in (Path(folder), *Path(folder).rglob("*")):
            os.chown(path, 54321, 54321)
        line = tiny_project.command("export", run, "--backend", "openvino", "--out", bundle)
        done = subprocess.run(
            [*user, *line], check=False, capture_output=True, text=True,
            env=keep | {"TMPDIR": folder, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert f"caches are in {folder}/endoexit-54321." in done.stderr
        assert (bundle / "bundle.json").is_file()
