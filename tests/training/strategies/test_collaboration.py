"""Inline collaboration and one-for-all distillation: IMTA's published numbers, and what learns."""

import copy

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

import tiny_project
from endoexit.errors import UsageError
from endoexit.exporting.export import ExportOptions, export_run
from endoexit.models import create_model
from endoexit.models.collaboration import collaborating
from endoexit.models.msdnet.config import MSDNetConfig
from endoexit.models.msdnet.network import MSDNet
from endoexit.models.msdnet.published import published_prefixes
from endoexit.models.published import published_names
from endoexit.runtime.session import open_session
from endoexit.training.checkpoint import SafetensorsCheckpointIO
from endoexit.training.fit import LAST, Machine, fit
from endoexit.training.recipe import read_recipe
from endoexit.training.start import create_run
from endoexit.training.strategies.adversarial import AdversarialSettings
from endoexit.training.strategies.collaboration import CollaborationSettings
from endoexit.training.strategies.equilibrium import EquilibriumSettings
from endoexit.training.strategies.joint import JointSettings
from endoexit.training.strategies.two_stage import TwoStageSettings
from golden_losses import GOLDEN, shown
from golden_networks import fill

CONFIG = MSDNetConfig(blocks=3, base=2, step=2, factors=(1, 2, 4), bottleneck=(1, 2, 4),
                      width=8, growth=4, stem="plain", side=32, head_width=128)  # fmt: skip
HIFUSE = {"width": 8, "heads": [1] * 4, "depths": [1] * 4}
TINY = {
    "ee_hifuse_nano": HIFUSE,
    "efficientnet_lite0": {"exits": "3,5", "size": 32},
    "msdnet_cifar10_7": {"blocks": 2},
    "b_lenet": {},
    "rdi_resnet38": {"depth": 4},
}


def filled(name, tensor):
    return torch.from_numpy(np.asarray(fill.fill(name, list(tensor.shape)))).to(tensor.dtype)


@pytest.fixture(scope="module")
def published():
    """Return IMTA's small network and its strategy, both with the published code's weights."""
    plain = MSDNet(CONFIG, 10)
    names = published_names(plain, published_prefixes(plain))
    plain.load_state_dict(
        {key: filled(f"net.{names[key]}", value) for key, value in plain.state_dict().items()}
    )
    alone = [copy.deepcopy(stage.head.classify) for stage in plain.stages]
    model = collaborating(plain)
    golden = GOLDEN["imta_collaboration"]
    strategy = CollaborationSettings(gamma=golden["gamma"], temperature=golden["T"]).build(3, 0.0)
    strategy.attach(model)
    strategy.alone = nn.ModuleList(alone)
    with torch.no_grad():
        for name, parameter in joining(model).items():
            parameter.copy_(filled(name, parameter))
        for number, stage in enumerate(model.stages):
            if stage.head.lift is not None:
                for part in ("running_mean", "running_var"):
                    buffer = getattr(stage.head.lift[1], part)
                    buffer.copy_(filled(f"isc_modules.{number - 1}.1.{part}", buffer))
    return model.double(), strategy.double()


def joining(model):
    """Return the parameters that the second part trains, by their published names."""
    parameters = {}
    for number, stage in enumerate(model.stages):
        parts = {f"classifier.{number}": stage.head.classify}
        if stage.head.lift is not None:
            parts |= {f"isc_modules.{number - 1}.{i}": stage.head.lift[i] for i in (0, 1)}
        for prefix, part in parts.items():
            parameters |= {f"{prefix}.{name}": p for name, p in part.named_parameters()}
    return parameters


def test_answers_loss_and_gradients_are_those_of_the_published_code(published):
    model, strategy = published
    golden = GOLDEN["imta_collaboration"]
    images = torch.from_numpy(fill.image(5, 4, 32)).double()
    for z, expected in zip(model.eval()(images), golden["logits_eval"], strict=True):
        torch.testing.assert_close(z, torch.tensor(expected, dtype=torch.float64), rtol=1e-6,
                                   atol=1e-9)  # fmt: skip
    model.train()  # as published, where batch normalisation is not frozen
    strategy.begin_epoch(2, 2)
    answers = strategy.answers(model, shown(images))
    *logits, frozen = answers
    for z, expected in zip(logits, golden["logits_train"], strict=True):
        torch.testing.assert_close(z, torch.tensor(expected, dtype=torch.float64), rtol=1e-6,
                                   atol=1e-9)  # fmt: skip
    expected = torch.tensor(golden["soft_target_train"], dtype=torch.float64)
    torch.testing.assert_close(frozen, expected, rtol=1e-6, atol=1e-9)
    loss = strategy(answers, torch.tensor(golden["labels"]))
    assert loss.item() == pytest.approx(golden["loss_train"], rel=1e-6)
    model.zero_grad()
    loss.backward()
    parameters = joining(model)
    assert parameters.keys() == golden["gradients"].keys()
    for name, (norm, first) in golden["gradients"].items():
        gradient = parameters[name].grad
        assert gradient.norm().item() == pytest.approx(norm, rel=1e-5, abs=1e-9), name
        assert gradient.flatten()[0].item() == pytest.approx(first, rel=1e-4, abs=1e-7), name
    learning = {id(parameter) for parameter in parameters.values()}
    assert all(p.grad is None for p in model.parameters() if id(p) not in learning)


