"""Command lines told by a report are those that the command line takes, and make the same again."""

import html
import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from endoexit.artifacts.bundle import Bundle
from endoexit.artifacts.bundle_document import BundleConfig, ExitFacts
from endoexit.artifacts.run import Run, RunConfig, open_run
from endoexit.artifacts.source import MANIFEST
from endoexit.cli.main import app
from endoexit.data.manifest import sidecar_path
from endoexit.files import read_json, write_json
from endoexit.images.preprocessing import Preprocessing
from endoexit.policy import fixed_exit, threshold_policy
from endoexit.policy.document import Costs, Provenance, Request
from endoexit.policy.goal_options import make_goal
from endoexit.policy.options import RuleOptions
from endoexit.reporting.commands import calibrate_command, evaluate_command, report_command, steps
from endoexit.reporting.opening import open_material
from endoexit.reporting.page import report_page
from evaluation_runs import copy_run
from report_material import make_material

COMMANDS = typer.main.get_command(app).commands
GOALS = (
    {"max_ms": 12.5}, {"max_macs": 2e8}, {"mean_exit_cost": 0.4}, {"min_accuracy": 0.88},
    {"max_accuracy_drop": 0.01}, {"budget": "1000 images, 60 seconds"}, {"deadline_ms": 30.0},
    {"guarantee": ["disagreement<=0.05", "missed[ulcer and polyp]<=0.1"], "delta": 0.1,
     "unit": "image"},
)  # fmt: skip
RULES = (
    RuleOptions(),
    RuleOptions(rule="entropy", thresholds="shared", candidates=7, temperature_scaling=False),
    RuleOptions(rule="patience"),
    RuleOptions(thresholds="geometric"),
)
OWN, OTHER = "2" * 64, "3" * 64  # manifests: the run's, and another
CONFIG = {"model": "made-up", "classes": ("normal",), "preprocessing": Preprocessing(size=32)}
RUN = Run(
    Path("my runs/nano"), RunConfig(**CONFIG, manifest_sha256=OWN, command="endoexit train m")
)

OF_RUN = RUN.path / "evaluation.json"


def bundle(*computes: str) -> Bundle:
    config = BundleConfig(
        **CONFIG, backend="openvino", precision="bf16", computes=computes, state_shapes=((),),
        exits=(ExitFacts(macs=1, parameters=1),), run_weights_sha256="0" * 64, manifest_sha256=OWN,
        command="endoexit export r --backend openvino",
    )  # fmt: skip
    return Bundle(Path("a bundle"), config)


def calibrated(goal, rules=RULES[0], *, cost="macs", precision="torch-f32", manifest=OWN):
    provenance = Provenance(weights_sha256="0" * 64, preprocessing="0" * 64, precision=precision,
                            classes=("normal",), manifest_sha256=manifest)  # fmt: skip
    return fixed_exit(2, 2).replaced(
        goal=str(goal),
        request=Request(goal=goal, rules=rules),
        costs=Costs(values=(1.0, 2.0), unit=cost, source="made up"),
        provenance=provenance,
    )


def parsed(line):
    """Return a command line as the tool reads it."""
    program, name, *words = shlex.split(line)
    assert program == "endoexit"
    return COMMANDS[name].make_context(name, words).params


@pytest.mark.parametrize("rules", RULES, ids=lambda rules: rules.thresholds or rules.rule)
@pytest.mark.parametrize("options", GOALS, ids=lambda options: next(iter(options)))
def test_goal_and_rules_come_back_from_their_command(options, rules):
    goal = make_goal(**options)
    given = parsed(calibrate_command(RUN, calibrated(goal, rules)))
    assert given["run"] == RUN.path
    asked = {key: given[key] for key in
             ("max_ms", "max_macs", "mean_exit_cost", "min_accuracy", "max_accuracy_drop",
              "budget", "deadline_ms", "delta", "unit")}  # fmt: skip
    assert make_goal(**asked, guarantee=given["guarantee"] or ()) == goal
    again = RuleOptions(
        rule=given["rule"],
        thresholds=given["thresholds"],
        candidates=given["candidates"],
        temperature_scaling=given["temperature"],
    )
    assert again == rules


def test_what_else_was_asked_of_a_calibration_comes_back():
    drop = make_goal(max_accuracy_drop=0.01)
    plain = parsed(calibrate_command(RUN, calibrated(drop)))
    assert (plain["cost"], plain["manifest"], plain["precision"]) == (None, None, None)
    policy = calibrated(drop, cost="ms", precision="torch-cuda-bf16", manifest=OTHER)
    options = parsed(calibrate_command(RUN, policy))
    assert (options["cost"], options["precision"], options["device"]) == ("ms", "bf16", "cuda")
    assert options["manifest"] == Path("MANIFEST")
    assert "--cost" not in calibrate_command(RUN, calibrated(make_goal(max_ms=3), cost="ms"))


def test_a_policy_without_its_request_has_no_command_of_its_own():
    evaluation = make_material().evaluation
    assert calibrate_command(RUN, fixed_exit(4, 1)) is None
    old = calibrated(make_goal(min_accuracy=0.9)).replaced(request=None)
    _, calibrate, _ = made = steps(RUN, evaluation, Path("evaluation.json"), old)
    assert calibrate.command is None
    assert "an older version of endoexit made it" in calibrate.makes
    assert "calibrated for the goal: accuracy ≥ 0.9." in calibrate.makes
    page = report_page(make_material(steps=made)).html
    shown = page.partition('<ol class="commands">')[2].partition("</ol>")[0]
    assert shown.count("<li>") == 4
    assert shown.count("<code>endoexit ") == 3
    assert "accuracy ≥ 0.9" in shown


