"""The interface of every network: stages, sizes, names, gradients."""

import pytest
import torch

from endoexit.errors import UsageError
from endoexit.models import create_model, list_models, model_config, single_exit_twin
from endoexit.models.catalog import FAMILIES

TINY = {"width": 16, "heads": (1, 2, 4, 8), "depths": (2, 1, 1, 1)}


def tiny(name: str = "ee_hifuse_nano", classes: int = 5, **changes):
    torch.manual_seed(0)
    return create_model(name, classes, **(TINY | changes))


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


@pytest.mark.parametrize("exits", [(), (1,), (3,), (1, 3), (1, 2, 3)])
def test_exits_stand_where_the_configuration_says(exits):
    model = tiny(exits=exits).eval()
    assert model.num_stages == len(exits) + 1
    assert len(model(torch.randn(1, 3, 32, 32))) == len(exits) + 1
    scales = [len(stage.trunk) for stage in model.stages]
    ends = [sum(scales[: i + 1]) for i in range(len(scales))]
    assert ends == [*exits, 4]


HIFUSE = sorted(FAMILIES["hifuse"].names)


@pytest.mark.parametrize("name", HIFUSE)
def test_every_parameter_of_the_catalog_receives_a_gradient(name):
    # Finds layers that are built and never run; widths are cut down, the structure is the name's.
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


def test_head_settings_change_the_heads():
    one = tiny(exit_blocks=1, exit_reduction=4)
    assert len(one.stages[0].head.attention) == 1
    assert one.stages[0].head.attention[0].squeeze.out_features == 4
    assert len(tiny().stages[0].head.attention) == 3


def test_rectangles_and_odd_windows_agree_with_padding_by_hand():
    # A 96-pixel image has maps of 24, 12, 6 and 3: every one is padded to windows of 7.
    model = tiny().eval()
    with torch.inference_mode():
        assert all(torch.isfinite(z).all() for z in model(torch.randn(1, 3, 96, 96)))


def test_batch_members_do_not_see_each_other_in_evaluation():
    model = tiny().eval()
    images = torch.randn(4, 3, 64, 64)
    with torch.inference_mode():
        together = model(images)
        alone = [model(images[i : i + 1]) for i in range(4)]
    for k, logits in enumerate(together):
        parts = torch.cat([z[k] for z in alone])
        assert torch.allclose(logits, parts, rtol=1e-4, atol=1e-5)


def test_dropped_paths_keep_the_expectation():
    from endoexit.models.hifuse.layers import DropPath

    torch.manual_seed(0)
    drop = DropPath(0.25).train()
    x = torch.ones(20000, 1, 1, 1)
    y = drop(x)
    assert y.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert y.mean().item() == pytest.approx(1.0, abs=0.02)
    assert torch.equal(drop.eval()(x), x)


def test_join_hands_back_the_gradients_of_a_concatenation():
    from endoexit.models.hifuse.layers import join

    maps = [torch.randn(2, c, 3, 3, dtype=torch.double, requires_grad=True) for c in (1, 2, 3)]
    assert torch.equal(join(*maps), torch.cat(maps, 1))
    assert torch.autograd.gradcheck(join, tuple(maps))


def test_spatial_attention_is_what_the_heads_multiply_with():
    model = tiny().eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        state, _ = model.stage(1, (images,))
        head = model.stages[0].head
        maps = head.gates(state)
        first = head.attention[0]
        x = state[-1]
        by_hand = first(x) / first.channels(x)
    assert len(maps) == 3
    assert maps[0].shape == (1, 1, 16, 16)
    assert torch.allclose(by_hand.mean(1, keepdim=True), maps[0], atol=1e-4)
    whole = maps[0] * maps[1] * maps[2]
    with torch.inference_mode():
        assert torch.allclose(head.attention_map(state), whole[:, 0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: create_model("ee_hifuse_nao", 3), "did you mean 'ee_hifuse_nano'?"),
        (lambda: create_model("hifuse_nano", 3, widht=8), "did you mean 'width'?"),
        (lambda: create_model("hifuse_nano", 1), "num_classes must be at least 2, got 1"),
        (lambda: tiny(heads=(3, 2, 4, 8)), "heads must be divisors of the channels (16, 32"),
        (lambda: tiny(exits=(2, 1)), "exits must be scales from 1 to 3 in rising order"),
        (lambda: tiny(exits=(4,)), "exits must be scales from 1 to 3 in rising order"),
        (lambda: tiny(depths=(1, 1)), "depths must be 4 numbers"),
        (lambda: tiny(depths=2), "depths must be a list of whole numbers, got 2"),
        (lambda: tiny(heads=(1, 2, 4, 8.0)), "heads must be a list of whole numbers"),
        (lambda: tiny(width=16.0), "width must be a whole number, got 16.0"),
        (lambda: tiny(depthwise=1), "depthwise must be true or false, got 1"),
        (lambda: tiny(drop_path="much"), "drop_path must be a number, got 'much'"),
        (lambda: tiny(drop_path=1.0), "drop_path must be in [0, 1), got 1.0"),
        (lambda: tiny()(torch.randn(1, 3, 100, 64)), "must be multiples of 32; 64 is the nearest"),
        (lambda: tiny()(torch.randn(1, 3, 16, 64)), "must be multiples of 32; 32 is the nearest"),
        (lambda: tiny().stage(5, (torch.randn(1, 3, 64, 64),)), "stage must be 1 to 4, got 5"),
    ],
)
def test_a_wrong_request_says_what_is_right(call, message):
    with pytest.raises(UsageError) as caught:
        call()
    assert message in str(caught.value)
