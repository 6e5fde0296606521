"""`endoexit evaluate`, as a user runs it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from endoexit.artifacts.run import Run
from endoexit.artifacts.source import CARD
from endoexit.cli.main import app
from endoexit.errors import DataError, RunError, UsageError
from endoexit.evaluation.document import Evaluation
from endoexit.evaluation.figures import significant
from endoexit.evaluation.fitting import exit_costs
from endoexit.evaluation.study import Options, evaluate_run
from endoexit.evaluation.tables import exit_table, row_name
from endoexit.policy import fixed_exit
from endoexit.policy.document import Promise
from endoexit.policy.risks import Risk
from endoexit.runtime.deciding import served_provenance
from endoexit.runtime.session import open_session
from evaluation_runs import copy_run, untrained_twin
from tiny_project import endoexit


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Run:
    return copy_run(tiny_run, tmp_path / "run")


def invoke(*arguments: object):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


@pytest.fixture(scope="module")
def timed(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory):
    """A copy of the tiny run that was evaluated beside a twin, with times; what was printed."""
    run = copy_run(tiny_run, tmp_path_factory.mktemp("timed") / "run")
    twin = untrained_twin(run, run.path.parent / "twin")
    return run, endoexit("evaluate", run.path, "--against", twin.path, "--threads", 1,
                         "--threshold", 0.9)  # fmt: skip


def test_the_table_has_a_row_for_each_exit_the_twin_and_the_rule(timed):
    run, done = timed
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no progress bar in a pipe
    lines = done.stdout.splitlines()
    evaluation = Evaluation.read(run.path / "evaluation.json")
    table = [line.split() for line in lines[:12]]
    for row in evaluation.rows:
        words = row_name(row).split()
        line = next(cells for cells in table if cells[: len(words)] == words)
        assert f"{100 * row.scores.accuracy.value:.1f}" in line
        assert significant(row.time.ms) in line
    assert "…" not in done.stdout  # nothing cut off at 80 columns
    assert "Policy: largest probability of 0.9 or more, as asked for" in done.stdout
    assert "threads: 1" in done.stdout
    for name in ("oracle", "random"):
        reference = getattr(evaluation.adaptive, name)
        (cells,) = (line.split() for line in lines if line.split()[:1] == [name])
        assert cells[-2:] == [significant(reference.ms), significant(reference.macs / 1e9)]
    assert "Promise" not in done.stdout  # a threshold typed by hand makes none
    shares = " ".join(f"{100 * share:.1f}" for share in evaluation.adaptive.shares)
    assert f"all {shares}" in [" ".join(line.split()) for line in lines]
    assert f"Written: {run.path / 'evaluation.json'}" in lines


def test_without_a_policy_the_table_says_that_the_last_exit_answers(run):
    done = invoke(run.path, "--no-timing")
    assert done.exit_code == 0
    assert "Decided by: the last exit, as there is no policy." in done.stdout
    assert f"warning: {run.path} has no exit policy, so no image exits early" in done.stderr
    assert "adaptive" not in done.stdout.partition("Scores")[0]
    card = (run.path / CARD).read_text(encoding="utf-8")
    assert "Decided by: the last exit, as there is no policy." in card


def test_times_that_fall_are_told(timed):
    evaluation = Evaluation.read(timed[0].path / "evaluation.json")

    def told(*times: float) -> tuple[bool, str]:
        ms = iter(times)
        rows = [
            row.replaced(time=row.time.replaced(ms=next(ms))) if row.kind == "exit" else row
            for row in evaluation.rows
        ]
        changed = evaluation.replaced(rows=tuple(rows))
        return changed.times_fall, exit_table(changed).notes[-1]

    assert told(1.0, 2.0, 2.0, 3.0) == (False, exit_table(evaluation).notes[-1])
    falls, words = told(1.0, 30.0, 2.0, 40.0)
    assert falls
    assert "quicker than an earlier one, which cannot be" in words


def promised(run: Run, tolerance: float) -> None:
    """All images exit at exit 1, and little may be lost by it."""
    promise = Promise(
        risk=Risk(name="accuracy_loss", tolerance=tolerance),
        delta=0.1,
        images=6,
        unit="group",
        observed=0.0,
        p_value=0.05,
        method="betting",
    )
    policy = fixed_exit(4, 1).replaced(
        goal=f"accuracy_loss<={tolerance}",
        promises=(promise,),
        provenance=served_provenance(run, "torch-f32"),
        costs=exit_costs(open_session(run), "macs"),
        note="Said when it was calibrated.",
    )
    policy.write(run.path / "policy.json")


def test_a_promise_that_is_violated_is_called_so(run):
    losing = evaluate_run(
        open_session(run, threshold=0), Options(role="train", timing=False, resamples=10)
    )
    lost = losing.adaptive.oracle.accuracy.value - losing.row("exit 1").scores.accuracy.value
    final = losing.row("final").scores.accuracy.value - losing.row("exit 1").scores.accuracy.value
    promised(run, 0.99)
    kept = " ".join(invoke(run.path, "--no-timing", "--role", "train").stdout.split())
    assert "accuracy_loss <= 0.99 kept 39 groups" in kept
    assert "VIOLATED" not in kept
    promised(run, 1e-9)
    done = invoke(run.path, "--no-timing", "--role", "train")
    assert done.exit_code == 0, done.exception
    lines = done.stdout.splitlines()
    assert max(map(len, lines[:-2])) <= 80  # the last two are paths
    text = " ".join(done.stdout.split())
    assert f"accuracy_loss <= 1e-09 VIOLATED 39 groups 0.0 {100 * final:.1f} [" in text
    assert (
        f"VIOLATED: accuracy_loss <= 1e-09 was promised, the 39 train groups show {final:.2%}"
        in text
    )
    assert (
        "Promised with probability 0.9, all at once. Counted as one: each group, with its" in text
    )
    first = losing.row("exit 1")
    assert f"On these train images: accuracy {first.scores.accuracy.value:.1%}, mean cost" in text
    assert f"{first.macs / losing.row('final').macs:.0%} of the whole network." in text
    assert "From its calibration: Said when it was calibrated." in text
    oracle = next(line.split() for line in lines if line.split()[:1] == ["oracle"])
    assert f"{-100 * lost:+.1f}" in oracle
    assert significant(losing.adaptive.oracle.macs / 1e9) in oracle
    random = next(line.split() for line in lines if line.split()[:1] == ["random"])
    assert random[-2:] == ["+0.0", significant(first.macs / 1e9)]  # one exit: no chance in it


def test_json_is_the_document_and_stands_alone_on_stdout(run):
    done = endoexit("evaluate", run.path, "--no-timing", "--threshold", 0.5, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((run.path / "evaluation.json").read_text())
    assert "Where images exit under the policy" in done.stderr


def test_without_times_there_are_no_columns_for_them(run):
    result = invoke(run.path, "--no-timing", "--role", "val")
    assert result.exit_code == 0, result.exception
    assert "ratio" not in result.stdout
    assert "warning: role val: these images chose the epoch" in result.stderr
    assert Evaluation.read(run.path / "evaluation-val.json").timing is None


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        (["--role", "tset"], UsageError, "unknown role 'tset': did you mean 'test'?"),
        (["--against", "nowhere"], RunError, "there is no run folder nowhere; `endoexit train`"),
        (["--manifest", "nowhere.csv"], DataError, "manifest nowhere.csv does not exist"),
        (["--no-timing", "--threads", "2"], UsageError, "--threads is about measured times"),
    ],
)
def test_what_cannot_be_done_is_refused(run, options, kind, message):
    result = invoke(run.path, *options)
    assert isinstance(result.exception, kind)
    assert message in str(result.exception)
    assert not list(run.path.glob("evaluation*"))


def test_a_run_without_weights_says_how_to_go_on(run):
    (run.path / "weights.safetensors").unlink()
    done = endoexit("evaluate", run.path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {run.path} has no weights.safetensors")
    assert f"endoexit train --resume {run.path}" in done.stderr


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with_nothing = invoke(tmp_path)
    assert "is not a run folder: it has no config.json" in str(with_nothing.exception)


@pytest.mark.parametrize("value", ["1.5", "-0.1"])
def test_a_threshold_out_of_range_is_wrong_usage(run, value):
    result = invoke(run.path, "--threshold", value)
    assert result.exit_code == 2
    assert "--threshold" in result.stderr


def evaluated_on(run, rows):
    lines = ["path,label,group,role"] + [f"{r.path},{r.label},{r.group},test" for r in rows]
    manifest = run.manifest().root / "elsewhere.csv"
    manifest.write_text("\n".join(lines) + "\n")
    result = invoke(run.path, "--manifest", manifest, "--no-timing")
    manifest.unlink()
    return result


def test_a_manifest_given_by_hand_must_not_have_images_that_trained_the_network(run):
    result = evaluated_on(run, run.manifest().rows)
    assert "images of the role 'test' trained this network" in str(result.exception)
    assert not list(run.path.glob("evaluation-????????.json"))


def test_a_manifest_given_by_hand_may_have_some_of_the_classes(run, tmp_path):
    # As a cohort of another hospital may have: no image of one class.
    new = [row for row in run.manifest().rows if row.role not in {"train", "val"}]
    result = evaluated_on(run, [row for row in new if row.label != "green"])
    assert result.exit_code == 0, result.exception
    assert "without classes that do not occur: green" in result.stdout
    written = next(run.path.glob("evaluation-*.json"))
    green = Evaluation.read(written).row("final").scores.classes[1]
    assert (green.name, green.images, green.sensitivity.value) == ("green", 0, None)
