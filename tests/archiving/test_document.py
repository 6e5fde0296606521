"""The documents of a job: what is refused, and which images a shard has."""

import json

import pytest
from pydantic import ValidationError

from archive_jobs import ANSWERING
from endoexit.archiving.document import JOB, MANIFEST, Job, Manifest
from endoexit.errors import RunError


def job(tmp_path, **changes):
    facts = {
        "source": tmp_path, "threshold": None, "precision": None, "answering": ANSWERING,
        "decided_by": "a policy", "base": tmp_path, "images": 10, "shard_images": 4,
        "keys": ("k0", "k1", "k2"),
    }  # fmt: skip
    return Job(**(facts | changes))


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("weights_sha256", "other", "weights"),
        ("policy_sha256", "other", "policy"),
        ("preprocessing", "other", "preprocessing"),
        ("precision", "torch-bf16", "precision"),
        ("classes", ("y", "x"), "classes"),
        ("decoder", "other", "libraries that decode images"),
        ("version", "2", "version of endoexit"),
    ],
)
def test_other_answers_are_refused(tmp_path, field, value, word):
    ANSWERING.require(ANSWERING, tmp_path)
    with pytest.raises(RunError, match=rf"\({word}\).*plan another job"):
        ANSWERING.require(ANSWERING.replaced(**{field: value}), tmp_path)


def test_a_job_comes_back_and_knows_the_images_of_its_shards(tmp_path):
    written = job(tmp_path)
    written.write(tmp_path)
    read = Job.read(tmp_path)
    assert read == written
    assert [read.rows(shard) for shard in range(read.shards)] == [
        range(4), range(4, 8), range(8, 10),
    ]  # fmt: skip


def test_a_folder_without_a_job_and_a_job_that_is_not_done(tmp_path):
    with pytest.raises(RunError, match="make one with `endoexit archive plan`"):
        Job.read(tmp_path)
    with pytest.raises(RunError, match="finish it with `endoexit archive run"):
        Manifest.read(tmp_path)


@pytest.mark.parametrize(("name", "schema"), [(JOB, Job), (MANIFEST, Manifest)])
def test_a_document_that_is_newer_or_damaged(tmp_path, name, schema):
    (tmp_path / name).write_text(json.dumps({"format": "endoexit-archive-2"}))
    with pytest.raises(RunError, match="made by a newer endoexit"):
        schema.read(tmp_path)
    (tmp_path / name).write_text("{}")
    with pytest.raises(RunError, match="is damaged at"):
        schema.read(tmp_path)


def test_a_job_has_an_image(tmp_path):
    with pytest.raises(ValidationError):
        job(tmp_path, images=0)
