from pathlib import Path

import pytest

from endoexit.artifacts.run import Run
from endoexit.evaluation.fitting import calibrate_run
from endoexit.evaluation.study import Options, evaluate_run
from endoexit.policy.goal_options import make_goal
from endoexit.runtime.session import open_session
from evaluation_runs import copy_run


@pytest.fixture(scope="session")
def evaluated_once(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The tiny run with a policy and an evaluation; not to be changed."""
    run = copy_run(tiny_run, tmp_path_factory.mktemp("evaluated") / "run")
    calibrate_run(open_session(run), make_goal(max_accuracy_drop=0.5))
    evaluate_run(open_session(run), Options(timing=False, resamples=50))
    return run


@pytest.fixture
def evaluated(evaluated_once: Run, tmp_path: Path) -> Run:
    """A copy of it that a test may change."""
    import shutil

    run = copy_run(evaluated_once.path, tmp_path / "run")
    shutil.copytree(evaluated_once.path / "logits", run.path / "logits")
    shutil.copy(evaluated_once.path / "evaluation.json", run.path)
    return run
