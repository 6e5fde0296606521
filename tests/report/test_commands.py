"""Command lines told by a report are those that the command line takes."""

import shlex
from pathlib import Path

import pytest
import typer

from endoexit.cli.main import app
from endoexit.policy import fixed_exit
from endoexit.policy.goals import make_goal
from endoexit.report.commands import calibrate_command, evaluate_command
from report_material import make_material

COMMANDS = typer.main.get_command(app).commands
GOALS = (
    {"max_ms": 12.5}, {"max_macs": 2e8}, {"mean_exit_cost": 0.4}, {"min_accuracy": 0.88},
    {"max_accuracy_drop": 0.01}, {"budget": "1000 images, 60 seconds"}, {"deadline_ms": 30.0},
    {"guarantee": ["disagreement<=0.05", "missed[a polyp]<=0.1"], "delta": 0.1},
)  # fmt: skip


@pytest.mark.parametrize("options", GOALS, ids=lambda options: next(iter(options)))
def test_a_goal_comes_back_from_its_command(options):
    goal = make_goal(**options)
    policy = fixed_exit(4, 4).model_copy(update={"goal": str(goal)})
    _, name, *words = shlex.split(calibrate_command(Path("my runs/nano"), policy))
    context = COMMANDS[name].make_context(name, words)
    assert context.params["run"] == Path("my runs/nano")
    asked = {key: context.params[key] for key in
             ("max_ms", "max_macs", "mean_exit_cost", "min_accuracy", "max_accuracy_drop",
              "budget", "deadline_ms", "delta")}  # fmt: skip
    again = make_goal(**asked, guarantee=context.params["guarantee"] or ())
    assert again == goal


def test_a_policy_typed_by_hand_has_no_command():
    assert calibrate_command(Path("run"), fixed_exit(4, 1)) is None


def test_an_evaluation_is_made_again_with_its_options():
    words = shlex.split(evaluate_command(Path("a run"), make_material(timed=False).evaluation))
    context = COMMANDS["evaluate"].make_context("evaluate", words[2:])
    assert context.params["run"] == Path("a run")
    assert context.params["threshold"] == 0.7
    assert context.params["timing"] is False
