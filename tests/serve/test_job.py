"""A job: the guilty image of a batch is found, and the states of the others stay whole."""

import itertools

import numpy as np
from table_backend import PREPROCESSING, TableBackend, numbered

from endoexit.policy import fixed_exit
from endoexit.runtime.engine import Engine
from endoexit.serve.job import Job


class PoisonedBackend(TableBackend):
    """Raises for a batch with image 1."""

    def run(self, number, state):
        if 1 in state.tolist():
            raise RuntimeError("poison")
        return super().run(number, state)


def job_of(backend, count):
    engine = Engine(backend, fixed_exit(3, 3), PREPROCESSING)
    batch = engine.enter(numbered(range(count)), range(count))
    return engine, Job(engine, batch, itertools.count().__next__)


def test_a_batch_runs_once():
    engine, job = job_of(TableBackend(np.zeros((3, 4, 4), np.float32)), 3)
    job.run()
    (ran,) = job.ran
    assert (job.began, ran.begin, ran.end) == (0, 1, 2)
    assert ran.tickets == list(ran.answers) == [0, 1, 2]
    assert ran.result.batch.passed == 1
    assert engine.backend.calls == [(1, [0, 1, 2])]


def test_only_the_guilty_image_fails_and_the_others_go_on():
    engine, job = job_of(PoisonedBackend(np.zeros((3, 4, 4), np.float32)), 3)
    job.run()
    assert [(ran.tickets, str(ran.error)) for ran in job.ran] == [
        ([0], "None"),
        ([1], "poison"),
        ([2], "None"),
    ]
    # Each ran after the other: the backend writes over the state of the one before.
    states = [ran.result.batch.state.tolist() for ran in job.ran if ran.result is not None]
    assert states == [[0], [2]]
    good = engine.join([ran.result.batch for ran in job.ran if ran.result is not None])
    assert engine.step(good).batch.passed == 2
