"""The interface of every network: stages, sizes, names, gradients."""

import pytest
import torch

from endoexit.errors import UsageError
from endoexit.models import create_model, list_models, model_config, single_exit_twin
from endoexit.models.catalog import FAMILIES
from tiny_hifuse import tiny


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 160), (224, 224)])
def test_staged_output_equals_whole_output_exactly(depthwise, height, width):
    model = tiny(depthwise=depthwise).eval()
    images = torch.randn(2, 3, height, width)
    with torch.inference_mode():
        whole = model(images)
        state = (images,)
        for number in range(1, model.num_stages + 1):
            state, logits = model.stage(number, state)
            assert logits.shape == (2, 5)
            assert torch.equal(logits, whole[number - 1])
            assert all(part.shape[0] == 2 for part in state)


def test_staged_output_equals_whole_output_with_gradients():
    model = tiny().eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = model(images)
    for ours, theirs in zip(model(images), expected, strict=True):
        assert torch.equal(ours, theirs)


HIFUSE = sorted(FAMILIES["hifuse"].names)


@pytest.mark.parametrize("name", [name for name in HIFUSE if name.startswith("ee_")])
def test_every_parameter_of_the_catalog_receives_a_gradient(name):
    # Finds layers that are built and never run; widths are cut down, the structure is the name's.
    # Networks without early exits are parts of these.
    torch.manual_seed(0)
    model = create_model(name, 3, width=32, heads=(1, 2, 4, 8), exit_reduction=2).train()
    for shade in (-2.0, 0.0, 2.0):  # an attention of few hidden units may be off for one of them
        images = torch.randn(2, 3, 64, 64) + shade
        sum(logits.square().sum() for logits in model(images)).backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize("name", [n for n in list_models() if n.startswith("ee_")])
def test_every_early_exit_network_has_its_single_exit_twin(name):
    twin = single_exit_twin(name)
    assert model_config(twin) == model_config(name, exits=())
    assert model_config(name).exits == (1, 2, 3)


def test_the_catalog_holds_what_it_promises():
    sizes = {"tiny", "small", "base", "tiny_dw", "small_dw", "base_dw", "nano", "micro", "mini"}
    assert set(HIFUSE) == {f"{p}hifuse_{s}" for p in ("", "ee_") for s in sizes}
    assert set(HIFUSE) < set(list_models())


def test_batch_members_do_not_see_each_other_in_evaluation():
    model = tiny().eval()
    images = torch.randn(4, 3, 64, 64)
    with torch.inference_mode():
        together = model(images)
        alone = [model(images[i : i + 1]) for i in range(4)]
    for k, logits in enumerate(together):
        parts = torch.cat([z[k] for z in alone])
        assert torch.allclose(logits, parts, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: create_model("ee_hifuse_nao", 3), "did you mean 'ee_hifuse_nano'?"),
        (lambda: create_model("hifuse_nano", 3, widht=8), "did you mean 'width'?"),
        (lambda: create_model("hifuse_nano", 1), "num_classes must be at least 2, got 1"),
        (lambda: tiny()(torch.randn(1, 3, 100, 64)), "must be multiples of 32; 64 is the nearest"),
        (lambda: tiny()(torch.randn(1, 3, 16, 64)), "must be multiples of 32; 32 is the nearest"),
        (lambda: tiny().stage(5, (torch.randn(1, 3, 64, 64),)), "stage must be 1 to 4, got 5"),
    ],
)
def test_a_wrong_request_says_what_is_right(call, message):
    with pytest.raises(UsageError) as caught:
        call()
    assert message in str(caught.value)
