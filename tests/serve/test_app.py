"""The routes, over real connections to a real service."""

import json
import shutil
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hostile import bomb, saved
from servers import CALIBRATED, PHOTOS, balanced, counts, form, post, serving

from endoexit import open as open_source
from endoexit.policy import ExitPolicy
from endoexit.policy.referral import Referral, Unlike
from endoexit.serve.problems import FAULTS
from endoexit.serve.protocol import backlog_for
from tiny import CLASSES, tiny_photos

CANARY = "MUELLER-19530412"


def raw(server, *parts, pause=0.0, seconds=20):
    """Send bytes as they are; return all that comes back."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def head(length=None, kind="image/png", more="", path="/v1/predict"):
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Type: {kind}"]
    lines += [] if length is None else [f"Content-Length: {length}"]
    return ("\r\n".join(lines) + "\r\n" + more + "\r\n").encode()


def problem(response, status, code):
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert (document["status"], document["code"]) == (status, code)
    assert document["title"] == FAULTS[code].title
    assert document["remedy"]
    assert document["request"] == response.headers["x-request-id"]
    return document


def test_answers_are_those_of_python(client, served_run):
    expected = open_source(served_run).predict(list(tiny_photos()[:6]))
    for content, answer in zip(PHOTOS, expected, strict=False):
        response = post(client, content)
        assert response.status_code == 200
        (result,) = response.json()["results"]
        assert (result["label"], result["exit"]) == (answer.label, answer.exit)
        assert result["probabilities"] == pytest.approx(answer.probabilities, abs=1e-5)
        assert (result["status"], result["deadline"], result["exits"]) == ("answered", "kept", 4)
        assert len(result["ms"]["stages"]) == answer.exit


def test_a_form_has_one_answer_for_each_image_in_its_order(client):
    alone = [post(client, content).json()["results"][0]["label"] for content in PHOTOS[:5]]
    contents = [*PHOTOS[:2], b"no image", *PHOTOS[2:5]]
    response = client.post("/v1/predict", files=form(contents))
    assert response.status_code == 200
    results = response.json()["results"]
    assert [result["index"] for result in results] == list(range(6))
    assert results[2]["error"]["code"] == "image.unknown"
    assert [result["label"] for result in results if result["status"] == "answered"] == alone


def test_lines_come_as_images_exit(client):
    headers = {"accept": "application/x-ndjson"}
    response = client.post("/v1/predict?exits=all", files=form(PHOTOS), headers=headers)
    assert response.headers["content-type"].startswith("application/x-ndjson")
    lines = [json.loads(line) for line in response.text.splitlines()]
    ended = [line for line in lines if "status" in line]
    assert sorted(line["index"] for line in ended) == list(range(len(PHOTOS)))
    for line in ended:
        before = [earlier["exit"] for earlier in lines if earlier["index"] == line["index"]]
        assert before == list(range(1, line["exit"] + 1))
    assert len({line["request"] for line in lines}) == 1


def test_a_sure_image_is_answered_before_unsure_ones_that_came_first(client, served_run):
    headers = {"accept": "application/x-ndjson"}
    every = client.post("/v1/predict?exits=all", files=form(PHOTOS), headers=headers)
    first = {}
    for line in map(json.loads, every.text.splitlines()):
        if line["exit"] == 1:
            first.setdefault(line["index"], line["probability"])
    sure = max(first, key=first.__getitem__)
    unsure = min(first, key=first.__getitem__)
    between = (first[sure] + first[unsure]) / 2
    with serving(served_run, "--threshold", between) as server, server.client() as asking:
        contents = [PHOTOS[unsure]] * 31 + [PHOTOS[sure]]
        answers = asking.post("/v1/predict", files=form(contents), headers=headers)
    lines = [json.loads(line) for line in answers.text.splitlines()]
    exits = {line["index"]: line["exit"] for line in lines}
    assert exits[31] == 1 < min(exits[index] for index in range(31))
    assert [line["index"] for line in lines].index(31) < 31


def test_the_model_tells_what_it_is(client):
    model = client.get("/v1/model").json()
    assert model["classes"] == list(CLASSES)
    assert (model["exits"], model["decided_by"]) == (4, "a policy of tests")
    assert model["limits"]["body_bytes"] == 32 * 2**20
    today = model["today"]
    assert today["exits"]["calibrated"] == list(CALIBRATED.exits)
    assert today["labels"]["values"] == list(CLASSES)
    assert today["confidence"]["values"] == ["below 0.7", "0.7 to 0.9", "0.9 or more"]
    for name in ("exits", "labels", "confidence"):
        assert sum(today[name]["counts"]) == today["images"]
    assert model["promises"] == []
    assert "Research use only" in model["use"]
    assert post(client, PHOTOS[0]).json()["model"]["weights"] == model["weights"]


def test_health(client):
    assert client.get("/livez").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "image.empty"),
        (b"hello", "image.unknown"),
        (PHOTOS[0][:300], "image.damaged"),
        (saved("GIF", frames=2), "image.animated"),
        (bomb(30_000), "image.too_large"),
        (saved("PNG", size=(4, 4)), "image.too_small"),
    ],
)
def test_one_image_that_cannot_be_used(client, content, code):
    problem(post(client, content), 422, code)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("deadline_ms=9", "deadline.invalid"),
        ("deadline_ms=10001", "deadline.invalid"),
        ("deadline_ms=nan", "deadline.invalid"),
        ("deadline_ms=soon", "deadline.invalid"),
        ("deadlin_ms=100", "query.unknown"),
        ("deadline_ms=100&deadline_ms=200", "query.unknown"),
        ("exits=some", "query.unknown"),
    ],
)
def test_queries_that_do_not_fit(client, query, code):
    problem(client.post(f"/v1/predict?{query}", content=PHOTOS[0]), 400, code)


def test_types_methods_and_addresses_that_do_not_exist(client):
    problem(post(client, PHOTOS[0], headers={"content-type": "text/plain"}), 415, "type.unknown")
    problem(client.post("/v1/predict", content=b""), 415, "type.unknown")
    problem(client.get("/v1/predict"), 405, "method.unknown")
    problem(client.get("/nothing"), 404, "route.unknown")
    problem(client.post("/v1/reload", json={"source": "other"}), 403, "reload.off")
    problem(client.get("/livez", headers={"host": "evil.example"}), 400, "host.unknown")


def test_33_files(client):
    problem(client.post("/v1/predict", files=form([b"x"] * 33)), 413, "form.too_many")
    assert client.post("/v1/predict", files=form([b"x"] * 32)).status_code == 200


def test_a_length_over_the_limit_is_refused_before_the_body(server):
    answer = raw(server, head(32 * 2**20 + 1, more="Connection: close\r\n"))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"body.too_large" in answer


def test_a_body_over_the_limit_is_refused_politely(client):
    document = problem(post(client, bytes(32 * 2**20 + 1)), 413, "body.too_large")
    assert document["limit"] == {"body_bytes": 32 * 2**20}
    assert post(client, PHOTOS[0]).status_code == 200  # on the same connection


def test_a_chunked_body_is_counted_as_it_comes(client):
    chunks = (bytes(2**20) for _ in range(40))
    response = client.post("/v1/predict", content=chunks, headers={"content-type": "image/png"})
    problem(response, 413, "body.too_large")
    small = client.post(
        "/v1/predict", content=iter([PHOTOS[0]]), headers={"content-type": "image/png"}
    )
    assert small.status_code == 200


def test_bodies_shorter_than_they_said_are_cancelled(server, client):
    before = counts(client)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head(1000) + b"half")
    deadline = time.monotonic() + 20
    while balanced(client)["cancelled"] == before["cancelled"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_is_not_http(server):
    assert raw(server, b"hello\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    large = raw(server, b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"a" * 20_000)
    assert large.startswith(b"HTTP/1.1 431 ")
    assert b"head.too_large" in large


def test_a_deadline_that_cannot_be_kept(client):
    response = post(client, PHOTOS[0], params={"deadline_ms": 10})
    assert response.status_code in {200, 429, 504}
    if response.status_code == 200:
        assert response.json()["results"][0]["deadline"] in {"kept", "cut"}


def test_no_name_path_or_header_is_told_to_anyone(server, client, served_run):
    headers = {"x-patient": CANARY, "user-agent": CANARY, "referer": f"http://localhost/{CANARY}"}
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Patient", CANARY)
    import io

    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(tiny_photos()[0]).save(content, "PNG", pnginfo=info)
    answers = [
        client.post(
            "/v1/predict", files=form([content.getvalue()], f"{CANARY}.png"), headers=headers
        ),
        client.post("/v1/predict", files=form([b"broken"], f"{CANARY}.png"), headers=headers),
        post(client, content.getvalue()[:200], headers=headers),
        client.get(f"/{CANARY}", headers=headers),
        client.get("/livez", headers={"host": CANARY}),
        client.post(f"/v1/predict?{CANARY}=1", headers=headers),
        client.get("/metrics"),
    ]
    for answer in answers:
        text = answer.text + str(answer.headers)
        assert CANARY.lower() not in text.lower()
        assert str(served_run) not in text


def test_half_of_the_clients_hang_up(server, client):
    def hang_up(number):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            more = "Accept: application/x-ndjson\r\n" * (number % 2)
            connection.sendall(head(len(PHOTOS[0]), more=more) + PHOTOS[0])

    with ThreadPoolExecutor(8) as pool:
        gone = pool.map(hang_up, range(40))
        kept = pool.map(lambda place: post(client, PHOTOS[place % 24]).status_code, range(40))
        assert set(kept) <= {200, 429}
        list(gone)
    for _ in range(20):
        assert post(client, PHOTOS[0]).status_code == 200
    deadline = time.monotonic() + 20
    while balanced(client)["inside"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_description_names_every_status_and_schema(client):
    document = client.get("/openapi.json").json()
    predict = document["paths"]["/v1/predict"]["post"]
    statuses = {200, 400, 401, 403, 405, 408, 413, 415, 422, 429, 431, 500, 503, 504}
    assert {int(status) for status in predict["responses"]} == statuses
    assert set(predict["requestBody"]["content"]) > {"image/png", "multipart/form-data"}
    assert {"/livez", "/readyz", "/metrics", "/v1/model", "/v1/predict", "/v1/reload"} <= set(
        document["paths"]
    )
    used = {str(fault.status) for fault in FAULTS.values()}
    assert used <= {code for path in document["paths"].values() for operation in path.values()
                    for code in operation["responses"]}  # fmt: skip


def test_the_metrics_are_those_of_the_design(client):
    post(client, PHOTOS[0])
    text = client.get("/metrics").text
    for name in (
        "requests_total", "request_seconds", "images_total", "rejected_total", "exit_images_total",
        "labels_total", "stage_seconds", "stage_batch_images", "pool_images", "queue_seconds",
        "decode_seconds", "in_flight_bytes", "deadline_total", "engine_heartbeat_seconds",
        "draining", "model_info", "reloads", "decoder_restarts", "shift_p_value",
        "promise_may_not_hold",
    ):  # fmt: skip
        assert f"endoexit_{name}" in text, name
    balanced(client)


@pytest.fixture(scope="module")
def small(served_run, tmp_path_factory):
    """A service with tokens and narrow limits."""
    import hashlib

    folder = tmp_path_factory.mktemp("small")
    tokens, config = folder / "tokens", folder / "serve.yaml"
    lines = [
        f"{name} {scopes} {hashlib.sha256(name.encode()).hexdigest()}"
        for name, scopes in (("ward", "predict"), ("ops", "admin,metrics"))
    ]
    tokens.write_text("\n".join(lines))
    tokens.chmod(0o600)
    config.write_text(
        "batch_size: 1\nlimits: {images_inside: 2, body_s: 1, head_s: 1, connections: 12, "
        "body_bytes: 100000, bytes_in_flight: 150000, file_bytes: 90000}\n"
    )
    log = folder / "audit.jsonl"
    options = ("--config", config, "--token-file", tokens, "--audit-log", log)
    with serving(served_run, *options) as server:
        server.audit_log = log
        yield server


def bearer(name):
    return {"authorization": f"Bearer {name}"}


def test_tokens_and_scopes(small):
    with small.client() as client:
        response = post(client, PHOTOS[0])
        problem(response, 401, "token.missing")
        assert response.headers["www-authenticate"] == "Bearer"
        problem(post(client, PHOTOS[0], headers=bearer("wrong")), 401, "token.missing")
        problem(post(client, PHOTOS[0], headers=bearer("ops")), 403, "token.scope")
        problem(client.get("/metrics", headers=bearer("ward")), 403, "token.scope")
        problem(client.get("/v1/model"), 401, "token.missing")
        problem(client.post("/v1/reload", headers=bearer("ward")), 403, "token.scope")
        assert post(client, PHOTOS[0], headers=bearer("ward")).status_code == 200
        assert client.get("/metrics", headers=bearer("ops")).status_code == 200
        assert client.get("/readyz").status_code == client.get("/").status_code == 200


def test_a_body_without_a_token_is_not_read(small):
    answer = raw(small, head(90_000, more="Connection: close\r\n"))
    assert answer.startswith(b"HTTP/1.1 401 ")


def test_a_body_that_stops_half_way_is_late(small):
    more = "Authorization: Bearer ward\r\nConnection: close\r\n"
    answer = raw(small, head(1000, more=more) + b"half")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"body.late" in answer


def test_a_full_service_says_when_to_come_again(small):
    more = "Authorization: Bearer ward\r\n"
    sockets = [socket.create_connection(("127.0.0.1", small.port)) for _ in range(2)]
    try:
        for connection in sockets:  # each has a place, and does not send its body
            connection.sendall(head(1000, more=more))
        with small.client() as client:
            deadline = time.monotonic() + 5
            while (response := post(client, PHOTOS[0], headers=bearer("ward"))).status_code == 200:
                assert time.monotonic() < deadline
            document = problem(response, 429, "full")
            assert 1 <= int(response.headers["retry-after"]) <= 30
            assert document["limit"] in ({"images_inside": 2}, {"bytes_in_flight": 150000})
            assert client.get("/readyz").status_code == 200  # full is healthy
    finally:
        for connection in sockets:
            connection.close()


def test_a_head_that_does_not_come_is_not_waited_for(small):
    begin = time.monotonic()
    assert raw(small, b"GET / HT") == b""
    assert 0.8 < time.monotonic() - begin < 10


def test_more_connections_than_allowed_are_refused_politely(small):
    sockets = [socket.create_connection(("127.0.0.1", small.port), timeout=10) for _ in range(16)]
    try:
        answers = []
        for connection in sockets[12:]:
            answers.append(connection.recv(65536))
        assert all(answer.startswith(b"HTTP/1.1 503 ") for answer in answers)
        assert b"retry-after: 1" in answers[0]
    finally:
        for connection in sockets:
            connection.close()
    time.sleep(0.2)
    with small.client() as client:
        assert client.get("/livez").status_code == 200


@pytest.mark.parametrize(
    ("descriptors", "connections", "backlog"),
    [(1024, 512, 192), (4096, 512, 1728), (20_000, 512, 2048), (256, 512, 16)],
)
def test_there_are_descriptors_for_all_connections(descriptors, connections, backlog):
    assert backlog_for(descriptors, connections) == backlog


def test_the_audit_log_has_every_request_and_nothing_of_its_images(small):
    with small.client() as client:
        begin = len(small.audit_log.read_text().splitlines())
        answered = post(client, PHOTOS[0], headers=bearer("ward")).json()
        refused = post(client, b"broken", headers=bearer("ward")).json()
        post(client, PHOTOS[0], headers=bearer("secret"))
        files = form(PHOTOS[:2], CANARY)
        headers = bearer("ward") | {"accept": "application/x-ndjson"}
        client.post("/v1/predict", files=files, headers=headers)
    end = time.monotonic() + 20  # a line is written when its answer has been sent
    while len((text := small.audit_log.read_text()).splitlines()) < begin + 4:
        assert time.monotonic() < end
        time.sleep(0.02)
    first, second, third, fourth = [json.loads(line) for line in text.splitlines()[begin:]]
    assert first["request"] == answered["request"]
    assert first["exits"] == [answered["results"][0]["exit"]]
    assert (first["client"], first["images"], first["status"]) == ("ward", 1, 200)
    assert first["weights"] == answered["model"]["weights"]
    assert (second["request"], second["statuses"]) == (refused["request"], ["image.unknown"])
    assert third["status"] == 401
    assert len(fourth["statuses"]) == 2
    assert CANARY not in text
    assert "secret" not in text


def test_referred_images_are_results_with_their_reason(served_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(served_run, run)
    unlike = Unlike(thresholds=(-1e9, 1e9, 1e9, 1e9), share=0.1)  # exit 1 finds all unlike
    policy = ExitPolicy.read(run / "policy.json").replaced(referral=Referral(unlike=unlike))
    policy.write(run / "policy.json")
    with serving(run) as server, server.client() as client:
        (result,) = post(client, PHOTOS[0]).json()["results"]
        assert (result["status"], result["reason"], result["exit"]) == ("referred", "unlike", 1)
        assert "label" not in result
        assert set(result["probabilities"]) == set(CLASSES)
        lines = client.post("/v1/predict", files=form(PHOTOS[:2]),
                            headers={"accept": "application/x-ndjson"})  # fmt: skip
        assert [json.loads(line)["status"] for line in lines.text.splitlines()] == ["referred"] * 2
        assert client.get("/v1/model").json()["referral"]
        assert 'endoexit_referred_total{reason="unlike"} 3.0' in client.get("/metrics").text
