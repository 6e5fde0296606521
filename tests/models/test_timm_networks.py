"""Networks of timm: found by name, cut, trained, exported; skipped where timm is not installed."""

import numpy as np
import pytest
import torch

import timm_operators  # noqa: F401  (before what imports torchvision)
from endoexit.errors import ModelError, UsageError
from endoexit.exporting.export import ExportOptions, export_run
from endoexit.models import NetworkSpec, timm_networks
from endoexit.models.quantised import simplified
from endoexit.models.starting import read_start, start_from
from endoexit.runtime.session import open_session
from endoexit.training.fit import Machine, fit
from endoexit.training.recipe import read_recipe
from endoexit.training.start import create_run

timm = pytest.importorskip("timm", exc_type=ImportError)

SMALL = {
    "tf_efficientnet_lite0": 64, "efficientnet_b0": 64, "mobilenetv3_small_100": 64,
    "mobilenetv3_large_100": 64, "resnet18": 64, "convnext_atto": 64, "regnety_002": 64,
    "vit_tiny_patch16_224": 64, "mobilevit_xs": 64, "repvgg_a0": 64,
}  # fmt: skip
LARGE = {
    "tf_efficientnet_lite1": 64, "tf_efficientnet_lite2": 64, "resnet50": 64,
    "convnext_tiny": 64, "swin_tiny_patch4_window7_224": 112,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "size"),
    [*SMALL.items(), *(pytest.param(*case, marks=pytest.mark.slow) for case in LARGE.items())],
)
def test_stages_answer_as_the_whole_network_and_learn(name, size):
    torch.manual_seed(0)
    whole = timm_networks.make(name, 3, size).eval()
    torch.manual_seed(0)
    staged = NetworkSpec(f"timm:{name}", 3, size).build().eval()
    assert staged.num_stages >= 3
    images = torch.randn(2, 3, size, size)
    with torch.inference_mode():
        expected, logits = whole(images), staged(images)
    torch.testing.assert_close(logits[-1], expected, rtol=1e-4, atol=1e-5)
    assert all(z.shape == (2, 3) for z in logits)
    sum(z.square().sum() for z in staged.train()(images)).backward()
    assert [n for n, p in staged.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenetv3_small_100", "repvgg_a0"])
def test_a_network_is_trained_exported_and_answers(name, tiny_manifest, tmp_path):
    changes = ("epochs=1", "batch_size=8", "image.size=32", "image.canvas=32",
               "precision=32-true")  # fmt: skip
    recipe = read_recipe("fine-tune", changes)
    run = create_run(tmp_path / "run", tiny_manifest, f"timm:{name}", recipe, seed=0, root=None)
    run = fit(run, Machine(accelerator="cpu", threads=1))
    manifest = run.manifest()
    ours = open_session(run).logits("test").logits
    for precision, tolerance in (("f32", 1e-3), ("int8", 1.0)):
        options = ExportOptions("openvino", precision, accept_drop=True)
        bundle = export_run(open_session(run), tmp_path / precision, options).bundle
        theirs = (
            open_session(bundle, manifest=manifest, out=tmp_path / "logits").logits("test").logits
        )
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, atol=tolerance * max(1, np.abs(a).max()))


def test_repvgg_is_exported_with_one_convolution_a_block():
    torch.manual_seed(0)
    model = NetworkSpec("timm:repvgg_a0", 3, 32).build().eval()
    images = torch.randn(2, 3, 32, 32)
    before = sum(p.numel() for p in model.parameters())
    with torch.inference_mode():
        expected = model(images)
        logits = simplified(model)(images)
    for a, b in zip(expected, logits, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    after = sum(p.numel() for p in simplified(model).parameters())
    assert after < before
    assert sum(p.numel() for p in model.parameters()) == before  # a copy was simplified


def test_a_misspelt_name_is_answered_by_the_nearest():
    with pytest.raises(UsageError, match="unknown network of timm 'resnet_18': did you mean"):
        NetworkSpec("timm:resnet_18", 3, 64).build_blank()


def test_a_size_that_a_network_cannot_take_names_the_nearest():
    with pytest.raises(UsageError, match=r"cannot take images of 8×8 pixels.*takes is 16\."):
        NetworkSpec("timm:vit_tiny_patch16_224", 3, 8).build_blank()


def test_what_timm_knows_of_weights_goes_along(tmp_path):
    spec = NetworkSpec("timm:mobilenetv3_small_100", 3, 64, {"exits": "2,4"})
    path = tmp_path / "weights.pth"
    torch.save(timm_networks.make("mobilenetv3_small_100", 7, 64).state_dict(), path)
    _, origin = start_from(spec, read_start(str(path), spec))
    assert origin.mean == (0.485, 0.456, 0.406)
    assert origin.licence == "not stated"  # of a file that can be anyone's
    assert set(origin.fresh) == {"classifier.weight", "classifier.bias"}
    hub = timm_networks.origin("mobilenetv3_small_100", "timm")
    assert hub.licence.lower() == "apache-2.0"
    assert "mobilenetv3_small_100" in hub.origin


def test_weights_that_cannot_be_fetched_name_the_other_way(monkeypatch):
    def unreachable(*_, **__):
        raise OSError("no route to the hub")

    monkeypatch.setattr(timm, "create_model", unreachable)
    spec = NetworkSpec("timm:resnet18", 3, 64)
    with pytest.raises(ModelError, match=r"cannot fetch .*no route to the hub.*--weights FILE"):
        start_from(spec, read_start("timm", spec))
