"""The image cache, with real files, real processes and real kills."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from endoexit.errors import DataError, EndoexitError
from endoexit.home import cache_directory
from endoexit.images.cache import CachedImages
from endoexit.images.cache import cache_images as cache_refs
from endoexit.images.decode import read_bytes
from endoexit.images.preprocessing import Preprocessing
from endoexit.images.reference import ImageRef

SQUARE = Preprocessing(size=16)

# Caches every image of a folder; prints how many it decoded. `pause` slows each decode down;
# after `stop` images it waits for ever.
CHILD = """
import pathlib, sys, threading, time
from endoexit.images.cache import cache_images
from endoexit.images.reference import ImageRef
from endoexit.images.preprocessing import Preprocessing
folder, cache, pause = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), float(sys.argv[3])
decoded, load, told, stop = [], Preprocessing.load, [], int(sys.argv[4])
def slow(self, source, frame=0):
    decoded.append(threading.get_ident())
    time.sleep(pause)
    return load(self, source, frame=frame)
def tell(count):
    told.append(count)
    print(count, flush=True)
    if len(told) == stop:
        threading.Event().wait()
Preprocessing.load = slow
print("ready", flush=True)
sys.stdin.readline()
images = [ImageRef(path) for path in sorted(folder.iterdir())]
cached = cache_images(images, Preprocessing(size=16), cache, tell)
print("decoded", len(decoded), len(set(decoded)), int(cached.images.sum()), flush=True)
"""


def cache_images(paths: Sequence[Path], *arguments: Any, **options: Any) -> CachedImages:
    return cache_refs([ImageRef(path) for path in paths], *arguments, **options)


def start_child(
    folder: Path, cache: Path, pause: float = 0, stop: int = -1
) -> subprocess.Popen[str]:
    """Start a process that is ready to cache, and waits for a line on its stdin."""
    command = [sys.executable, "-c", CHILD, str(folder), str(cache), str(pause), str(stop)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def go(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("go\n")
    child.stdin.flush()


def last_line(child: subprocess.Popen[str]) -> list[int]:
    """Return what a child tells at its end: images decoded, threads used, sum of all pixels."""
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    name, *numbers = out.splitlines()[-1].split()
    assert name == "decoded"
    return [int(number) for number in numbers]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty images, all different."""
    folder = tmp_path / "images"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(20):
        pixels = generator.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Grows by one for each image that is really decoded."""
    seen: list[int] = []
    load = Preprocessing.load

    def counting(self: Preprocessing, source: Path | bytes, frame: int = 0) -> np.ndarray:
        seen.append(1)
        return load(self, source, frame=frame)

    monkeypatch.setattr(Preprocessing, "load", counting)
    return seen


def assert_right(cached: CachedImages, paths: list[Path], using: Preprocessing = SQUARE) -> None:
    assert len(cached) == len(paths)
    for image, path in zip(cached.images, paths, strict=True):
        assert np.array_equal(image, using.load(path))


def files_of(cache: Path, pattern: str = "*.npy") -> list[Path]:
    return sorted(cache.glob(f"*/{pattern}"))


def test_holds_what_preprocessing_gives_in_the_order_asked(folder: Path, cache: Path) -> None:
    paths = sorted(folder.iterdir())[::-1]
    cached = cache_images(paths, SQUARE, cache)
    assert isinstance(cached.images, np.memmap)
    assert cached.images.shape == (20, 16, 16, 3)
    assert cached.images.dtype == np.uint8
    assert not cached.images.flags.writeable
    assert cached.good.all()
    assert cached.errors == {}
    assert_right(cached, paths)


def test_second_time_nothing_is_decoded(folder: Path, cache: Path, decoded: list[int]) -> None:
    paths = sorted(folder.iterdir())
    cache_images(paths, SQUARE, cache)
    assert len(decoded) == 20
    again = cache_images(paths, SQUARE, cache)
    assert len(decoded) == 20
    assert_right(again, paths)
    assert len(files_of(cache)) == 1


def test_known_contents_are_not_decoded_for_another_list(
    folder: Path, cache: Path, decoded: list[int]
) -> None:
    paths = sorted(folder.iterdir())
    cache_images(paths[:8], SQUARE, cache)
    cache_images(paths[4:12], SQUARE, cache)
    assert len(decoded) == 12
    mixed = [paths[11], paths[15], paths[0], paths[5]]
    cached = cache_images(mixed, SQUARE, cache)
    assert len(decoded) == 13
    assert_right(cached, mixed)


def test_contents_count_and_not_names(folder: Path, cache: Path, decoded: list[int]) -> None:
    paths = sorted(folder.iterdir())[:3]
    cache_images(paths, SQUARE, cache)
    renamed = [path.rename(path.with_name(f"moved-{path.name}")) for path in paths]
    cache_images(renamed, SQUARE, cache)
    assert len(decoded) == 3
    Image.new("RGB", (20, 20), "red").save(renamed[1])
    cached = cache_images(renamed, SQUARE, cache)
    assert len(decoded) == 4
    assert (cached.images[1] == (255, 0, 0)).all()


def test_duplicates_in_one_list_are_decoded_once(
    folder: Path, cache: Path, decoded: list[int]
) -> None:
    first, second, *_ = sorted(folder.iterdir())
    copy = folder / "copy.png"
    copy.write_bytes(first.read_bytes())
    paths = [first, second, copy, first]
    cached = cache_images(paths, SQUARE, cache)
    assert len(decoded) == 2
    assert_right(cached, paths)


def test_geometry_separates_and_normalisation_does_not(
    folder: Path, cache: Path, decoded: list[int]
) -> None:
    paths = sorted(folder.iterdir())
    cache_images(paths, SQUARE, cache)
    cache_images(paths, Preprocessing(size=16, mean=(0.1, 0.2, 0.3)), cache)
    assert len(decoded) == 20
    cropped = Preprocessing(size=16, resize="shorter-side", crop_ratio=0.8)
    assert_right(cache_images(paths, cropped, cache), paths, cropped)
    assert len(decoded) == 60  # 20 to cache, 20 to cache, 20 to compare


@pytest.mark.parametrize("known", [0, 7, 20])
def test_progress_adds_up(folder: Path, cache: Path, known: int) -> None:
    paths = sorted(folder.iterdir())
    (folder / "broken.png").write_bytes(b"")
    if known:
        cache_images(paths[:known], SQUARE, cache)
    steps: list[int] = []
    asked = [*paths, paths[0], folder / "broken.png", folder / "missing.png"]
    for _ in range(2):
        steps.clear()
        cache_images(asked, SQUARE, cache, steps.append, skip_broken=True)
        assert sum(steps) == len(asked)


def test_broken_files_are_all_named(folder: Path, cache: Path) -> None:
    paths = sorted(folder.iterdir())
    paths[3].write_bytes(b"")
    paths[5].write_text("not an image")
    paths[7].write_bytes(paths[7].read_bytes()[:300])
    paths[9].unlink()
    for _ in range(2):  # the second time from the cache
        with pytest.raises(DataError, match="4 of 20 images cannot be read; restore or") as caught:
            cache_images(paths, SQUARE, cache)
        lines = str(caught.value).splitlines()[1:]
        assert [line.split(".png")[0][-2:] for line in lines] == ["03", "05", "07", "09"]
        for line, reason in zip(lines, ("empty", "not an image", "cut off", "does not exist"),
                                strict=True):  # fmt: skip
            assert reason in line


def test_broken_files_can_be_skipped(folder: Path, cache: Path) -> None:
    paths = sorted(folder.iterdir())
    paths[3].write_bytes(b"")
    paths[9].unlink()
    for _ in range(2):
        cached = cache_images(paths, SQUARE, cache, skip_broken=True)
        assert sorted(cached.errors) == [3, 9]
        assert "is empty (0 bytes)" in cached.errors[3]
        assert "09.png does not exist" in cached.errors[9]
        assert np.flatnonzero(~cached.good).tolist() == [3, 9]
        assert not cached.images[[3, 9]].any()
        kept = np.flatnonzero(cached.good)
        for row in kept:
            assert np.array_equal(cached.images[row], SQUARE.load(paths[row]))


def test_broken_file_costs_no_second_decode_of_the_others(
    folder: Path, cache: Path, decoded: list[int]
) -> None:
    paths = sorted(folder.iterdir())
    good = paths[3].read_bytes()
    paths[3].write_bytes(good[:200])
    with pytest.raises(DataError, match="1 of 20"):
        cache_images(paths, SQUARE, cache)
    assert len(decoded) == 20
    paths[3].write_bytes(good)
    assert cache_images(paths, SQUARE, cache).good.all()
    assert len(decoded) == 21


def test_a_damaged_file_that_another_list_knows_is_no_black_image(
    folder: Path, cache: Path, decoded: list[int]
) -> None:
    paths = sorted(folder.iterdir())
    paths[3].write_bytes(paths[3].read_bytes()[:200])
    first = cache_images(paths[:6], SQUARE, cache, skip_broken=True)
    assert list(first.errors) == [3]
    second = cache_images(paths[2:9], SQUARE, cache, skip_broken=True)
    assert second.errors == {1: first.errors[3]}
    assert first.errors[3].startswith(f"{paths[3]} is damaged or cut off")
    with pytest.raises(DataError, match="1 of 2 images cannot be read"):
        cache_images(paths[3:5], SQUARE, cache)


def test_missing_files_of_two_lists_are_told_apart(folder: Path, cache: Path) -> None:
    """They have no content, so one is not known by the other."""
    paths = sorted(folder.iterdir())
    first = cache_images([paths[0], folder / "gone.png"], SQUARE, cache, skip_broken=True)
    second = cache_images([folder / "lost.png", paths[1]], SQUARE, cache, skip_broken=True)
    assert "gone.png does not exist" in first.errors[1]
    assert "lost.png does not exist" in second.errors[0]
    assert np.array_equal(second.images[1], SQUARE.load(paths[1]))


def test_another_decoder_decodes_again(
    folder: Path, cache: Path, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sorted(folder.iterdir())
    cache_images(paths, SQUARE, cache)
    monkeypatch.setattr("endoexit.images.shelf.decoder", lambda: "another")
    cache_images(paths, SQUARE, cache)
    assert len(decoded) == 40


def test_nothing_to_cache(cache: Path) -> None:
    with pytest.raises(DataError, match="no images to cache: name at least one file"):
        cache_images([], SQUARE, cache)


def test_default_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path) -> None:
    monkeypatch.setenv("ENDOEXIT_CACHE", str(tmp_path / "named"))
    assert cache_directory() == tmp_path / "named"
    cache_images(sorted(folder.iterdir()), SQUARE)
    assert len(files_of(tmp_path / "named")) == 1
    monkeypatch.delenv("ENDOEXIT_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_directory() == tmp_path / ".cache" / "endoexit"


def test_pixels_are_for_the_user_alone_unless_the_folder_was_shared_on_purpose(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ENDOEXIT_CACHE", raising=False)
    cache_images(sorted(folder.iterdir()), SQUARE)
    assert (tmp_path / ".cache" / "endoexit").stat().st_mode & 0o777 == 0o700
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o775)
    cache_images(sorted(folder.iterdir()), SQUARE, shared)
    assert shared.stat().st_mode & 0o777 == 0o775
    assert files_of(shared)[0].parent.stat().st_mode & 0o700 == 0o700


def test_directory_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EndoexitError, match=r"cannot write the image cache .* ENDOEXIT_CACHE"):
        cache_images(sorted(folder.iterdir()), SQUARE, tmp_path / "file")


# Damage


@pytest.mark.parametrize("damage", ["cut", "empty", "no sidecar", "bad sidecar", "other sidecar"])
def test_damaged_list_is_made_again(folder: Path, cache: Path, damage: str) -> None:
    paths = sorted(folder.iterdir())
    cache_images(paths, SQUARE, cache)
    (array,), (sidecar,) = files_of(cache), files_of(cache, "*.json")
    if damage == "cut":
        array.write_bytes(array.read_bytes()[:-100])
    elif damage == "empty":
        array.write_bytes(b"")
    elif damage == "no sidecar":
        sidecar.unlink()
    elif damage == "bad sidecar":
        sidecar.write_text('{"contents": [')
    else:
        facts = json.loads(sidecar.read_text())
        sidecar.write_text(json.dumps(facts | {"contents": facts["contents"][:-1]}))
    assert_right(cache_images(paths, SQUARE, cache), paths)


def test_pickled_array_is_not_loaded(folder: Path, cache: Path) -> None:
    paths = sorted(folder.iterdir())
    cache_images(paths, SQUARE, cache)
    (array,) = files_of(cache)
    np.save(array, np.array([{"an": "object"}], dtype=object), allow_pickle=True)
    assert_right(cache_images(paths, SQUARE, cache), paths)


def test_file_that_changes_meanwhile_is_not_stored(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sorted(folder.iterdir())
    read, reads = read_bytes, dict.fromkeys(paths, 0)

    def changing(path: Path) -> bytes:
        reads[path] += 1
        return read(path) + (b"!" if path == paths[4] and reads[path] == 2 else b"")

    for module in ("cache", "shelf"):  # the one reads to tell the content, the other to decode it
        monkeypatch.setattr(f"endoexit.images.{module}.read_bytes", changing)
    with pytest.raises(DataError, match=r"04\.png changed while it was being cached: run again"):
        cache_images(paths, SQUARE, cache)
    assert files_of(cache) == []
    assert_right(cache_images(paths, SQUARE, cache), paths)


@pytest.mark.skipif(sys.platform != "linux", reason="limits a process's file size the Unix way")
def test_full_disk_leaves_nothing_and_is_told(folder: Path, cache: Path) -> None:
    script = (
        "import pathlib, resource, sys\n"
        "from endoexit.images.cache import cache_images\n"
        "from endoexit.images.preprocessing import Preprocessing\n"
        "from endoexit.images.reference import ImageRef\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "images = [ImageRef(path) for path in sorted(pathlib.Path(sys.argv[1]).iterdir())]\n"
        "cache_images(images, Preprocessing(size=16),\n"
        "             pathlib.Path(sys.argv[2]))\n"
    )
    command = [sys.executable, "-c", script, str(folder), str(cache)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "WriteError: cannot write" in done.stderr
    assert "free space" in done.stderr
    assert [file for file in cache.rglob("*") if file.is_file() and file.name != ".lock"] == []


# Several processes


def test_two_processes_at_once_decode_each_image_once(folder: Path, cache: Path) -> None:
    children = [start_child(folder, cache, pause=0.02) for _ in range(2)]
    for child in children:
        go(child)
    told = [last_line(child) for child in children]
    assert sorted(decoded for decoded, _, _ in told) == [0, 20]
    paths = sorted(folder.iterdir())
    total = sum(int(SQUARE.load(path).sum()) for path in paths)
    assert [pixels for _, _, pixels in told] == [total, total]
    assert len(files_of(cache)) == 1
    assert_right(cache_images(paths, SQUARE, cache), paths)


def test_two_threads_or_more_decode(folder: Path, cache: Path) -> None:
    child = start_child(folder, cache, pause=0.02)
    go(child)
    _, threads, _ = last_line(child)
    assert threads >= 2


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is a Unix signal")
def test_killed_half_way_then_again(folder: Path, cache: Path) -> None:
    child, waiting = start_child(folder, cache, stop=5), start_child(folder, cache)
    go(child)
    assert child.stdout is not None
    for _ in range(5):  # five images are written, fifteen are not
        assert child.stdout.readline() == "1\n"
    go(waiting)
    time.sleep(0.2)  # it comes to the lock that the first still holds
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    decoded, _, pixels = last_line(waiting)
    paths = sorted(folder.iterdir())
    assert decoded == 20
    assert pixels == sum(int(SQUARE.load(path).sum()) for path in paths)
    assert files_of(cache, ".*.part") == []
    assert_right(cache_images(paths, SQUARE, cache), paths)


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is a Unix signal")
def test_half_written_list_is_not_taken_for_complete(folder: Path, cache: Path) -> None:
    child = start_child(folder, cache, stop=5)
    go(child)
    assert child.stdout is not None
    for _ in range(5):
        child.stdout.readline()
    child.kill()
    child.communicate()
    assert files_of(cache) == []
    assert len(files_of(cache, ".*.part")) == 1
    again = start_child(folder, cache)
    go(again)
    assert last_line(again)[0] == 20
    assert files_of(cache, ".*.part") == []


def test_frames_of_one_file_are_cached_apart(tmp_path: Path, cache: Path) -> None:
    pages = [Image.new("RGB", (16, 16), (grey,) * 3) for grey in (10, 120, 250)]
    path = tmp_path / "pages.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    frames = [ImageRef(path, 2), ImageRef(path), ImageRef(path, 1)]
    assert [int(row[0, 0, 0]) for row in cache_refs(frames, SQUARE, cache).images] == [250, 10, 120]
    with pytest.raises(DataError, match=r"pages\.tif#3 has no frame 3"):
        cache_refs([ImageRef(path, 3)], SQUARE, cache)
