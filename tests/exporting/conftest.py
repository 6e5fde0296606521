import pytest

from evaluation_runs import copy_run


@pytest.fixture
def run(bundles, tmp_path):
    """A run with a policy, to change."""
    return copy_run(bundles.run.path, tmp_path / "run")
