"""What each exit of a network costs: true parameters and true multiply-adds.

One multiply-add is one MAC, which is two FLOPs. Networks are counted on tensors
without memory, so the size of a network costs neither memory nor time.
"""

from dataclasses import dataclass

from torch.utils.flop_counter import FlopCounterMode

from endoexit.models.dry_run import BATCH, blank_images, dry_run
from endoexit.models.staged import StagedClassifier

LEFT_OUT = (
    "True counts hold every product of convolutions, linear layers and attention (query × key, "
    "weight × value) of stages 1 to k and of exit heads 1 to k. They leave out the additions of "
    "biases and residuals, normalisations, activations, softmax, pooling, and the products that "
    "apply channel and spatial gates. Parameters are all trained numbers; the running statistics "
    "of batch normalisation are not among them."
)


@dataclass(frozen=True)
class Complexity:
    """What exiting at each exit costs, everything before it included.

    Attributes:
        parameters: (M,) parameters of stages 1 to k with their heads.
        macs: (M,) multiply-adds of one image.
        size: Side in pixels of the square image.
    """

    parameters: tuple[int, ...]
    macs: tuple[int, ...]
    size: int

    def mean_macs(self, shares: tuple[float, ...]) -> float:
        """Return the mean multiply-adds of an image when `shares` (M,) exit at each exit."""
        return sum(share * macs for share, macs in zip(shares, self.macs, strict=True))


def measure_complexity(model: StagedClassifier, size: int) -> Complexity:
    """Count the parameters and multiply-adds of every exit; see `LEFT_OUT`.

    Args:
        model: Network, which is neither run nor changed.
        size: Side in pixels of the square image.

    Raises:
        UsageError: Images of this size do not fit the network.
    """
    model.check_size(size, size)
    state = blank_images(size)
    seen: dict[int, int] = {}
    parameters, macs, total = [], [], 0
    for stage in model.stages:
        with FlopCounterMode(display=False) as counter:
            state = dry_run(stage, state)
        total += counter.get_total_flops() // (2 * BATCH)
        seen |= {id(parameter): parameter.numel() for parameter in stage.parameters()}
        macs.append(total)
        parameters.append(sum(seen.values()))
    return Complexity(tuple(parameters), tuple(macs), size)
