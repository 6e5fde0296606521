from pathlib import Path

import pytest
from servers import Server, make_run, serving


@pytest.fixture(scope="session")
def served_run(tmp_path_factory) -> Path:
    """A run of random weights with a policy."""
    return make_run(tmp_path_factory.mktemp("served") / "run")


@pytest.fixture(scope="session")
def server(served_run) -> Server:
    """A service that all tests share which leave it as it was."""
    with serving(served_run, "--attention", served_run) as server:
        yield server


@pytest.fixture
def client(server):
    with server.client() as client:
        yield client
