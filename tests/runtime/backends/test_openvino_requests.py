"""Requests of OpenVINO: every array is written, and an error of one is raised after all."""

from types import SimpleNamespace

import numpy as np
import openvino as ov
import pytest
from openvino import opset13
from openvino.preprocess import PrePostProcessor

from endoexit.runtime.backends.openvino import copied
from endoexit.runtime.backends.openvino_requests import Request, run_at_once


@pytest.mark.parametrize("kind", [ov.Type.f32, ov.Type.bf16])
def test_what_a_stage_hands_on_unchanged_is_written_into_every_array(kind):
    images, maps = (opset13.parameter(shape, ov.Type.f32) for shape in ([1, 32, 32, 3], [1, 8]))
    model = ov.Model([images, opset13.relu(maps)], [images, maps], "stage")
    edges = PrePostProcessor(copied(model))
    edges.input(0).tensor().set_element_type(kind)
    edges.output(0).tensor().set_element_type(kind)
    request = Request(ov.compile_model(edges.build(), "CPU"))
    numbers = np.random.default_rng(0).normal(size=(5, 32, 32, 3)).astype(np.float32)
    bits = (numbers.view(np.uint32) >> 16).astype(np.uint16) if kind == ov.Type.bf16 else numbers
    handed_on, unread = np.zeros_like(bits), np.zeros((5, 8), np.float32)
    for row in range(5):
        part = slice(row, row + 1)
        request.bind((bits[part], unread[part]), (handed_on[part], np.zeros_like(unread[part])))
        run_at_once([request])
    np.testing.assert_array_equal(handed_on, bits)


def test_an_error_of_one_part_is_raised_after_all_have_ended():
    ended = []

    class Inner:
        def __init__(self, error=None):
            self.error = error

        def start_async(self):
            pass

        def wait(self):
            ended.append(self)
            if self.error:
                raise self.error

    broken = RuntimeError("of one part")
    requests = [SimpleNamespace(infer=Inner(error)) for error in (broken, None)]
    with pytest.raises(RuntimeError, match="of one part"):
        run_at_once(requests)
    assert ended == [request.infer for request in requests]
