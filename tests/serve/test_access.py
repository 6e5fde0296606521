"""Host, token, query and deadline of a request."""

import pytest
from starlette.datastructures import Headers
from starlette.requests import Request

from endoexit.serve.access import check_host, client_of, deadline_of, length_of, query_of
from endoexit.serve.problems import Problem
from endoexit.serve.settings import Limits, Settings

SETTINGS = Settings(host="192.0.2.1", insecure=True, hosts=("Clinic.example",))


def asked(query="", **headers):
    return Request(
        {
            "type": "http", "method": "GET", "path": "/", "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("198.51.100.7", 1), "server": ("localhost", 80), "scheme": "http",
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "[::1]", "192.0.2.1:8080",
     "clinic.example", "CLINIC.EXAMPLE:443"],
)  # fmt: skip
def test_hosts_of_the_service(host):
    check_host(Headers({"host": host}), SETTINGS)


@pytest.mark.parametrize("host", ["", "evil.example", "localhost.evil.example", "192.0.2.2", "::"])
def test_other_hosts(host):
    with pytest.raises(Problem, match=r"host\.unknown"):
        check_host(Headers({"host": host}), SETTINGS)


def test_without_tokens_a_client_is_its_address():
    assert client_of(asked(), None, "predict") == "198.51.100.7"


def test_queries():
    assert query_of(asked("deadline_ms=5"), ("deadline_ms",)) == {"deadline_ms": "5"}
    for wrong in ("a=1", "deadline_ms=1&deadline_ms=2"):
        with pytest.raises(Problem, match=r"query\.unknown"):
            query_of(asked(wrong), ("deadline_ms",))


def test_the_shortest_deadline_counts():
    limits = Limits(deadline_ms=800)
    assert deadline_of({}, limits, None) == 0.8
    assert deadline_of({"deadline_ms": "50"}, limits, None) == 0.05
    assert deadline_of({"deadline_ms": "500"}, limits, 100) == 0.1
    for wrong in ("", "nan", "inf", "-1", "9.9", "1e9"):
        with pytest.raises(Problem, match=r"deadline\.invalid"):
            deadline_of({"deadline_ms": wrong}, limits, None)


def test_lengths():
    assert length_of(Headers({"content-length": "12"})) == 12
    assert length_of(Headers({})) is None
