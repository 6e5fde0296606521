"""The life of a service: starting, draining, dying, changing its model."""

import asyncio
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import httpx
import pytest
from servers import PHOTOS, Server, make_run, post, serving, terminate

from endoexit.serve.server import listen
from tiny import tiny_run
from tiny_project import endoexit


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--host", "192.0.2.1"), 2, "--token-file"),
        (("--config", "{folder}/serve.yaml"), 2, "did you mean 'port'"),
        (("--token-file", "{folder}/none"), 2, "cannot be read"),
        (("--port", "{port}"), 2, "choose another with --port"),
    ],
)
def test_a_start_that_fails_says_why(served_run, tmp_path, arguments, code, message):
    (tmp_path / "serve.yaml").write_text("prot: 1\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = [argument.format(folder=tmp_path, port=port) for argument in arguments]
        done = endoexit("serve", served_run, *line)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_no_part_of_an_answer_waits_for_the_one_before():
    async def work():
        seen = asyncio.get_running_loop().create_future()

        class Taken(asyncio.Protocol):
            def connection_made(self, transport):
                taken = transport.get_extra_info("socket")
                seen.set_result(taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

        with listen("127.0.0.1", 0) as listener:
            server = await asyncio.get_running_loop().create_server(Taken, sock=listener)
            async with server:
                with socket.create_connection(listener.getsockname()):
                    assert await asyncio.wait_for(seen, 10) != 0

    asyncio.run(work())


def test_a_run_without_a_policy_is_refused(tmp_path):
    run = tiny_run(tmp_path / "run").path
    done = endoexit("serve", run, "--port", 0)
    assert done.returncode == 1
    assert "endoexit calibrate" in done.stderr


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    done = endoexit("serve", tmp_path, "--port", 0)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_a_drain_answers_what_was_accepted_and_says_so(served_run):
    with serving(served_run, "--drain-delay-s", 2) as server, server.client() as client:
        stop, statuses = threading.Event(), []

        def ask(place):
            with server.client() as mine:
                while not stop.is_set():
                    try:
                        statuses.append(post(mine, PHOTOS[place]).status_code)
                    except httpx.TransportError:
                        return  # not accepted: the service no longer listens

        threads = [threading.Thread(target=ask, args=(place,)) for place in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        server.signal(signal.SIGTERM)
        server.until("draining")
        response = client.get("/readyz")
        assert (response.status_code, response.json()["status"]) == (503, "draining")
        assert post(client, PHOTOS[0]).status_code in {200, 429}  # load balancers lag
        assert client.get("/livez").status_code == 200
        assert server.wait() == 0
        stop.set()
        for thread in threads:
            thread.join()
        assert set(statuses) <= {200, 429}
        assert statuses.count(200) > 4


def test_a_second_signal_ends_at_once(served_run):
    with serving(served_run, "--drain-delay-s", 60) as server:
        server.signal(signal.SIGTERM)
        server.until("draining")
        server.signal(signal.SIGTERM)
        assert server.wait(10) == 1


def test_a_model_is_changed_without_a_gap(tmp_path):
    first, second = make_run(tmp_path / "first"), make_run(tmp_path / "second", seed=1)
    broken = tmp_path / "broken"
    shutil.copytree(first, broken)
    (broken / "weights.safetensors").write_bytes(b"broken")
    (tmp_path / "link").symlink_to(second)
    with serving(first, "--models", tmp_path) as server, server.client() as client:
        weights = {client.get("/v1/model").json()["weights"]}
        seen, stop, wrong = [], threading.Event(), []

        def ask():
            with server.client() as mine:
                while not stop.is_set():
                    response = post(mine, PHOTOS[3], params={"deadline_ms": 10_000})
                    if response.status_code != 200:
                        wrong.append(response.text)
                        return
                    document = response.json()
                    result = document["results"][0]
                    seen.append((document["model"]["weights"], result["probability"]))

        thread = threading.Thread(target=ask)
        thread.start()
        for name, status, code in (
            ("broken", 422, "source.refused"),
            ("link", 422, "source.refused"),
            ("none", 422, "source.refused"),
            ("..", 422, "name.invalid"),
            ("a/b", 422, "name.invalid"),
        ):
            response = client.post("/v1/reload", json={"source": name})
            expected = 400 if code == "name.invalid" else status
            assert (response.status_code, response.json()["code"]) == (expected, code)
            assert str(tmp_path) not in response.text
        assert client.get("/v1/model").json()["weights"] in weights
        for name in ("second", "first", "second"):
            response = client.post("/v1/reload", json={"source": name})
            assert response.status_code == 200, response.text
            weights.add(response.json()["model"]["weights"])
        time.sleep(0.3)
        stop.set()
        thread.join()
        assert wrong == []
        # Each model always gives the image the same answer: none is mixed.
        assert len(weights) == 2
        assert {weights_seen for weights_seen, _ in seen} == weights
        assert len(set(seen)) == 2
        text = client.get("/metrics").text
        assert 'endoexit_reloads_total{result="changed"} 3.0' in text
        assert 'endoexit_reloads_total{result="refused"} 3.0' in text
        # Weights that change on the disk change no answer.
        before = post(client, PHOTOS[3]).json()["results"][0]["probability"]
        (second / "weights.safetensors").write_bytes(b"changed")
        assert post(client, PHOTOS[3]).json()["results"][0]["probability"] == before
        server.signal(signal.SIGHUP)
        server.until("not reloaded")
        assert post(client, PHOTOS[3]).status_code == 200


def test_tls(served_run, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out",
         str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    server = Server(served_run, "--tls-cert", cert, "--tls-key", key)
    try:
        context = ssl.create_default_context(cafile=cert)
        url = f"https://127.0.0.1:{server.port}/livez"
        assert httpx.get(url, verify=context, trust_env=False).json() == {"status": "ok"}
        ready = httpx.get(url.replace("livez", "readyz"), verify=context, trust_env=False)
        assert ready.json()["status"] in {"starting", "ready"}
        assert terminate(server) == 0  # also while it starts
    finally:
        server.close()
