"""Images are called by path, by number or by a keyed hash, in errors too."""

import hashlib
import hmac
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from endoexit.errors import UsageError
from endoexit.naming import Naming, call_images, choose_naming, naming, naming_kept

KEY = bytes(range(32))
IMAGE = "Doe, Jane/scan.gif#3", 6
BY_INDEX, BY_HASH = Naming("index"), Naming("hash", KEY)


def digest(text: bytes) -> str:
    return hmac.new(KEY, text, hashlib.sha256).hexdigest()[:32]


def test_a_path_is_the_name_where_nothing_else_was_asked_for() -> None:
    assert naming() == choose_naming("path") == Naming()
    assert naming().name(*IMAGE) == naming().mention(*IMAGE) == IMAGE[0]
    assert naming().mention_group("Doe", 6) == "'Doe'"
    assert naming().shown("Doe") == "Doe"


def test_numbers_start_at_1() -> None:
    assert choose_naming("index") == BY_INDEX
    assert (BY_INDEX.name(*IMAGE), BY_INDEX.mention(*IMAGE)) == ("7", "image 7")
    assert BY_INDEX.mention_group("Doe", 6) == "the group of image 7"
    assert BY_INDEX.shown("Doe") == ""


def test_a_hash_is_that_of_the_whole_name_under_the_key() -> None:
    expected = digest(b"Doe, Jane/scan.gif#3")
    assert BY_HASH.name(*IMAGE) == expected
    assert BY_HASH.mention(*IMAGE) == f"image {expected}"
    assert BY_HASH.mention_group("Doe", 6) == f"group {digest(b'Doe')}"
    assert Naming("hash", bytes(32)).name(*IMAGE) != expected


def test_the_naming_holds_in_all_threads_until_the_block_ends() -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(naming).result()  # the thread is older than the block
        with naming_kept():
            call_images(BY_INDEX)
            assert pool.submit(naming).result() == naming() == BY_INDEX
            with naming_kept():
                assert naming() == BY_INDEX
                call_images(BY_HASH)
            assert naming() == BY_INDEX
    assert naming() == Naming()


def test_a_command_that_fails_does_not_name_the_images_of_the_next_one() -> None:
    def fail() -> None:
        with naming_kept():
            call_images(BY_INDEX)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert naming() == Naming()


def test_without_a_key_one_is_drawn_and_forgotten() -> None:
    assert choose_naming("hash").name(*IMAGE) != choose_naming("hash").name(*IMAGE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"the key .* cannot be read .*: name a file of 16 random bytes or more"),
        (b"secret", r"has 6 bytes, not 16 to 65536: make one with"),
        (bytes(65537), r"has more than 65536 bytes"),
    ],
)
def test_a_key_that_is_none_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        choose_naming("hash", file)


def test_a_key_without_a_hash_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(KEY)
    assert choose_naming("hash", tmp_path / "key") == BY_HASH
    with pytest.raises(UsageError, match="give both, or neither"):
        choose_naming("index", tmp_path / "key")
