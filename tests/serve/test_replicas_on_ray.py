"""A service on a real cluster of Ray: the answers of one without Ray, and a drain under load."""

import contextlib
import socket
import subprocess
import threading
import time

import httpx
import pytest
from servers import PHOTOS, post

from tiny_project import command

REFUSED = {404, 503}  # by a proxy of Ray that has no service any more, by a replica that ends

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@pytest.fixture
def on_ray(ray_cluster, served_run):
    """The process of a service with a replica on each of two nodes, and its address."""
    port = free_port()
    line = command("serve", served_run, "--ray", ray_cluster.address, "--threads", 1,
                   "--port", port)  # fmt: skip
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=ray_cluster.env)
    try:
        for said in process.stderr:
            if "ready: " in said:
                break
        else:
            pytest.fail(f"the service ended with {process.wait()}")
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def ask(client: httpx.Client, photo: bytes) -> httpx.Response:
    return post(client, photo, params={"deadline_ms": 10_000})  # the machine may be busy


def ask_until_refused(url: str, answers: list[httpx.Response], lost: list[str]) -> None:
    """Ask on one connection after the other until a request is refused."""
    number = 0
    while True:
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            try:
                answer = ask(client, PHOTOS[number % len(PHOTOS)])
            except httpx.ConnectError:
                return
            except httpx.HTTPError as error:
                lost.append(repr(error))
                return
        answers.append(answer)
        if answer.status_code in REFUSED:
            return
        number += 1


def test_replicas_answer_as_one_service_and_lose_nothing_when_they_end(on_ray, client):
    process, url = on_ray
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as replicas:
        for photo in PHOTOS:
            alone, ours = ask(client, photo), ask(replicas, photo)
            assert ours.status_code == 200
            assert labels(ours) == labels(alone)
        refused = post(replicas, b"no image")
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"

    answers, lost = [], []
    asking = [
        threading.Thread(target=ask_until_refused, args=(url, answers, lost)) for _ in range(4)
    ]
    for thread in asking:
        thread.start()
    time.sleep(1)
    process.terminate()
    for thread in asking:
        thread.join(120)
    assert not lost
    assert {answer.status_code for answer in answers} <= {200, 429, *REFUSED}
    assert sum(answer.status_code == 200 for answer in answers) > 4
    assert process.wait(120) == 0
    with contextlib.suppress(httpx.ConnectError):
        pytest.fail(str(httpx.get(f"{url}/livez", trust_env=False)))


def labels(answer: httpx.Response) -> list[tuple[str, int]]:
    return [(row["label"], row["exit"]) for row in answer.json()["results"]]
