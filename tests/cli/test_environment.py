"""What is in the environment before libraries are imported, in real processes."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import tiny_project

# Runs the command line until torch is first imported; prints what the variable is by then.
WATCH = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print("policy", os.environ.get("OMP_WAIT_POLICY"), flush=True)
            os._exit(0)
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
    assert done.stdout == f"policy {expected}\n", done.stderr


def test_a_rank_that_is_no_number_is_forgotten_before_libraries_read_it():
    names = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
    code = (
        "from endoexit.cli.environment import prepare_environment\nprepare_environment()\n"
        "import lightning.pytorch, torchmetrics, os\n"
        f"print(sorted(set({names}) & set(os.environ)))"
    )
    done = python(code, RANK="", LOCAL_RANK="none", SLURM_PROCID="", JSM_NAMESPACE_RANK="2")
    assert done.stdout == "['JSM_NAMESPACE_RANK']\n", done.stderr


def evaluated(tiny_run, tmp_path):
    """Return the words of a command that imports every library and needs a cache."""
    return [
        "evaluate",
        tiny_run,
        "--no-timing",
        "--threshold",
        "0.9",
        "--out",
        tmp_path / "evaluation.json",
    ]


NOTE = (
    "note: there is no home folder to write to, so caches are in {}. Name another "
    "folder in HOME or ENDOEXIT_CACHE.\n"
)
CACHE = "from endoexit.home import cache_directory; print(cache_directory())"


def test_without_a_home_caches_are_in_a_temporary_folder(tiny_run, tmp_path):
    without = {"HOME": None, "XDG_CACHE_HOME": None, "ENDOEXIT_CACHE": None}
    words = evaluated(tiny_run, tmp_path)
    done = python(NAMELESS + SCRIPT, *words, TMPDIR=str(tmp_path), **without)
    folder = tmp_path / f"endoexit-{os.getuid()}"
    assert (done.returncode, done.stderr) == (0, NOTE.format(folder))
    assert list(folder.glob(".cache/endoexit/*/*.npy"))


@pytest.mark.parametrize(
    ("home", "named", "expected", "note"),
    [
        ("/proc/1", None, "{}/.cache/endoexit", NOTE),  # a home that nobody can write to
        (None, "/somewhere", "/somewhere", ""),  # a cache that is named needs no home
    ],
)
def test_where_caches_are(tmp_path, home, named, expected, note):
    code = f"from endoexit.cli.environment import *; prepare_environment(); {CACHE}"
    changed = {"HOME": home, "XDG_CACHE_HOME": None, "ENDOEXIT_CACHE": named}
    done = python(NAMELESS + code, TMPDIR=str(tmp_path), **changed)
    folder = tmp_path / f"endoexit-{os.getuid()}"
    assert (done.stdout, done.stderr) == (f"{expected.format(folder)}\n", note.format(folder))


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
