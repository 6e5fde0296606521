"""One shard: the answers of `predict`, the same each time, broken images as rows."""

import shutil

import numpy as np
import pytest

from archive_jobs import THRESHOLD, material, plan
from endoexit.archiving.results import read_results
from endoexit.archiving.shard import ShardWork
from endoexit.errors import RunError
from endoexit.images.reference import ImageRef
from endoexit.policy import fixed_exit
from endoexit.runtime.predictor import predict_images
from endoexit.runtime.session import open_session
from endoexit.workflow.archive import plan_archive
from tiny import CLASSES, tiny_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("runs") / "tiny").path


@pytest.fixture
def folder(run, tmp_path):
    return plan(run, material(tmp_path / "in"), tmp_path / "job", shard_images=10)


def results(folder, shard):
    expected = folder.job.rows(shard)
    return list(read_results(folder.file(shard), expected, CLASSES))


def test_the_answers_are_those_of_predict(run, folder):
    entry = ShardWork(folder, 1).compute(0)
    written = results(folder, 0)
    assert (entry.images, entry.failed) == (10, 1)
    images = folder.planned(0)
    assert "is not an image that can be read" in str(
        next(r.fault for r, i in zip(written, images, strict=True) if i.path.endswith("broken.png"))
    )
    single = [i for i in images if i.member is None]
    engine = open_session(run, threshold=THRESHOLD, threads=1).engine
    refs = [ImageRef(folder.job.base / image.path) for image in single]
    for row, result in zip(predict_images(engine, refs, 32), written, strict=False):
        assert (row.prediction is None) == (result.prediction is None)
        if row.prediction is not None and result.prediction is not None:
            assert row.prediction.exit == result.prediction.exit
            np.testing.assert_allclose(
                row.prediction.probabilities, result.prediction.probabilities, atol=1e-5
            )


def test_a_second_time_gives_the_same_but_for_the_times(folder):
    work = ShardWork(folder, 1)
    said = []
    for _ in range(2):
        work.compute(1)
        said.append([
            (r.id, r.fault, r.prediction and (r.prediction.exit, *r.prediction.probabilities))
            for r in results(folder, 1)
        ])  # fmt: skip
        folder.file(1).unlink()
    assert said[0] == said[1]
    assert len({row[2] for row in said[0]}) > 3


def test_members_that_are_refused_are_rows(folder):
    work = ShardWork(folder, 1)
    for shard in range(folder.job.shards):
        work.compute(shard)
    faults = {}
    for shard in range(folder.job.shards):
        for image, result in zip(folder.planned(shard), results(folder, shard), strict=True):
            faults[str(image).rsplit("/in/")[-1]] = result.fault
    assert sum(fault is not None for fault in faults.values()) == 5
    for archive in ("a.tar", "b.zip"):
        assert "is empty" in str(faults[f"{archive}#deep/empty.jpg"])
        assert "leads out of its archive" in str(faults[f"{archive}#../out.png"])
        assert faults[f"{archive}#deep/7.png"] is None


def test_images_that_end_the_process_are_rows(folder):
    work = ShardWork(folder, 1)
    work.decode(0, range(10))
    assert not folder.file(0).exists()
    assert work.compute(0, fatal=[1, 2]).failed == 3
    assert ["ends the process" in str(result.fault) for result in results(folder, 0)][:4] == [
        False, True, True, False,
    ]  # fmt: skip


def test_images_that_another_machine_sees_must_be_here(folder, tmp_path):
    work = ShardWork(folder, 1)
    work.require_visible(0, range(10))
    (tmp_path / "in" / "photos").rename(tmp_path / "unmounted")
    work.require_visible(0, [])
    inside = [position for position, image in enumerate(folder.planned(0)) if image.member]
    work.require_visible(0, inside)
    with pytest.raises(RunError, match="under the same paths on all machines, or leave this one"):
        work.require_visible(0, [0])


def test_another_model_is_refused(tmp_path):
    run = tiny_run(tmp_path / "run").path
    fixed_exit(4, 2).write(run / "policy.json")
    folder = plan_archive(run, material(tmp_path / "in"), out=tmp_path / "job").folder
    ShardWork(folder, 1).compute(0)
    assert {row.prediction.exit for row in results(folder, 0) if row.prediction} == {2}
    fixed_exit(4, 3).write(run / "policy.json")
    with pytest.raises(RunError, match=r"has changed since the job was planned \(policy\)"):
        ShardWork(folder, 1)
    fixed_exit(4, 2).write(run / "policy.json")
    retrained = tiny_run(tmp_path / "other", seed=1).path
    shutil.copy(retrained / "weights.safetensors", run)
    with pytest.raises(RunError, match=r"\(weights\).*bring the folder back as it was"):
        ShardWork(folder, 1)
