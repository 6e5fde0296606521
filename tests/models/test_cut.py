"""Any network cut into stages answers as a whole, and bad cuts are refused by name."""

import pytest
import torch
from torch import Tensor, nn

from endoexit.errors import ModelError, UsageError
from endoexit.models.cost import measure_complexity
from endoexit.models.cut import with_exits

SIDE = 32


class Plain(nn.Module):
    """A chain of three layers and a classifier."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.layer1 = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        )
        self.layer2 = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU(inplace=True))
        self.layer3 = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU(inplace=True))
        self.fc = nn.Linear(16, classes)

    def forward(self, x: Tensor, scale: float | None = None) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(x)))
        if scale is not None:
            x = x * scale
        return self.fc(x.mean((2, 3)))


class Skips(nn.Module):
    """A network whose first map is used again at its end, past two cuts."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, 2, 1)
        self.second = nn.Conv2d(6, 6, 3, 1, 1)
        self.third = nn.Conv2d(6, 6, 3, 1, 1)
        self.shift = nn.Parameter(torch.randn(1, 6, 1, 1))
        self.last = nn.Conv2d(12, 8, 1)
        self.fc = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        a = self.first(x) + self.shift
        b = self.second(a)
        c = self.third(b) * self.shift
        return self.fc(self.last(torch.cat([a, c], 1)).amax((2, 3)))


class Branches(nn.Module):
    """A network whose work depends on the values of the images."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, 2, 1)
        self.second = nn.Conv2d(4, 4, 3, 2, 1)
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if x.mean() > 0:
            x = -x
        return self.fc(self.second(x).mean((2, 3)))


class Hidden(nn.Module):
    """The same kind of work inside a layer of its own, which need not be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, 2, 1)
        self.inner = Turn()
        self.second = nn.Conv2d(4, 4, 3, 2, 1)
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.second(self.inner(self.first(x))).mean((2, 3)))


class Turn(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return -x if x.mean() > 0 else x


class Tokens(nn.Module):
    """A network over tokens (B, N, C), with a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 8, 8)
        self.place = nn.Parameter(torch.randn(1, 16, 8))
        self.blocks = nn.Sequential(
            *(nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8)) for _ in range(3))
        )
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2) + self.place
        return self.fc(self.blocks(x).mean(1))


CASES = {
    "plain": (Plain, ["layer1", "layer2"], 4),
    "inside a layer": (Plain, ["layer1.0", "layer2.0"], 4),
    "skips": (Skips, ["first", "second", "third"], 3),
    "hidden": (Hidden, ["first", "inner"], 3),
    "tokens": (Tokens, ["blocks.0", "blocks.1"], 5),
}


@pytest.mark.parametrize("case", CASES)
def test_the_stages_give_what_the_whole_network_gives(case):
    build, at, classes = CASES[case]
    whole = build().eval()
    images = torch.randn(3, 3, SIDE, SIDE)
    with torch.inference_mode():
        expected = whole(images)
        staged = with_exits(whole, at, classes, size=SIDE).eval()
        logits = staged(images)
    assert len(logits) == len(at) + 1
    assert logits[-1].equal(expected)
    assert all(z.shape == (3, classes) for z in logits)


@pytest.mark.parametrize("case", CASES)
def test_every_state_has_the_batch_first_and_rows_do_not_mix(case):
    """What the engine gathers: the state of some images is that of those images alone."""
    build, at, classes = CASES[case]
    if case == "hidden":
        pytest.skip("what this network does depends on the other images of the batch")
    staged = with_exits(build().eval(), at, classes, size=SIDE).eval()
    images = torch.randn(3, 3, SIDE, SIDE)
    rows = torch.tensor([2, 0])
    whole, some = (images,), (images[rows],)
    with torch.inference_mode():
        for number in range(1, staged.num_stages + 1):
            whole, logits = staged.stage(number, whole)
            some, logits_some = staged.stage(number, some)
            torch.testing.assert_close(logits[rows], logits_some)
            for a, b in zip(whole, some, strict=True):
                torch.testing.assert_close(a[rows], b)


@pytest.mark.parametrize("case", CASES)
def test_every_parameter_learns_and_no_exit_breaks_anothers_gradient(case):
    build, at, classes = CASES[case]
    staged = with_exits(build(), at, classes, size=SIDE)
    sum(z.square().sum() for z in staged(torch.randn(2, 3, SIDE, SIDE))).backward()
    assert [name for name, p in staged.named_parameters() if p.grad is None] == []


def test_a_tensor_that_is_needed_later_travels_past_the_stages_between():
    staged = with_exits(Skips(), ["first", "second", "third"], 3, size=SIDE)
    state, widths = (torch.zeros(1, 3, SIDE, SIDE),), []
    for number in range(1, 4):
        state, _ = staged.stage(number, state)
        widths.append([tensor.shape[1] for tensor in state])
    assert widths == [[6], [6, 6], [6, 6]]


def test_weights_are_those_of_the_network():
    whole = Plain()
    staged = with_exits(whole, ["layer1"], 4, size=SIDE)
    assert {id(p) for p in whole.parameters()} <= {id(p) for p in staged.parameters()}


def test_another_number_of_classes_gets_a_new_last_layer():
    staged = with_exits(Plain(1000), ["layer1"], 7, size=SIDE).eval()
    assert [z.shape[1] for z in staged(torch.zeros(1, 3, SIDE, SIDE))] == [7, 7]


def test_a_network_without_memory_is_cut_and_counted():
    with torch.device("meta"):
        staged = with_exits(Plain(), ["layer1", "layer2"], 4, "linear", size=SIDE)
    # Convolutions of 3×3 at 16×16, 8×8 and 4×4 pixels; the heads' linear layers.
    expected = [16 * 16 * 27 * 8 + 8 * 4]
    expected.append(expected[-1] + 8 * 8 * 72 * 8 + 8 * 4)
    expected.append(expected[-1] + 4 * 4 * 72 * 16 + 16 * 4)
    assert list(measure_complexity(staged, SIDE).macs) == expected


@pytest.mark.parametrize(
    ("build", "at", "message"),
    [
        (Plain, ["layer4"], "did you mean 'layer"),
        (Plain, ["layer2", "layer1"], "layer1 runs before layer2"),
        (Plain, ["layer1", "layer1.2"], "no layer between"),
        (Plain, ["layer1", "layer1"], "twice"),
        (Plain, ["fc"], "behind the last layer"),
        (Plain, [], "name at least one"),
    ],
)
def test_cuts_that_make_no_stage_are_refused(build, at, message):
    with pytest.raises(UsageError, match=message):
        with_exits(build(), at, 4, size=SIDE)


def test_work_that_depends_on_values_is_named_with_the_remedy():
    with pytest.raises(ModelError, match=r"depends on the images' values.*layer by itself"):
        with_exits(Branches(), ["first"], 3, size=SIDE)


def test_a_size_that_the_network_cannot_take_is_refused():
    with pytest.raises(UsageError, match="cannot take images of 4×4"):
        with_exits(Tokens(), ["blocks.0"], 5, size=4)
