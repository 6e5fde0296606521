"""How much of someone's own split leaks: groups that are in more than one of its folders."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from endoexit.data.crossing import Crossing
from endoexit.data.grouping import Pool
from endoexit.errors import counted


@dataclass(frozen=True, eq=False)
class Leak:
    """How much of someone's own split leaks.

    Attributes:
        threshold: Bits up to which two images are near-copies.
        crossing: Near-copies between the folders.
        groups: Number of groups that are in more than one folder.
        images: Number of images of these groups.
    """

    threshold: int
    crossing: Crossing
    groups: int
    images: int

    def __str__(self) -> str:
        """Return the size of the leak in words."""
        ways = []
        for earlier, later in self.crossing.ways():
            near = self.crossing.within(later, earlier, self.threshold)
            same = self.crossing.within(later, earlier, 0)
            total = self.crossing.size(later)
            ways.append(
                f"{near} of {counted(total, 'image')} of {later} ({100 * near / total:.1f} %) "
                f"with a near-copy ({self.threshold} bits) in {earlier}, {same} of them the same "
                "hash"
            )
        across = f"{counted(self.groups, 'group')} ({self.images} images) in more than one folder"
        return "; ".join([across, *ways])


def parts_by_group(pool: Pool) -> dict[str, set[str]]:
    """Return for each group the folders (train, val, test) that its images are in."""
    parts: defaultdict[str, set[str]] = defaultdict(set)
    for image, group in zip(pool.images, pool.groups, strict=True):
        parts[group].add(image.file.part)
    return dict(parts)


def measure_leak(pool: Pool, parts: Mapping[str, set[str]], threshold: int) -> Leak | None:
    """Return how much leaks; None where every group is in one folder.

    Args:
        pool: Images with their groups.
        parts: Folders of each group, see `parts_by_group`.
        threshold: Bits up to which two images are near-copies.
    """
    across = {group for group, folders in parts.items() if len(folders) > 1}
    if not across:
        return None
    images = sum(group in across for group in pool.groups)
    return Leak(threshold, pool.parts, len(across), images)
