"""The phantom set: what the folder holds, how it is written, and how hard it is."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from endoexit.errors import DataError, EndoexitError, UsageError
from endoexit.images.preprocessing import Preprocessing
from endoexit.phantom.render import CLASSES, render_phantom

KVASIR = ["dyed-lifted-polyps", "dyed-resection-margins", "esophagitis", "normal-cecum",
          "normal-pylorus", "normal-z-line", "polyps", "ulcerative-colitis"]  # fmt: skip


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "phantom.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def hashes(folder: Path, rows: list[dict[str, str]]) -> np.ndarray:
    """Return the 256-bit difference hash of every image, (N, 256)."""
    bits = []
    for row in rows:
        grey = Image.open(folder / row["path"]).convert("L")
        small = np.asarray(grey.resize((17, 16), Image.Resampling.BILINEAR)).astype(int)
        bits.append((small[:, 1:] > small[:, :-1]).ravel())
    return np.array(bits)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render_phantom(tmp_path_factory.mktemp("data") / "phantom", 50, size=64, seed=3)


# What it holds


def test_folder_per_class_with_a_table(phantom: Path) -> None:
    assert list(CLASSES) == KVASIR
    assert sorted(path.name for path in phantom.iterdir() if path.is_dir()) == KVASIR
    rows = rows_of(phantom)
    assert list(rows[0]) == ["path", "label", "group", "difficulty"]
    assert len({row["path"] for row in rows}) == len(rows) == 400
    for row in rows:
        assert row["path"].split("/")[0] == row["label"]
        assert 0 <= float(row["difficulty"]) <= 1
    for label in KVASIR:
        assert sum(row["label"] == label for row in rows) == 50
        assert len(list((phantom / label).glob("*.jpg"))) == 50


def test_says_that_it_is_synthetic(phantom: Path) -> None:
    text = (phantom / "README.txt").read_text(encoding="utf-8")
    assert text.startswith("SYNTHETIC IMAGES: no patient")
    assert "images_per_class 50, size 64, seed 3" in text


def test_images_show_a_lit_field_in_a_black_frame(phantom: Path) -> None:
    for row in rows_of(phantom):
        with Image.open(phantom / row["path"]) as image:
            assert image.format == "JPEG"
            assert (image.mode, image.size) == ("RGB", (64, 64))
            pixels = np.asarray(image)
        assert pixels[:4, :4].max() < 30
        assert pixels[:4, -4:].max() < 30
        assert pixels[14:-14, 14:-14].mean() > 50


def test_difficulties_fill_the_range_in_every_class(phantom: Path) -> None:
    for label in KVASIR:
        values = [float(row["difficulty"]) for row in rows_of(phantom) if row["label"] == label]
        assert min(values) < 0.15
        assert max(values) > 0.85


def test_patients_have_one_class_and_some_have_several_images(phantom: Path) -> None:
    labels: dict[str, set[str]] = {}
    counts: dict[str, int] = {}
    for row in rows_of(phantom):
        labels.setdefault(row["group"], set()).add(row["label"])
        counts[row["group"]] = counts.get(row["group"], 0) + 1
    assert all(len(seen) == 1 for seen in labels.values())
    assert max(counts.values()) >= 3
    assert 100 < len(counts) < 300


def test_near_copies_stay_in_one_group_and_are_found_by_their_hash(phantom: Path) -> None:
    rows = rows_of(phantom)
    bits = hashes(phantom, rows)
    apart = (bits[:, None] != bits[None]).sum(-1)
    first, second = np.nonzero(np.triu(apart <= 15, 1))
    assert len(first) >= 20
    for left, right in zip(first, second, strict=True):
        assert rows[left]["group"] == rows[right]["group"]
    scenes = [row["path"].rsplit("-f", 1)[0] for row in rows]
    copies = [apart[i, i + 1] for i in range(len(rows) - 1) if scenes[i] == scenes[i + 1]]
    assert np.mean(np.array(copies) <= 15) > 0.6
    assert min(copies) > 0  # near-copies, not copies


def test_green_inset_belongs_to_no_class(phantom: Path) -> None:
    """Equal by design, so that it is no shortcut."""
    for label in KVASIR:
        corners = [np.asarray(Image.open(path))[-5:, :5].mean((0, 1)).astype(int)
                   for path in (phantom / label).iterdir()]  # fmt: skip
        share = np.mean([green > red + 40 for red, green, _ in corners])
        assert 0.02 < share < 0.5, label


def test_colour_alone_tells_some_classes_and_not_all(phantom: Path) -> None:
    rows = rows_of(phantom)
    preprocessing = Preprocessing(size=32)
    images = np.stack([preprocessing.load(phantom / row["path"]) for row in rows])
    pixels = images.reshape(len(images), -1, 3) / 255
    features = np.concatenate([pixels.mean(1), pixels.std(1)], axis=1)
    labels = np.array([row["label"] for row in rows])
    held_out = np.array([hash_of(row["group"]) % 3 == 0 for row in rows])
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    model.fit(features[~held_out], labels[~held_out])
    guessed, truth = model.predict(features[held_out]), labels[held_out]
    assert 0.4 < np.mean(guessed == truth) < 0.85  # chance is 0.125
    dyed = np.char.startswith(truth.astype(str), "dyed")
    assert np.mean(np.char.startswith(guessed[dyed].astype(str), "dyed")) > 0.85


def hash_of(text: str) -> int:
    """Return a number that does not change from run to run, unlike hash()."""
    return sum(text.encode())


# How it is written


def test_same_settings_give_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    first = contents(render_phantom(tmp_path / "a", 2, size=48, seed=1))
    assert len(first) == 16 + 3
    assert contents(render_phantom(tmp_path / "b", 2, size=48, seed=1)) == first
    reseeded = contents(render_phantom(tmp_path / "c", 2, size=48, seed=2))
    for name in first.keys() & reseeded.keys():
        assert reseeded[name] != first[name]


def test_more_images_keep_the_first_ones(tmp_path: Path) -> None:
    few = contents(render_phantom(tmp_path / "few", 2, size=48))
    many = contents(render_phantom(tmp_path / "many", 4, size=48))
    pictures = [name for name in few if name.endswith(".jpg")]
    assert len(pictures) == 16
    assert all(many[name] == few[name] for name in pictures)


def test_progress_counts_every_image(tmp_path: Path) -> None:
    steps: list[int] = []
    render_phantom(tmp_path / "p", 2, size=32, advance=steps.append)
    assert sum(steps) == 16


def test_complete_folder_is_left_as_it_is(tmp_path: Path) -> None:
    folder = render_phantom(tmp_path / "p", 2, size=32)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    steps: list[int] = []
    assert render_phantom(tmp_path / "p", 2, size=32, advance=steps.append) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert steps == []


@pytest.mark.parametrize("missing", ["image", "table", "changed table"])
def test_folder_that_misses_something_is_rendered_again(tmp_path: Path, missing: str) -> None:
    folder = render_phantom(tmp_path / "p", 2, size=32)
    whole = contents(folder)
    if missing == "image":
        next(folder.glob("polyps/*.jpg")).unlink()
    elif missing == "table":
        (folder / "phantom.csv").unlink()
    else:
        (folder / "phantom.csv").write_text("path,label,group,difficulty\n")
    (folder / "notes.txt").write_text("mine")
    render_phantom(folder, 2, size=32)
    assert contents(folder) == whole | {"notes.txt": b"mine"}


def test_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    assert len(contents(render_phantom(tmp_path / "p", 1, size=32))) == 8 + 3


def test_other_folder_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="exists and is not a phantom: choose another folder"):
        render_phantom(tmp_path / "mine", 1, size=32)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    with pytest.raises(DataError, match=r"thesis\.txt exists and is not a phantom"):
        render_phantom(tmp_path / "mine" / "thesis.txt", 1, size=32)


def test_phantom_of_other_settings_is_refused_and_kept(tmp_path: Path) -> None:
    before = contents(render_phantom(tmp_path / "p", 1, size=32))
    with pytest.raises(DataError, match=r"other settings .*size 32.*another folder or remove it"):
        render_phantom(tmp_path / "p", 1, size=40)
    assert contents(tmp_path / "p") == before


@pytest.mark.parametrize("wrong", [{"images_per_class": 0}, {"size": 31}, {"size": 2000},
                                   {"seed": -1}])  # fmt: skip
def test_impossible_arguments_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="images_per_class of 1 or more, size from 32 to 1024"):
        render_phantom(tmp_path / "p", **{"images_per_class": 1, "size": 32, **wrong})
    assert not (tmp_path / "p").exists()


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        EndoexitError, match=r"the phantom .*file is a file, not a folder; choose another"
    ):
        render_phantom(tmp_path / "file" / "p", 1, size=32)


# Renders; after `stop` pictures it waits for ever.
CHILD = """
import pathlib, sys, threading
from endoexit.phantom.render import render_phantom
told, stop = [], int(sys.argv[2])
def tell(count):
    told.append(count)
    print(count, flush=True)
    if len(told) == stop:
        threading.Event().wait()
