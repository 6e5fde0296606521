"""The stages of a bundle as one graph of OpenVINO, to compare the cut network with."""

from collections.abc import Callable
from typing import Any

import openvino as ov

from endoexit.artifacts.source import StageFiles
from endoexit.runtime.backends.openvino import OpenVinoBackend

Answer = Callable[[Any], Any]


def one_piece(backend: OpenVinoBackend, files: StageFiles, *, early_exits: bool) -> Answer:
    """Return a function that runs all stages of a bundle as one graph, on one image.

    It is compiled from the same files with the same settings, so it is quantised where they are.

    Args:
        backend: Backend of the bundle, at the precision that is compared.
        files: Stages of the bundle.
        early_exits: Whether the exits before the last are computed too.
    """
    core, stages = backend._core, files.num_stages
    models = [core.read_model(*files.read(number)) for number in range(1, stages + 1)]
    entering, answers, handed_on = models[0].get_parameters(), [], []
    for number, model in enumerate(models, start=1):
        for parameter, output in zip(
            model.get_parameters() if number > 1 else [], handed_on, strict=True
        ):
            parameter.output(0).replace(output)
        *states, logits = model.get_results()
        handed_on = [result.input_value(0) for result in states]
        if early_exits or number == stages:
            answers.append(logits)
    whole = ov.Model(answers, entering, "one piece")
    sides = [side.get_length() for side in list(whole.inputs[0].partial_shape)[1:]]
    whole.reshape({0: [1, *sides]})
    request = core.compile_model(whole, "CPU", backend.settings()).create_infer_request()

    def answer(state: Any) -> Any:
        request.set_input_tensor(0, ov.Tensor(state[0], shared_memory=True))
        request.infer()
        return request.get_output_tensor(len(answers) - 1).data

    return answer