def test_an_evaluation_is_made_again_with_its_options():
    evaluation = make_material(timed=False).evaluation
    options = parsed(evaluate_command(RUN, evaluation, OF_RUN))
    assert (options["run"], options["threshold"], options["timing"]) == (RUN.path, None, False)
    assert (options["manifest"], options["precision"]) == (None, None)
    of_val = evaluation.replaced(role="val", manifest_sha256=OTHER)
    options = parsed(evaluate_command(RUN, of_val, OF_RUN))
    assert options["out"] is None
    assert (options["role"], options["manifest"]) == ("val", Path("MANIFEST"))
    shared = threshold_policy(3, 1 / 3)
    warm = shared.replaced(temperatures=(2.0, 1.0, 1.0))
    for policy, threshold in ((threshold_policy(2, 0), 0.0), (shared, 1 / 3), (warm, None)):
        adaptive = evaluation.adaptive.replaced(policy=policy)
        shown = evaluation.replaced(adaptive=adaptive)
        assert parsed(evaluate_command(RUN, shown, OF_RUN))["threshold"] == threshold


def test_a_bundle_was_exported_and_is_evaluated_on_a_manifest():
    material = make_material()
    of_bundle = material.evaluation.run.replaced(precision="openvino-f32")
    evaluation = material.evaluation.replaced(run=of_bundle)
    policy = calibrated(make_goal(min_accuracy=0.9))
    source = bundle("openvino-bf16", "openvino-f32")
    file = Path("elsewhere/evaluation.json")
    made = steps(source, evaluation, file, policy)
    assert [step.command.split()[1] for step in made] == ["export", "evaluate"]
    options = parsed(made[1].command)
    assert (options["run"], options["manifest"]) == (source.path, Path("MANIFEST"))
    assert (options["precision"], options["out"]) == ("f32", Path("elsewhere"))
    assert f"MANIFEST is the manifest of SHA-256 {OWN[:12]}" in made[1].makes
    assert parsed(evaluate_command(bundle("openvino-f32"), evaluation, file))["precision"] is None


def test_a_report_is_made_again_with_what_was_named():
    named = {"evaluation": Path("a b.json"), "masks": Path("m"), "audit": None, "out": Path("o")}
    options = parsed(report_command(Path("my run"), named))
    assert (options["run"], options["out"], options["masks"]) == (
        Path("my run"),
        Path("o"),
        Path("m"),
    )
    assert (options["evaluation"], options["audit"], options["images"]) == (
        Path("a b.json"),
        None,
        None,
    )
    assert options["paper"] is None
    for asked in (True, False):
        assert parsed(report_command(Path("run"), {"paper": asked}))["paper"] is asked


def invoke(words):
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.exception
    return done


def commands_on(page: Path) -> list[list[str]]:
    shown = page.read_text(encoding="utf-8").partition('<ol class="commands">')[2]
    lines = re.findall(r"<li><code>(.+?)</code>", shown.partition("</ol>")[0])
    return [shlex.split(html.unescape(line))[1:] for line in lines]


def test_the_commands_on_a_page_make_it_again(tiny_run, tmp_path, monkeypatch):
    """Calibrate, evaluate and report with every unusual option; then do what the page says."""
    monkeypatch.chdir(tmp_path)
    run = copy_run(tiny_run, Path("a run"))
    manifest = Path("other manifest.csv")
    shutil.copy(run.path / MANIFEST, manifest)
    manifest.write_text(manifest.read_text() + "\n")  # the same images, other bytes
    write_json(sidecar_path(manifest), read_json(sidecar_path(run.path / MANIFEST)))
    calibrate = [
        "calibrate", run.path, "--guarantee", "missed[red]<=0.95", "--delta", 0.5,
        "--unit", "image", "--no-temperature", "--thresholds", "shared", "--candidates", 5,
        "--manifest", manifest,
    ]  # fmt: skip
    evaluate = ["evaluate", run.path, "--role", "val", "--manifest", manifest, "--no-timing"]
    invoke([*map(str, calibrate)])
    invoke([*map(str, evaluate)])
    (evaluation,) = run.path.glob("evaluation-val-*.json")
    invoke(["report", "a run", "--evaluation", str(evaluation), "--out", "my page"])
    page = Path("my page/report.html")
    _, *again = commands_on(page)
    kept = {file: file.read_text() for file in (run.path / "policy.json", evaluation, page)}
    for file in kept:
        file.unlink()
    for words in again:
        invoke([str(manifest) if word == "MANIFEST" else word for word in words])
    assert {file: file.read_text() for file in kept} == kept


def test_the_page_of_a_run_names_the_command_that_trained_it(evaluated):
    config = read_json(evaluated.path / "config.json")
    write_json(evaluated.path / "config.json", config | {"command": "endoexit train 'a b.csv'"})
    first, calibrate, evaluate = open_material(evaluated.path).steps
    assert first.command == "endoexit train 'a b.csv'"
    assert first.trains
    assert "--max-accuracy-drop 0.5" in calibrate.command
    assert evaluate.command == f"endoexit evaluate {evaluated.path} --no-timing"
    assert open_run(evaluated.path).config.command == first.command
