"""Training on attacked images: what the attack may do, what it must leave alone, the loss."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional

from endoexit.images.preprocessing import Preprocessing
from endoexit.models import create_model
from endoexit.training.module import ExitTraining
from endoexit.training.recipe import Recipe
from endoexit.training.strategies.adversarial import AdversarialSettings
from endoexit.training.strategies.joint import JointSettings
from golden_losses import golden_logits, shown

MEAN, STD = 0.4, 0.25
LABELS = torch.tensor([0, 1, 2, 0])


@pytest.fixture
def model():
    torch.manual_seed(0)
    return create_model(
        "ee_hifuse_nano", 3, width=8, heads=(1, 1, 1, 1), depths=(1, 1, 1, 1), exits=(1,)
    ).train()


@pytest.fixture
def batch():
    pixels = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    return shown((pixels - MEAN) / STD, LABELS, MEAN, STD)


def harm(model, images):
    with torch.no_grad():
        return sum(functional.cross_entropy(z, LABELS) for z in model(images)).item()


@pytest.mark.parametrize("against", ["main", "average", "max-average"])
def test_an_attack_does_harm_within_its_bounds(model, batch, against):
    strategy = AdversarialSettings(attack=against, epsilon=0.03, step=0.01).build(2, 0.0)
    moved = strategy.attacked(model, batch)
    assert not moved.requires_grad
    before, after = (images * STD + MEAN for images in (batch.images, moved))
    assert 0.02 < (after - before).abs().max() < 0.03 + 1e-6
    assert after.min() > -1e-6
    assert after.max() < 1 + 1e-6
    model.eval()
    assert harm(model, moved) > harm(model, batch.images) + 0.05


def test_an_attack_leaves_the_network_as_it_was(model, batch):
    still = next(module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d))
    still.eval()  # as a frozen one is
    modes = [module.training for module in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    AdversarialSettings(steps=2).build(2, 0.0).attacked(model, batch)
    assert [module.training for module in model.modules()] == modes
    assert False in modes
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert all(parameter.grad is None for parameter in model.parameters())


def test_half_of_the_loss_is_that_of_the_attacked_images():
    clean, labels = golden_logits("phuong_lampert")
    attacked = [z.detach() + 1.5 * torch.randn_like(z) for z in clean]
    joint = JointSettings().build(3, 0.1)
    loss = AdversarialSettings().build(3, 0.1)([*clean, *attacked], labels)
    torch.testing.assert_close(loss, (joint(clean, labels) + joint(attacked, labels)) / 2)
    quarter = AdversarialSettings(alpha=0.25).build(3, 0.1)([*clean, *attacked], labels)
    torch.testing.assert_close(
        quarter, 0.75 * joint(clean, labels) + 0.25 * joint(attacked, labels)
    )


def test_it_is_the_joint_sum_where_nothing_is_attacked(model, batch):
    strategy = AdversarialSettings(alpha=0).build(2, 0.1)
    logits = strategy.answers(model.eval(), batch)
    assert len(logits) == 2
    joint = JointSettings().build(2, 0.1)
    assert torch.equal(strategy(logits, LABELS), joint(logits, LABELS))


def test_a_step_learns_and_can_be_taken_again(model):
    recipe = {"image": {"size": 32, "canvas": 40}, "strategy": {"name": "adversarial", "steps": 1}}
    preprocessing = Preprocessing(size=32, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    module = ExitTraining(model, Recipe.model_validate(recipe), preprocessing, 7)
    module._trainer = SimpleNamespace(
        training=True, global_step=5, global_rank=0, current_epoch=0, is_last_batch=False
    )
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    losses = []
    for _ in range(2):
        model.load_state_dict(state)
        seen = module.on_after_batch_transfer((images, LABELS), 0)
        losses.append(module.training_step(seen, 0))
    assert losses[0] == losses[1]
    losses[1].backward()
    assert all(parameter.grad is not None for parameter in model.stages[0].parameters())


class Inside(torch.nn.Module):
    """A network that normalises its images itself."""

    def __init__(self, model):
        super().__init__()
        self.model, self.num_stages = model, model.num_stages

    def forward(self, images):
        return self.model((images - MEAN) / STD)


def test_it_is_the_same_attack_where_the_network_normalises_its_images_itself(model, batch):
    pixels = batch.images * STD + MEAN
    strategy = AdversarialSettings(attack="main", steps=3).build(2, 0.0)
    torch.manual_seed(3)
    outside = strategy.attacked(model, batch) * STD + MEAN
    torch.manual_seed(3)
    inside = strategy.attacked(Inside(model), shown(pixels, LABELS))
    same = (inside - outside).abs() < 1e-5
    assert same.float().mean() > 0.99, "a sign may differ where a gradient is almost 0"
