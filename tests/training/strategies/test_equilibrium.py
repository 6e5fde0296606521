"""Gradient equilibrium: the published code's gradients, on a chain and on a small MSDNet."""

import pytest
import torch
from torch import nn

from endoexit.models import create_model
from endoexit.models.msdnet.config import MSDNetConfig
from endoexit.models.msdnet.network import MSDNet
from endoexit.models.msdnet.published import published_prefixes
from endoexit.models.published import load_published, published_names
from endoexit.models.staged import Stage, StagedClassifier
from endoexit.training.strategies.equilibrium import EquilibriumSettings
from endoexit.training.strategies.joint import JointSettings
from golden_losses import GOLDEN, shown
from golden_networks import fill, weights


class Times(nn.Module):
    """Multiply the last tensor of a state by one number, for a trunk or a head."""

    def __init__(self, factor, *, head):
        super().__init__()
        self.factor, self.head = nn.Parameter(torch.tensor(factor)), head

    def forward(self, state):
        result = state[-1] * self.factor
        return result if self.head else (result,)


@pytest.mark.parametrize("kind", ["plain", "equilibrium"])
def test_on_a_chain_gradients_are_those_of_the_published_code(kind):
    golden = GOLDEN["gradient_equilibrium_chain"]
    parts = zip(golden["w"], golden["v"], strict=True)
    stages = [Stage([Times(w, head=False)], Times(v, head=True)) for w, v in parts]
    model = StagedClassifier(stages, 1, 1).double()
    settings = JointSettings() if kind == "plain" else EquilibriumSettings()
    image = torch.full((1, 1, 1, 1), golden["x0"], dtype=torch.float64)
    total = sum(z.sum() for z in settings.build(4, 0.0).answers(model, shown(image)))
    total.backward()
    expected = golden[kind]
    assert total.item() == pytest.approx(expected["total"])
    trunks = [stage.trunk[0].factor.grad.item() for stage in stages]
    assert trunks == pytest.approx(expected["gradient_w"])
    heads = [stage.head.factor.grad.item() for stage in stages]
    assert heads == pytest.approx(expected["gradient_v"])


def test_on_msdnet_gradients_are_those_of_the_published_code():
    golden = GOLDEN["gradient_equilibrium_msdnet"]
    config = MSDNetConfig(blocks=3, base=2, step=2, factors=(1, 2, 4), bottleneck=(1, 2, 4),
                          width=8, growth=4, stem="plain", side=32, head_width=128)  # fmt: skip
    model = MSDNet(config, 10)
    names = published_names(model, published_prefixes(model))
    shapes = {names[key]: list(value.shape) for key, value in model.state_dict().items()}
    load_published(model, weights(shapes))
    model.double().train()
    strategy = EquilibriumSettings().build(3, 0.0)
    images = torch.from_numpy(fill.image(5, 4, 32)).double()
    loss = strategy(strategy.answers(model, shown(images)), torch.tensor(golden["labels"]))
    loss.backward()
    assert loss.item() == pytest.approx(golden["loss"], rel=1e-6)
    gradients = {names[key]: p.grad for key, p in model.named_parameters()}
    assert gradients.keys() == golden["gradients"].keys()
    for name, (norm, first) in golden["gradients"].items():
        assert gradients[name].norm().item() == pytest.approx(norm, rel=1e-5, abs=1e-9), name
        assert gradients[name].flatten()[0].item() == pytest.approx(first, rel=1e-4, abs=1e-7), name


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ee_hifuse_nano", {"width": 8, "heads": [1] * 4, "depths": [1] * 4}),
        ("efficientnet_lite0", {"exits": "3,5", "size": 32}),
    ],
)
def test_answers_heads_and_the_last_stage_are_those_of_the_joint_sum(name, settings):
    model = create_model(name, 3, **settings).eval()
    images, labels = torch.randn(2, 3, 32, 32), torch.tensor([0, 2])
    exits = model.num_stages
    gradients = []
    for each in (JointSettings(), EquilibriumSettings()):
        strategy = each.build(exits, 0.1)
        answers = strategy.answers(model, shown(images))
        gradients.append((answers, *backward(model, strategy(answers, labels))))
    (plain, heads, trunks), (fair, same, others) = gradients
    for a, b in zip(plain, fair, strict=True):
        assert torch.equal(a, b)
    for a, b in zip(heads, same, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(trunks[-1], others[-1], rtol=1e-4, atol=1e-6)
    assert others[0].norm() < 0.9 * trunks[0].norm()


def backward(model, loss):
    """Return the gradients of each head, and of each stage's trunk, as vectors."""
    model.zero_grad()
    loss.backward()

    def of(module):
        return torch.cat([p.grad.flatten() for p in module.parameters()]).clone()

    return [of(stage.head) for stage in model.stages], [of(stage.trunk) for stage in model.stages]
