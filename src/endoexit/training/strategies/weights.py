"""Weights of the exits in a loss: numbers, or a scheme that fits any number of exits."""

from typing import Annotated, Literal, get_args

from pydantic import Field

from endoexit.errors import UsageError

Scheme = Literal["equal", "linear", "pabee", "sdn", "branchynet", "eenet"]
ExitWeights = Scheme | Annotated[tuple[float, ...], Field(min_length=1)]
"""Name of a scheme, or one number for each exit; see `weights_of`."""

_SDN_LARGEST = 0.9
_SDN_START = 0.01
_BRANCHYNET_LAST = 0.3


def weights_of(weights: ExitWeights, exits: int, epoch: int = 1, epochs: int = 1) -> list[float]:
    """Return the weight of each of M exits.

    The schemes are:

    - `equal`: 1 each (EE-HiFuse, Eq 14).
    - `linear`: k / M, so that the final exit counts most.
    - `pabee`: k / (1 + … + M), which is `linear` with the sum 1 (Zhou et al., NeurIPS 2020).
    - `sdn`: a ramp over the epochs e of E, min(m, 0.01 + e·m / E) for the early exits with
      m = 0.9 k / (M − 1), and 1 for the final one (Kaya et al., ICML 2019, who have M = 7).
    - `branchynet`: 1 for the early exits and 0.3 for the final one (Teerapittayanon et al., ICPR
      2016, section V-A, for two exits).
    - `eenet`: k / (M (M + 1)), which is half of `pabee` (Ilhan et al., WACV 2024).

    Args:
        weights: Name of a scheme, or the numbers themselves.
        exits: Number of exits M.
        epoch: Number of the epoch, from 1.
        epochs: Number of epochs E.

    Raises:
        UsageError: Not one number for each exit, one is negative, or the last is 0.
    """
    if not isinstance(weights, str):
        return _checked(weights, exits)
    if weights == "sdn":
        largest = [_SDN_LARGEST * k / (exits - 1) for k in range(1, exits)]
        return [min(m, _SDN_START + epoch * m / epochs) for m in largest] + [1.0]
    numbers = range(1, exits + 1)
    schemes = {
        "equal": [1.0] * exits,
        "linear": [k / exits for k in numbers],
        "pabee": [k / sum(numbers) for k in numbers],
        "eenet": [k / (2 * sum(numbers)) for k in numbers],
        "branchynet": [1.0] * (exits - 1) + [_BRANCHYNET_LAST],
    }
    return schemes[weights]


def _checked(weights: tuple[float, ...], exits: int) -> list[float]:
    if len(weights) != exits or min(weights) < 0 or weights[-1] == 0:
        raise UsageError(
            f"strategy.weights must be {exits} numbers, one an exit, none negative and the last "
            f"above 0, or one of {', '.join(get_args(Scheme))}; got {list(weights)}."
        )
    return list(weights)