print("ready", flush=True)
sys.stdin.readline()
render_phantom(pathlib.Path(sys.argv[1]), 6, size=64, advance=tell)
"""


def start_child(folder: Path, stop: int = -1) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(folder), str(stop)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdin is not None
    assert child.stdout.readline() == "ready\n"
    return child


def go(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("go\n")
    child.stdin.flush()


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is a Unix signal")
def test_killed_half_way_then_again(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    child = start_child(folder, stop=10)
    go(child)
    assert child.stdout is not None
    for _ in range(10):
        assert child.stdout.readline() == "1\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert not folder.exists()
    assert (tmp_path / ".p.part").is_dir()
    render_phantom(folder, 6, size=64)
    assert not (tmp_path / ".p.part").exists()
    assert contents(folder) == contents(render_phantom(tmp_path / "fresh", 6, size=64))


def test_two_processes_at_once_render_once(tmp_path: Path) -> None:
    children = [start_child(tmp_path / "p") for _ in range(2)]
    for child in children:
        go(child)
    told = [child.communicate(timeout=60)[0].splitlines() for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert sorted(len(lines) for lines in told) == [0, 48]
    facts = json.loads((tmp_path / "p" / "phantom.json").read_text())
    assert facts["settings"]["images_per_class"] == 6


def test_renders_fast_enough_for_a_demo(tmp_path: Path) -> None:
    start = time.process_time()
    render_phantom(tmp_path / "p", 5, size=160)
    assert time.process_time() - start < 40 * 0.08  # alone on a core it takes a fifth of this
