"""The catalog: networks by family, each at the size that it is meant for."""

import numpy as np
import pytest
import torch

from endoexit.errors import UsageError
from endoexit.exporting.export import ExportOptions, export_run
from endoexit.models import NetworkSpec, create_model, list_models
from endoexit.models.catalog import FAMILIES, family_of, meant_for
from endoexit.runtime.session import open_session
from endoexit.training.fit import Machine, fit
from endoexit.training.recipe import read_recipe
from endoexit.training.start import create_run

PUBLISHED = {
    "msdnet": {"msdnet_imagenet_k4", "msdnet_imagenet_k6", "msdnet_imagenet_k7",
               "msdnet_cifar10_7", "msdnet_cifar100_lin5", "phuong_lampert_msdnet"},
    "branchynet": {"b_lenet", "b_alexnet", "b_resnet110"},
    "rdi": {"rdi_resnet38", "rdi_mobilenetv2"},
    "bag_of_features": {"bof_cifar10"},
    "efficientnet_lite": {"efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"},
}  # fmt: skip


@pytest.mark.parametrize("family", PUBLISHED)
def test_networks_of_papers_have_their_names(family):
    assert PUBLISHED[family] <= set(FAMILIES[family].names)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_network_takes_the_size_that_it_is_meant_for(family):
    for name in FAMILIES[family].names:
        with torch.device("meta"):
            model = create_model(name, 3, size=meant_for(name))
        model.check_size(meant_for(name), meant_for(name))
        assert family_of(name) == family


def test_no_name_is_in_two_families():
    assert len(list_models()) == len(set(list_models()))


def test_a_network_of_one_size_names_it():
    with pytest.raises(UsageError, match=r"take 32×32 alone\. Set the size to 32"):
        NetworkSpec("b_alexnet", 3, 64).build_blank()


def test_lazy_msdnet_answers_alike_for_fewer_products():
    eager, lazy = (NetworkSpec("msdnet_cifar10_7", 3, 32, {"lazy": lazy}) for lazy in (False, True))
    first, second = eager.complexity.macs, lazy.complexity.macs
    assert all(b <= a for a, b in zip(first, second, strict=True))
    assert second[0] < first[0]
    assert first[-1] == second[-1]


SMALL = {
    "msdnet_imagenet_k4": ["model.blocks=3", "model.base=2", "model.step=2", "model.width=8",
                           "model.growth=4", "image.size=64", "image.canvas=64", "model.lazy=true"],
    "b_alexnet": [], "rdi_mobilenetv2": [], "bof_cifar10": [],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_published_network_is_trained_exported_and_answers(name, tiny_manifest, tmp_path):
    recipe = read_recipe("small-data", ["epochs=1", "batch_size=8", "image.size=32",
                                        "image.canvas=32", "image.early_share=0",
                                        "precision=32-true", *SMALL[name]])  # fmt: skip
    run = create_run(tmp_path / "run", tiny_manifest, name, recipe, seed=0, root=None)
    run = fit(run, Machine(accelerator="cpu", threads=1))
    bundle = export_run(
        open_session(run), tmp_path / "bundle", ExportOptions("openvino", "f32")
    ).bundle
    manifest = run.manifest()
    ours = open_session(run).logits("test").logits
    session = open_session(bundle, manifest=manifest, out=tmp_path / "logits")
    theirs = session.logits("test").logits
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3 * max(1, np.abs(a).max()))


def test_settings_are_checked():
    with pytest.raises(UsageError, match="unknown model setting 'lasy': did you mean 'lazy'"):
        create_model("msdnet_imagenet_k4", 3, lasy=True)
    with pytest.raises(UsageError, match="unknown model 'msdnet_k4'"):
        create_model("msdnet_k4", 3)
