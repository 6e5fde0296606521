"""Peers: their names, what must be installed, and that they compute what they say."""

import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from endoexit.bench import bench, peers
from endoexit.bench.peers import PEERS, choose_peers, open_peer, random_network
from endoexit.errors import UsageError
from endoexit.images.sheet import Sheet
from endoexit.models import NetworkSpec, list_models
from endoexit.precision import Precision
from tiny import CLASSES, PREPROCESSING, SETTINGS, SIDE, tiny_photos

TORCH = Precision("torch", "f32", "f32")
NETWORK = NetworkSpec("ee_hifuse_nano", len(CLASSES), SIDE, SETTINGS)


def absent(monkeypatch, *modules):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in modules else find(name)
    )


def test_a_cut_network_is_compared_with_itself_uncut():
    assert choose_peers(("eager",), "torch") == ["eager"]
    assert choose_peers(("eager",), "onnx") == ["eager", "onnx", "onnx-all-exits"]
    assert choose_peers(("openvino", "eager"), "openvino") == [
        "openvino", "eager", "openvino-all-exits"
    ]  # fmt: skip


def test_names_come_repeated_or_with_commas():
    names = ["eager", "hifuse_nano", "compile"]
    assert choose_peers(("eager, hifuse_nano", "compile", "eager"), "torch") == names
    assert choose_peers(("none",), "torch") == []
    assert choose_peers(("none",), "openvino") == ["openvino", "openvino-all-exits"]


def test_none_stands_alone():
    assert choose_peers(("none", "none"), "torch") == []
    with pytest.raises(UsageError, match="none asks for no peer, but --against also names eager:"):
        choose_peers(("none,eager",), "torch")


@pytest.mark.precision
def test_bf16_on_a_processor_without_it_is_refused_with_what_helps(monkeypatch):
    monkeypatch.setattr(peers, "has_bf16", lambda kind: False)
    remedy = "eager-bf16 computes in bf16, which this processor does not: leave it out of --against"
    with pytest.raises(UsageError, match=remedy):
        choose_peers(("eager-bf16",), "torch")
    assert choose_peers(("eager",), "torch") == ["eager"]


def test_the_default_is_what_is_installed_and_nothing_that_takes_minutes(monkeypatch):
    assert choose_peers((), "torch") == ["eager", "openvino", "onnx"]
    absent(monkeypatch, "onnxruntime")
    assert choose_peers((), "torch") == ["eager", "openvino"]
    assert "compile" in PEERS


@pytest.mark.parametrize(
    ("name", "near"),
    [("egaer", "eager"), ("hifuse_nanno", "hifuse_nano"), ("openvno", "openvino")],
)
def test_a_misspelt_peer_is_answered_by_the_nearest(name, near):
    with pytest.raises(UsageError, match=f"unknown peer '{name}': did you mean '{near}'"):
        choose_peers((name,), "torch")


@pytest.mark.parametrize(
    ("asked", "kind", "module", "extra"),
    [
        ("onnx", "torch", "onnxruntime", "onnx"),
        ("openvino", "torch", "openvino", "openvino"),
        ("hifuse_nano", "openvino", "openvino", "openvino"),  # computes as the subject does
    ],
)
def test_a_peer_that_is_not_installed_names_what_installs_it(
    monkeypatch, asked, kind, module, extra
):
    absent(monkeypatch, module)
    remedy = rf"the peer {asked} needs {module}.*pip install 'endoexit\[{extra}\]'"
    with pytest.raises(UsageError, match=remedy):
        choose_peers((asked,), kind)


def test_compile_without_a_compiler_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UsageError, match=r"needs a C\+\+ compiler: install g\+\+"):
        open_peer("compile", NETWORK, PREPROCESSING, TORCH, threads=1, folder=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["openvino", "openvino-all-exits", "onnx-all-exits"])
def test_uncut_graphs_answer_as_the_network_in_pytorch(name, tmp_path):
    pytest.importorskip("openvino" if "openvino" in name else "onnxruntime")
    images = tiny_photos(2)
    with torch.inference_mode():
        exits = random_network(NETWORK)(torch.from_numpy(PREPROCESSING.normalise(images)))
    peer = open_peer(name, NETWORK, PREPROCESSING, TORCH, threads=1, folder=tmp_path)
    backend = peer.engine.backend
    for rows in (slice(0, 1), slice(0, 2)):
        state, logits = backend.run(1, backend.start(PREPROCESSING.normalise(images[rows])))
        np.testing.assert_allclose(logits, exits[-1][rows], rtol=1e-3, atol=1e-4)
        if "all-exits" in name:
            assert len(state) == 3
            early = np.asarray(state[0] if "openvino" in name else state[0].numpy())
            np.testing.assert_allclose(early, exits[0][rows], rtol=1e-3, atol=1e-4)
        else:
            assert len(state) == 0
    # What an exporter traced must not stay behind in the network's own tables.
    eager = open_peer("eager", NETWORK, PREPROCESSING, TORCH, threads=1, folder=tmp_path)
    assert len(eager.engine.predict(images)) == 2


def test_eager_has_no_exit_heads_but_the_last():
    assert random_network(NETWORK, whole=True).num_stages == 1


def test_a_smaller_network_has_settings_of_its_own(tmp_path):
    large = NetworkSpec("ee_hifuse_mini", 3, SIDE, {"depths": [3, 3, 3, 3]})
    peer = open_peer("hifuse_nano", large, PREPROCESSING, TORCH, threads=1, folder=tmp_path)
    assert "hifuse_nano" in list_models()
    assert peer.what == "hifuse_nano in one piece, final exit only, eager PyTorch"
    assert peer.engine.preprocessing.size == SIDE
    assert peer.engine.backend.num_stages == 1


def test_a_named_peer_of_a_cascade_takes_the_largest_tile(tmp_path):
    sheet = Sheet.of([PREPROCESSING, PREPROCESSING.replaced(size=64)])
    subject = NetworkSpec("cascade", 3, sheet.size)
    peer = open_peer("hifuse_nano", subject, sheet, TORCH, threads=1, folder=tmp_path)
    assert peer.engine.preprocessing == sheet.view
    sheets = np.arange(2 * 96 * 96 * 3, dtype=np.uint8).reshape(2, 96, 96, 3)
    work = SimpleNamespace(
        images=SimpleNamespace(images=sheets), subject=SimpleNamespace(preprocessing=sheet)
    )
    np.testing.assert_array_equal(bench._Work._taken_by(work, peer), sheets[:, :64, :64])
