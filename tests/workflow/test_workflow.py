"""The functions of the public face do what the commands do, under the same names."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import endoexit
from endoexit.cli.main import app
from endoexit.data.manifest import read_manifest
from endoexit.errors import RunError, UsageError
from endoexit.policy import ExitPolicy
from pictures import picture_folder
from tiny_project import RECIPE, write_recipe

COMMANDS = typer.main.get_command(app).commands
OF_THE_SHELL = {"as_json", "help", "names", "names_key"}
# What the command has and the function leaves to it, and what only the function has.
ONLY_COMMAND = {
    "audit": {"threshold"},  # the old name of near_bits
    "split": {"threshold"},
    "train": {"resume", "quantise", "start", "devices", "parallel", "change"},
    "calibrate": set(inspect.signature(endoexit.make_goal).parameters)
    | {"rule", "thresholds", "candidates", "temperature", "refer_unlike", "unlike_by"},
}
ONLY_FUNCTION = {
    "train": {"changes"},
    "calibrate": {"goal", "rules"},
    "export": {"command"},
    "cascade": {"command"},
    "video": {"on_change"},
}


@pytest.mark.parametrize("name", ["audit", "split", "train", "cascade", "calibrate", "evaluate",
                                  "export", "report", "video"])  # fmt: skip
def test_parameters_are_called_as_the_options_of_the_command(name):
    options = {option.name for option in COMMANDS[name].params} - OF_THE_SHELL
    parameters = set(inspect.signature(getattr(endoexit, name)).parameters) - {"track"}
    assert parameters - ONLY_FUNCTION.get(name, set()) == options - ONLY_COMMAND.get(name, set())


@pytest.mark.parametrize(("command", "function"), [
    ("plan", "plan_archive"), ("run", "run_archive"), ("status", "archive_status"),
    ("verify", "verify_archive"), ("merge", "merge_archive"),
])  # fmt: skip
def test_parameters_of_archives_are_called_as_the_options(command, function):
    options = {option.name for option in COMMANDS["archive"].commands[command].params}
    parameters = set(inspect.signature(getattr(endoexit, function)).parameters)
    assert parameters - {"track", "stdin", "pause"} == options - OF_THE_SHELL


def test_an_audit_and_a_split_load_no_torch(tmp_path):
    picture_folder(tmp_path / "images", {"a": 6, "b": 6})
    code = (
        "import sys, endoexit; endoexit.audit('images', out='audit.json'); "
        "endoexit.split('images', roles='train=.5,test=.5'); "
        "print(sorted({'torch', 'lightning'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "[]"
    document = json.loads((tmp_path / "audit.json").read_text())
    assert document["files"]["found"] == 12
    assert (tmp_path / "audit-groups.csv").is_file()
    assert len(read_manifest(tmp_path / "manifest.csv").rows) == 12


def test_an_audit_writes_only_what_it_is_asked_for(tmp_path):
    images = picture_folder(tmp_path / "images", {"a": 2, "b": 2})
    audited = endoexit.audit(str(images))
    assert len(audited.findings.images) == 4
    assert (audited.document, audited.groups) == (None, None)
    assert [path.name for path in tmp_path.iterdir()] == ["images"]
    audited = endoexit.audit(images, groups_out=tmp_path / "groups.csv")
    assert (audited.document, audited.groups) == (None, tmp_path / "groups.csv")
    assert (tmp_path / "groups.csv").read_text().count("\n") == 5


def test_the_whole_way(tiny_manifest: Path, tmp_path: Path):
    recipe = write_recipe(tmp_path, RECIPE.replace("epochs: 2", "epochs: 1"))
    run = endoexit.train(
        str(tiny_manifest), recipe=recipe, out=str(tmp_path / "run"), seed=3, threads=1,
        changes=["loss.label_smoothing=0.25"],
    )  # fmt: skip
    assert run.is_complete
    assert (run.config.seed, run.config.recipe["loss"]["label_smoothing"]) == (3, 0.25)
    with pytest.raises(RunError, match="is complete"):
        endoexit.resume(tmp_path / "run")

    calibrated = endoexit.calibrate(tmp_path / "run", endoexit.make_goal(mean_exit_cost=0.9))
    assert calibrated.path == tmp_path / "run" / "policy.json"
    assert ExitPolicy.read(calibrated.path) == calibrated.policy
    rules = endoexit.RuleOptions(rule="entropy", candidates=5)
    by_entropy = endoexit.calibrate(
        str(run.path), endoexit.make_goal(mean_exit_cost=0.9), rules=rules
    )
    assert by_entropy.policy.rule.kind == "entropy"

    evaluated = endoexit.evaluate(run.path, timing=False)
    assert evaluated.path == run.path / "evaluation.json"
    assert [row.name for row in evaluated.evaluation.rows][-1] == "adaptive"
    written = endoexit.report(str(run.path), out=str(tmp_path / "page"))
    assert written.page == tmp_path / "page" / "report.html"

    exported = endoexit.export(run.path, out=tmp_path / "bundle", backend="torch", accept_drop=True)
    assert endoexit.open(exported.bundle.path, threads=1).classes == run.config.classes


def test_threads_without_times_are_refused(tiny_run: Path):
    with pytest.raises(UsageError, match="--threads is about measured times"):
        endoexit.evaluate(tiny_run, timing=False, threads=1)