@pytest.mark.parametrize("name", TINY)
def test_the_second_part_without_distillation_is_the_joint_sum(name):
    size = 28 if name == "b_lenet" else 32
    model = create_model(name, 3, **{"size": size} | TINY[name] | {"collaborate": True}).eval()
    exits = model.num_stages
    strategy = CollaborationSettings(gamma=0.0).build(exits, 0.1)
    strategy.attach(model)
    strategy.begin_epoch(2, 2)
    images, labels = torch.randn(2, 3, size, size), torch.tensor([0, 2])
    answers = strategy.answers(model, shown(images))
    for got, want in zip(answers[:exits], model(images), strict=True):
        torch.testing.assert_close(got, want)
    torch.testing.assert_close(
        strategy(answers, labels), JointSettings().build(exits, 0.1)(model(images), labels)
    )


def test_the_first_part_is_that_of_a_network_whose_exits_answer_alone():
    torch.manual_seed(0)
    model = create_model("ee_hifuse_nano", 3, **HIFUSE).eval()
    together = collaborating(copy.deepcopy(model))
    images, labels = torch.randn(2, 3, 32, 32), torch.tensor([0, 2])
    trunk = [p for stage in model.stages for p in stage.trunk.parameters()]
    same = [p for stage in together.stages for p in stage.trunk.parameters()]
    for balanced, plain in ((False, JointSettings()), (True, EquilibriumSettings())):
        strategy = CollaborationSettings(balanced=balanced).build(4, 0.1)
        strategy.attach(together)
        for layer, stage in zip(strategy.alone, model.stages, strict=True):
            layer.load_state_dict(stage.head.classify.state_dict())
        loss = strategy(strategy.answers(together, shown(images)), labels)
        reference = plain.build(4, 0.1)
        expected = reference(reference.answers(model, shown(images)), labels)
        torch.testing.assert_close(loss, expected)
        for got, want in zip(
            torch.autograd.grad(loss, same), torch.autograd.grad(expected, trunk), strict=True
        ):
            torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-6)
        assert not strategy.keeps


@pytest.fixture(scope="module")
def run(tiny_manifest, tmp_path_factory):
    recipe = tiny_project.write_recipe(tiny_manifest.parent)
    changes = ("strategy.name=collaboration", "epochs=2", "image={size: 32, canvas: 40}",
               "model.collaborate=true", "weight_average=0")  # fmt: skip
    settings = read_recipe(str(recipe), list(changes))
    path = tmp_path_factory.mktemp("collaboration") / "run"
    begun = create_run(path, tiny_manifest, "ee_hifuse_nano", settings, seed=0, root=None)
    return fit(begun, Machine(accelerator="cpu", threads=1))


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_every_backend_computes_the_same(run, tmp_path, backend):
    options = ExportOptions(backend, "f32", accept_drop=True)
    bundle = export_run(open_session(run), tmp_path / "bundle", options).bundle
    assert bundle.config.state.stages[0][0].name == "answer"
    manifest = run.manifest()
    ours = open_session(run, manifest=manifest).logits("test").logits
    theirs = open_session(bundle, manifest=manifest, out=tmp_path).logits("test").logits
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_the_run_keeps_the_tensors_of_its_network_alone(run, tiny_manifest, tmp_path):
    recipe = tiny_project.write_recipe(tiny_manifest.parent)
    kept = safetensors.torch.load_file(run.path / "weights.safetensors")
    assert kept.keys() == run.create_model().state_dict().keys()
    checkpoint = SafetensorsCheckpointIO().load_checkpoint(run.path / LAST)
    assert "loss.alone.3.weight" in checkpoint["state_dict"], "a resumed training needs it"
    with pytest.raises(UsageError, match=r"needs exits that read .* model\.collaborate=true"):
        create_run(tmp_path / "plain", tiny_manifest, "ee_hifuse_nano",
                   read_recipe(str(recipe), ["strategy.name=collaboration", "epochs=2"]),
                   seed=0, root=None)  # fmt: skip
    assert not (tmp_path / "plain").exists()


def test_what_rests_in_each_part():
    model = create_model("ee_hifuse_nano", 3, **HIFUSE, collaborate=True)
    strategy = CollaborationSettings().build(4, 0.0)
    strategy.attach(model)
    images, labels = torch.randn(2, 3, 32, 32), torch.tensor([0, 2])
    seen = []
    for epoch in (1, 2):
        strategy.begin_epoch(epoch, 2)
        model.zero_grad()
        strategy(strategy.answers(model, shown(images)), labels).backward()
        rests = {id(p) for part in strategy.resting(model) for p in part.parameters()}
        for name, parameter in model.named_parameters():
            assert (parameter.grad is None) == (id(parameter) in rests), name
        seen.append(rests)
    everything = {id(parameter) for parameter in model.parameters()}
    assert seen[0] | seen[1] == everything
    assert not seen[0] & seen[1]


@pytest.mark.parametrize("settings", [TwoStageSettings(), EquilibriumSettings()])
def test_other_strategies_by_parts_refuse_exits_that_collaborate(settings):
    model = create_model("ee_hifuse_nano", 3, **HIFUSE, collaborate=True)
    with pytest.raises(UsageError, match=rf"{settings.name} needs exits that answer alone"):
        settings.build(4, 0.0).attach(model)
    AdversarialSettings().build(4, 0.0).attach(model)  # any other trains them


def test_two_exits_and_two_epochs_are_the_least():
    settings = CollaborationSettings()
    with pytest.raises(UsageError, match="at least 2 exits"):
        settings.check(1)
    with pytest.raises(UsageError, match="collaboration needs an epoch for the trunk"):
        settings.check_epochs(1, None)
    with pytest.raises(UsageError, match="leave patience out"):
        settings.check_epochs(4, 3)
