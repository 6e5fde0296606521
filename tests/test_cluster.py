"""Clusters that are not there, or are something else: one error each, in bounded time."""

import importlib.util
import socket
import subprocess
import sys
import threading

import pytest

from endoexit import cluster
from endoexit.errors import EndoexitError, UsageError
from tiny_project import endoexit


class FewNodes:
    """What `room_for` asks of Ray."""

    @staticmethod
    def nodes():
        return [
            {"Alive": alive, "Resources": resources}
            for alive, resources in [
                (True, {"CPU": 5.0}), (True, {}), (False, {"CPU": 64.0}), (True, {"CPU": 3.0}),
            ]
        ]  # fmt: skip


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_without_ray_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'endoexit\[ray\]'"):
        cluster.require_ray()


def test_nothing_imports_ray_unless_asked():
    code = (
        "import sys, endoexit.workflow.archive, endoexit.serve.server, endoexit.cluster; "
        "print(sorted({'ray', 'grpc'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "address", ["head", "head:", "head:99999", "http://head:6379", "a b:1", ""]
)
def test_other_texts_are_no_addresses(address):
    with pytest.raises(UsageError, match="give HOST:PORT of its head"):
        cluster.check_address(address)


def test_a_client_from_outside_is_refused_with_the_way_in():
    with pytest.raises(UsageError, match="run the command on a node of the cluster"):
        cluster.check_address("ray://head:10001")


@pytest.mark.parametrize("address", ["local", "auto", "head:6379", "10.0.0.1:6379", "[::1]:6379"])
def test_addresses(address):
    cluster.check_address(address)


def test_room_counts_whole_processes_on_living_nodes():
    assert [cluster.room_for(FewNodes, threads) for threads in (1, 2, 3, 4, 5)] == [8, 3, 2, 1, 1]
    with pytest.raises(UsageError, match=r"has 6 CPUs \(the largest has 5\): lower --threads"):
        cluster.room_for(FewNodes, 6)


def test_a_port_where_nothing_answers():
    pytest.importorskip("ray")
    with (
        pytest.raises(EndoexitError, match=r"cannot be reached .*refused.*: start it with `ray"),
        cluster.connected(f"127.0.0.1:{closed_port()}"),
    ):
        pass


def test_a_port_where_something_else_answers(monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setattr(cluster, "_ANSWER_S", 0.5)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(EndoexitError, match=r"\(what answers there is no Ray\)"),
        cluster.connected(f"127.0.0.1:{server.getsockname()[1]}"),
    ):
        pass


def test_work_that_never_ends_is_left_alone():
    going_on = threading.Event()
    with pytest.raises(TimeoutError):
        cluster._within(0.01, going_on.wait, going_on)
    going_on.set()


def test_what_work_started_lives_until_it_is_used_no_more():
    """The system kills a process that asks for it when the thread that started it ends."""
    used, threads = threading.Event(), []
    cluster._within(60, lambda: threads.append(threading.current_thread()), used)
    assert threads[0].is_alive()
    used.set()
    threads[0].join(60)
    assert not threads[0].is_alive()


def test_errors_of_work_arrive():
    used = threading.Event()
    with pytest.raises(AssertionError, match="of Ray"):
        cluster._within(60, lambda: (_ for _ in ()).throw(AssertionError("of Ray")), used)


def test_the_command_says_which_options_do_not_go_together(tmp_path):
    for options, words in (
        (("--actors", 2), "give --ray with --actors"),
        (("--ray", "local", "--workers", 2), "with --ray, give --actors"),
    ):
        refused = endoexit("archive", "run", tmp_path, *options)
        assert refused.returncode == 2
        assert words in refused.stderr
