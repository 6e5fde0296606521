"""A service on a cluster of Ray: what it cannot keep is refused, what it answers is the same."""

import asyncio

import httpx
import pytest
from servers import PHOTOS, post

from endoexit.errors import UsageError
from endoexit.serve.replicas import Replica, _count, _why, refuse_settings
from endoexit.serve.settings import Settings
from tiny_project import endoexit


class TwoNodes:
    """What is asked of Ray: two nodes with CPUs, one without."""

    @staticmethod
    def nodes():
        return [{"Alive": True, "Resources": {"CPU": float(cpus)}} for cpus in (4, 2, 0)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"models": "models"}, "models does not go with --ray: a reload would change one replica"),
        ({"audit_log": "log"}, "audit_log does not go with --ray: several replicas would write"),
        ({"drain_delay_s": 2}, "take it out of the load balancer before SIGTERM"),
        ({"limits": {"connections": 9}}, "the limit connections does not go with --ray"),
        ({"limits": {"head_s": 9}}, "the limit head_s does not go with --ray"),
        ({"port": 0}, "name one with --port"),
    ],
)
def test_what_replicas_cannot_keep_is_refused(options, words):
    with pytest.raises(UsageError, match=words):
        refuse_settings(Settings.model_validate(options))


def test_other_settings_go_with_ray():
    limits = {"images_inside": 32, "keep_alive_s": 9, "body_s": 3}
    refuse_settings(Settings.model_validate({"threads": 4, "drain_s": 5, "limits": limits}))


def test_a_node_has_one_replica_at_most():
    assert _count(TwoNodes, 2, None) == 2
    assert _count(TwoNodes, 4, None) == 1
    assert _count(TwoNodes, 2, 1) == 1
    with pytest.raises(UsageError, match="2 nodes of the cluster can have a replica of 2 threads"):
        _count(TwoNodes, 2, 3)


def test_the_error_of_a_replica_is_its_last_line():
    said = "Traceback:\n  File x\nendoexit.errors.RunError: x has no weights: train it.\n\n"
    assert "(endoexit.errors.RunError: x has no weights: train it.)" in _why(said)


def test_replicas_without_a_cluster_are_refused(served_run):
    refused = endoexit("serve", served_run, "--replicas", 2)
    assert refused.returncode == 2
    assert "give --ray with --replicas" in refused.stderr


def test_a_replica_has_the_application_of_the_service(served_run):
    """The application, its health and its end, without Ray."""

    async def ask():
        replica = Replica.__new__(Replica)
        settings = Settings(threshold=0.6, threads=1).model_dump(mode="json")
        await replica.__init__(str(served_run), settings)
        app = replica.__serve_build_asgi_app__()
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answer = await post(client, PHOTOS[0])
            ready = await client.get("/readyz")
        await replica.check_health()
        replica._service.state = "failed"
        with pytest.raises(RuntimeError, match="has failed, or its engine hangs"):
            await replica.check_health()
        coming = iter(["startup", "shutdown"])

        async def receive():
            return {"type": f"lifespan.{next(coming)}"}

        async def send(message):
            said.append(message["type"])

        await app({"type": "lifespan"}, receive, send)
        return answer, ready, replica._service.worker._thread.is_alive()

    said = []
    answer, ready, runs = asyncio.run(ask())
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert not runs
    assert ready.status_code == 200
    assert answer.status_code == 200
    assert answer.json()["results"][0]["exits"] == 4
