"""Tokens: hashes in a file that only its owner reads."""

import hashlib

import pytest

from endoexit.errors import UsageError
from endoexit.serve.tokens import read_tokens

HASH = hashlib.sha256(b"secret").hexdigest()


def write(folder, text, mode=0o600):
    path = folder / "tokens"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_token_is_known_by_its_hash(tmp_path):
    hash_of_other = hashlib.sha256(b"other").hexdigest()
    lines = f"# wards\n\nward3 predict {HASH}\nops predict,admin,metrics {hash_of_other}\n"
    tokens = read_tokens(write(tmp_path, lines))
    assert tokens.of("Bearer secret").name == "ward3"
    assert tokens.of("bearer other").scopes == {"predict", "admin", "metrics"}
    for wrong in (None, "", "Bearer", "Bearer wrong", "Basic secret", "secret", "Bearer sécret"):
        assert tokens.of(wrong) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no token: a line is"),
        ("ward3 predict", "line 1: a line is"),
        (f"ward3 perdict {HASH}", "did you mean 'predict'"),
        ("ward3 predict abc", "64 hexadecimal digits"),
    ],
)
def test_a_file_that_does_not_fit(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        read_tokens(write(tmp_path, text))


def test_a_file_that_others_may_read(tmp_path):
    with pytest.raises(UsageError, match="chmod 600"):
        read_tokens(write(tmp_path, f"a predict {HASH}", 0o644))


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(UsageError, match="check the path"):
        read_tokens(tmp_path / "none")
