"""What costs much is made by one worker: tests of a group run together."""

import os

import pytest

in_worker = pytest.mark.skipif(
    "PYTEST_XDIST_WORKER" not in os.environ, reason="these tests run without pytest-xdist"
)


@pytest.fixture(scope="module")
def costly() -> int:
    return 1


@in_worker
@pytest.mark.xdist_group("of one name")
def test_the_scheduler_sees_the_group_that_is_named(request):
    assert request.node.nodeid.endswith("@of one name")


@in_worker
def test_tests_that_share_a_fixture_of_their_file_are_a_group(request, costly):
    assert request.node.nodeid.endswith("@tests/test_workers.py")
