"""The joint sum against the published code."""

from endoexit.training.strategies.joint import JointSettings
from golden_losses import GOLDEN, check, golden_logits


def test_loss_and_gradients_are_those_of_the_published_code():
    logits, labels = golden_logits("phuong_lampert")
    loss = JointSettings().build(3, 0.0)(logits, labels)
    check(loss, logits, GOLDEN["phuong_lampert"]["cases"]["classification_only"])
