"""What the backends of exported stages share, in each of their libraries."""

import numpy as np
import pytest

from endoexit.artifacts.source import StageFiles
from endoexit.errors import RunError
from endoexit.models.state import state_of_shapes
from endoexit.precision import Precision
from endoexit.runtime.backends.choice import open_exported


@pytest.fixture(params=["openvino", "onnx"])
def backend(request, tmp_path):
    """A backend whose stages were never written: it knows what its files are called."""
    kind = request.param
    pytest.importorskip({"openvino": "openvino", "onnx": "onnxruntime"}[kind])
    files = StageFiles(tmp_path, kind, state_of_shapes((((4,),), ())), 3)
    return open_exported(files, Precision(kind, "f32", "f32"), threads=1)


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(4, 3, 5, 6)).astype(np.float32)


def arrays(backend, state):
    return [np.array(backend._array(tensor)) for tensor in state]  # the views end with the state


def test_images_enter_with_their_channels_last(backend, images):
    (array,) = arrays(backend, backend.start(images))
    np.testing.assert_array_equal(array, images.transpose(0, 2, 3, 1))
    assert (backend.num_stages, backend.threads) == (2, 1)


def test_states_are_gathered_and_joined_as_arrays_are(backend, images):
    state = backend.start(images)
    parts = [backend.gather(state, np.array(rows)) for rows in ([2, 0], [3])]
    (array,) = arrays(backend, backend.concatenate(parts))
    np.testing.assert_array_equal(array, images[[2, 0, 3]].transpose(0, 2, 3, 1))


def test_a_stage_that_is_not_there_is_named(backend, images):
    with pytest.raises(RunError, match=r"1\.(xml|onnx) cannot be read .*or export the run again"):
        backend.run(1, backend.start(images))
