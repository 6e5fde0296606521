"""The catalog's networks that are cut: their settings, exits, heads and starting weights."""

import sys

import pytest
import torch
from torch import nn

from endoexit.errors import UsageError
from endoexit.models import NetworkSpec, create_model, model_config, single_exit_twin
from endoexit.models.efficientnet_lite import EfficientNetLite
from endoexit.models.exit_heads import HEADS

THREE = "blocks.2,blocks.4,blocks.5"


def spec(**settings: object) -> NetworkSpec:
    return NetworkSpec("efficientnet_lite0", 5, 64, settings)


@pytest.mark.parametrize("exits", ["3,5,6", "3, 5, 6", [3, 5, 6], THREE, THREE.split(",")])
def test_exits_can_be_written_in_several_ways(exits):
    settings = spec(exits=exits, head="conv").settled().settings
    assert settings == {"exits": THREE, "head": "conv"}


def test_auto_is_written_out_and_costs_the_same():
    auto = spec()
    settled = auto.settled()
    assert settled.settings["exits"].count("blocks.") == 3
    assert settled.settings["head"] == "rdi,conv,conv"
    assert settled.complexity == auto.complexity
    assert auto.num_exits == 4


def test_heads_are_written_out_for_the_exits_there_are():
    assert spec(exits="4").settled().settings["head"] == "rdi"
    assert spec(exits="none").settled().settings == {"exits": "none"}
    assert spec(exits=THREE, head=["sdn", "bof", "bof"]).settled().num_exits == 4
    with pytest.raises(UsageError, match=r"2 exit heads \(sdn,bof\) for 3 early exits"):
        spec(exits=THREE, head="sdn,bof").build()


def test_the_network_answers_as_it_does_whole():
    torch.manual_seed(0)
    whole = EfficientNetLite(0, 5).eval()
    torch.manual_seed(0)
    cut = create_model("efficientnet_lite0", 5, size=64, exits="3,5").eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        assert cut(images)[-1].equal(whole(images))


def test_none_gives_the_network_in_one_stage():
    assert spec(exits="none").num_exits == 1
    assert spec(exits="none").complexity.macs[-1] < spec().complexity.macs[-1]
    whole = spec().build_whole()
    assert (whole.num_stages, whole.num_classes) == (1, 5)
    with pytest.raises(UsageError, match="no network that is efficientnet_lite0 without"):
        single_exit_twin("efficientnet_lite0")


@pytest.mark.parametrize("head", HEADS)
def test_every_head_fits_every_exit(head):
    model = spec(exits=THREE, head=head).build().eval()
    with torch.inference_mode():
        answers = model(torch.randn(2, 3, 64, 64))
    assert [answer.shape for answer in answers] == [(2, 5)] * 4


def test_dropout_is_that_of_the_settings_in_heads_and_network():
    model = spec(exits=THREE, dropout=0.35).build_blank()
    assert {m.p for m in model.modules() if isinstance(m, nn.Dropout)} == {0.35}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"exits": "7"}, "no early exit behind group 7: this network has 7 groups"),
        ({"exits": "blocks.3,blocks.1"}, "out of order: blocks.1 runs before blocks.3"),
        ({"exits": "block.3"}, "unknown layer 'block.3': did you mean 'blocks.3'"),
        ({"exits": "classifier"}, "an exit behind the last layer is the final exit"),
        ({"head": "cnv"}, "unknown exit head 'cnv': did you mean 'conv'"),
        ({"head_settings": {"widht": 8}}, "setting of the head auto 'widht': did you mean 'width'"),
        ({"dropout": 1.5}, r"dropout must be in \[0, 1\), got 1.5"),
        ({"dropout": "much"}, "dropout must be a number, got 'much'"),
        ({"exit": "auto"}, "unknown model setting 'exit': did you mean 'exits'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        spec(**settings).build_blank()


def test_without_timm_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)  # as if it were not installed
    with pytest.raises(UsageError, match=r"need timm: pip install 'endoexit\[timm\]'"):
        NetworkSpec("timm:resnet18", 5, 64).build_blank()


def test_settings_of_a_name_are_those_of_the_catalog():
    config = model_config("efficientnet_lite2", head="linear")
    assert (config.network, config.exits, config.head) == ("efficientnet_lite2", "auto", "linear")
