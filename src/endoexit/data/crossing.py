"""Near-copies between parts of the data that should be independent: roles, folds."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from endoexit.data.duplicates import HASH_BITS, Pairs

FAR = HASH_BITS + 1  # a distance that no pair of hashes has


class Crossing:
    """How near each image's nearest copy is in each part; filled pair by pair.

    Attributes:
        names: Names of the parts that have an image, K of them.
        values: Index of each image's part, (N,); −1 for an image in none.
        bits: Bits to the nearest image of each part, (N, K) int16; `FAR` where none is near.
    """

    def __init__(self, parts: Sequence[str], names: Sequence[str]) -> None:
        """Take the part of each image; one that is not among `names` is in none."""
        present = set(parts)
        self.names = tuple(name for name in names if name in present)
        index = {name: number for number, name in enumerate(self.names)}
        self.values = np.array([index.get(part, -1) for part in parts], dtype=np.int64)
        self.bits = np.full((len(parts), len(self.names)), FAR, dtype=np.int16)

    def add(self, pairs: Pairs) -> None:
        """Take these pairs of near-copies into account, in both directions."""
        for images, copies in ((pairs.first, pairs.second), (pairs.second, pairs.first)):
            known = self.values[copies] >= 0
            at = images[known], self.values[copies[known]]
            np.minimum.at(self.bits, at, pairs.bits[known].astype(np.int16))

    def elsewhere(self) -> npt.NDArray[np.int16]:
        """Return the bits to the nearest image of another part, (N,); `FAR` outside of all."""
        bits = self.bits.copy()
        inside = np.flatnonzero(self.values >= 0)
        bits[inside, self.values[inside]] = FAR
        bits[self.values < 0] = FAR
        nearest: npt.NDArray[np.int16] = bits.min(axis=1, initial=FAR)
        return nearest

    def size(self, name: str) -> int:
        """Return how many images a part has."""
        return int((self.values == self.names.index(name)).sum())

    def within(self, of: str, among: str, bits: int) -> int:
        """Return how many images of part `of` have one of part `among` within so many bits."""
        members = self.values == self.names.index(of)
        return int((self.bits[members, self.names.index(among)] <= bits).sum())

    def ways(self) -> list[tuple[str, str]]:
        """Return (earlier, later) parts, such as (train, test): the ways that leaks go."""
        return [
            (earlier, later)
            for i, earlier in enumerate(self.names)
            for later in self.names[i + 1 :]
        ]
