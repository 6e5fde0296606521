"""What the tests of clips share: a tiny network with thresholds."""

import pytest

import tiny
from endoexit.runtime.session import Session, open_session


@pytest.fixture(scope="session")
def tiny_session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A network with random weights of 4 exits, at which images of a video exit here and there."""
    run = tiny.tiny_run(tmp_path_factory.mktemp("watching") / "run")
    return open_session(run, threshold=0.7, threads=1)
