"""What is measured: its exits and its policy as works."""

import pytest

from endoexit.artifacts import bundle as bundles
from endoexit.artifacts.run import open_run
from endoexit.bench.images import load_images
from endoexit.bench.subject import FINAL, exit_names, exit_works, exits_taken, policy_works
from endoexit.policy import fixed_exit
from endoexit.progress import silent
from endoexit.runtime.session import open_session
from tiny import PREPROCESSING, save_photos, tiny_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    photos = save_photos(tmp_path_factory.mktemp("photos"), count=6)
    return load_images((str(photos),), PREPROCESSING, silent).images


def test_what_is_measured_is_opened_once(run, monkeypatch):
    """Opening a bundle hashes all of it."""
    opened = []
    monkeypatch.setattr(bundles, "open_run", lambda path: opened.append(path) or open_run(path))
    subject = open_session(run.path, threads=1)
    assert subject.source == run
    assert opened == [run.path]


def test_each_work_of_an_exit_sends_all_images_there(run, images):
    subject = open_session(run.path, threads=1, threshold=0.75)
    assert exit_names(subject) == ["exit 1", "exit 2", "exit 3", FINAL]
    works = exit_works(subject, images)
    assert list(works) == exit_names(subject)
    for number, work in enumerate(works.values(), start=1):
        assert [answer.exit for answer in work(0)] == [number]
    assert subject.source.complexity.macs == run.config.network.complexity.macs


def test_each_work_of_the_policy_has_the_images_that_exit_there(run, images):
    subject = open_session(run.path, threads=1, threshold=0.75)
    assert subject.adaptive
    exits = exits_taken(subject, images, silent)
    assert len(set(exits.tolist())) > 1
    works = policy_works(subject, images, exits)
    assert sorted(works) == sorted(set(exits.tolist()))
    for number, work in works.items():
        for turn in range(3):
            assert [answer.exit for answer in work(turn)] == [number]


def test_a_fixed_exit_decides_about_no_image(run, tmp_path):
    fixed = tiny_run(tmp_path / "run")
    fixed_exit(4, 2).write(fixed.path / "policy.json")
    assert not open_session(fixed.path, threads=1).adaptive
