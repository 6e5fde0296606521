"""A bundle that changes on disk while a service answers with it."""

import asyncio
import logging
import os
import shutil

import numpy as np
import pytest
from servers import PHOTOS

from endoexit.artifacts.bundle import open_bundle
from endoexit.artifacts.source import STAGES
from endoexit.errors import RunError
from endoexit.runtime.session import open_session
from endoexit.serve.problems import Problem
from endoexit.serve.reload import Reloads
from endoexit.serve.service import Service
from endoexit.serve.settings import read_settings

BACKENDS = ("openvino", "onnx", "torch")


def read():
    return read_settings(None, {"threads": 1, "decoders": 1, "threshold": 1.0})


def write_over(folder):
    """Write other bytes into the files of the stages, as a copy in place does."""
    for file in folder.iterdir():
        size = file.stat().st_size
        with file.open("r+b") as stream:
            stream.write(os.urandom(size))


def cut_short(folder):
    for file in folder.iterdir():
        with file.open("r+b") as stream:
            stream.truncate(10)


async def probabilities(service):
    loop = asyncio.get_running_loop()
    slot = service.gate.enter("test", len(PHOTOS[0]), 10)
    try:
        answers = service.answers(service.model, PHOTOS[:1], slot, loop.time() + 60)
        (answer,) = [answer async for answer in answers]
        return answer.probabilities
    finally:
        service.gate.close(slot)


@pytest.mark.parametrize("backend", BACKENDS)
def test_answers_stay_those_of_the_model_that_was_checked(bundles, tmp_path, caplog, backend):
    caplog.set_level(logging.ERROR, "endoexit.serve")
    path = shutil.copytree(bundles.make(backend, "f32").path, tmp_path / "bundle")

    async def walk():
        service = Service(path, read())
        await service.start()
        try:
            before, identity = await probabilities(service), service.model.identity
            for change in (write_over, cut_short):
                change(path / STAGES)
                assert await probabilities(service) == before
                with pytest.raises(Problem, match=r"source\.refused"):
                    await Reloads(service, read).open(path)
                assert service.model.identity == identity
        finally:
            await service.close()

    asyncio.run(walk())
    assert "was changed since the bundle was made" in caplog.text


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_a_stage_that_changed_before_its_first_use_is_refused(bundles, tmp_path, backend):
    path = shutil.copytree(bundles.make(backend, "f32").path, tmp_path / "bundle")
    session = open_session(path, threads=1)
    write_over(path / STAGES)
    side = open_bundle(bundles.make(backend, "f32").path).config.preprocessing.size
    with pytest.raises(RunError, match="was changed since the bundle was made"):
        session.engine.backend.run(
            1, session.engine.backend.start(np.zeros((1, 3, side, side), np.float32))
        )
