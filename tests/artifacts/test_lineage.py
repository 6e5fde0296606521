"""What a network learnt from, through the runs that it was made from."""

import shutil

import pytest

from cascade_runs import member_run
from endoexit.artifacts.lineage import learnt_from, run_of_weights
from endoexit.artifacts.run import open_run, write_config
from endoexit.artifacts.source import WEIGHTS
from endoexit.models.origin import Origin


@pytest.fixture
def made(tiny_manifest, tmp_path):
    """Make a run, by name, of which the config says what it was made from."""

    def make(name, teacher=None, start=None):
        run = member_run(tmp_path / name, tiny_manifest)
        strategy = (
            {"name": "distil", "teacher": str(teacher.path)} if teacher else {"name": "joint"}
        )
        origin = Origin(source=str(start.path / WEIGHTS)) if start else None
        recipe = run.config.recipe | {"strategy": strategy}
        write_config(run.path, run.config.replaced(recipe=recipe, starting_weights=origin))
        return open_run(run.path)

    return make


def test_teachers_and_starting_weights_count_at_any_distance(made, tmp_path):
    first = made("first")
    begun = made("begun", start=first)
    taught = made("taught", teacher=begun)
    assert set(learnt_from(taught)) == {
        str(tmp_path / name) for name in ("first", "begun", "taught")
    }
    assert set(learnt_from(first)) == {str(tmp_path / "first")}


def test_runs_that_are_gone_and_rings_end_the_search(made, tmp_path):
    first = made("first")
    taught = made("taught", teacher=first)
    shutil.rmtree(first.path)
    assert set(learnt_from(taught)) == {str(tmp_path / "taught")}
    ring = taught.config.replaced(recipe={"strategy": {"teacher": str(taught.path)}})
    write_config(taught.path, ring)
    assert set(learnt_from(open_run(taught.path))) == {str(tmp_path / "taught")}


def test_weights_of_a_run_are_told_from_others(made, tmp_path):
    run = made("run")
    assert run_of_weights(str(run.path / WEIGHTS)).path == run.path
    assert run_of_weights("pip:lite0") is None
    shutil.copy(run.path / WEIGHTS, tmp_path / "alone.safetensors")
    assert run_of_weights(str(tmp_path / "alone.safetensors")) is None
