"""Settings: from a file and from options, each fault with its remedy."""

import pytest

from endoexit.errors import UsageError
from endoexit.serve.settings import Limits, Settings, check_tls, is_loopback, read_settings


def test_options_override_the_file(tmp_path):
    config = tmp_path / "serve.yaml"
    config.write_text("port: 9000\nbatch_size: 8\nlimits:\n  files: 4\n  deadline_ms: 500\n")
    settings = read_settings(config, {"port": 9001, "limits": {"deadline_ms": 700}})
    assert (settings.port, settings.batch_size) == (9001, 8)
    assert (settings.limits.files, settings.limits.deadline_ms) == (4, 700)


def test_an_empty_file_changes_nothing(tmp_path):
    config = tmp_path / "serve.yaml"
    config.write_text("")
    assert read_settings(config, {}) == Settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prot: 1", "unknown setting 'prot': did you mean 'port'"),
        ("limits:\n  file: 1", "unknown limit 'file': did you mean 'files'"),
        ("port: many", "port: Input should be a valid integer"),
        ("port: [", "is not valid YAML"),
        ("- port", "a setting has a name and a value"),
        ("limits: 3", "a limit has a name and a value"),
        ("host: 0.0.0.0", "--token-file, listen on 127.0.0.1, or add --insecure"),
        ("tls_cert: a.pem", "TLS needs both"),
        ("cors: ['*']", "never \\*"),
        ("threads: 2\nstreams: 3", "streams is 3, more than the 2 threads"),
        ("limits: {images_inside: 4}", "less than a batch of 16"),
        ("limits: {deadline_ms: 5}", "outside of min_deadline_ms 10"),
        ("limits: {bytes_in_flight: 5}", "less than body_bytes"),
        ("limits: {decode_s: 0}", "decode_s"),
    ],
)
def test_a_fault_names_its_remedy(tmp_path, text, message):
    config = tmp_path / "serve.yaml"
    config.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_settings(config, {})


@pytest.mark.parametrize(
    ("threads", "streams", "shares"),
    [(1, None, (1, 1)), (2, None, (2, 1)), (9, None, (4, 2)), (8, 1, (1, 8)), (7, 3, (3, 2))],
)
def test_streams_share_the_threads(threads, streams, shares):
    assert Settings(threads=threads, streams=streams).shares() == shares


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="check the path"):
        read_settings(tmp_path / "none.yaml", {})


def test_beyond_loopback_with_tokens_or_insecure(tmp_path):
    assert not Settings(host="192.0.2.1", insecure=True).is_local
    assert Settings(host="192.0.2.1", token_file=tmp_path / "tokens").token_file is not None


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True),
     ("::", False), ("192.0.2.1", False), ("example.org", False)],
)  # fmt: skip
def test_loopback(host, local):
    assert is_loopback(host) == local


def test_the_limits_of_the_design():
    limits = Limits()
    assert (limits.body_bytes, limits.files, limits.images_inside) == (32 * 2**20, 32, 256)
    assert (limits.body_s, limits.decode_s, limits.connections) == (15, 5, 512)
    assert (limits.image_pixels, limits.max_side) == (50_000_000, 20_000)


def test_a_certificate_that_is_none(tmp_path):
    (tmp_path / "a.pem").write_text("no certificate")
    with pytest.raises(UsageError, match="in PEM"):
        check_tls(tmp_path / "a.pem", tmp_path / "a.pem")
