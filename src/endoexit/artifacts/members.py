"""`MemberFacts`: what is kept of a run that another one was made from. No torch."""

from endoexit.documents import Record
from endoexit.models.origin import Origin


class MemberFacts(Record):
    """A member of a cascade, or the teacher of a training.

    Attributes:
        name: Name of the run's folder.
        network: Name of its network.
        size: Side in pixels of the images that it takes.
        exits: Numbers of its first and its last exit, from 1; those of a member in the cascade.
        weights_sha256: SHA-256 of its weights file.
        manifest_sha256: SHA-256 of the manifest that it was trained with.
        seed: Random seed of its training.
        command: Command line that trained it.
        starting_weights: Origin of the weights that its training began with.
    """

    name: str
    network: str
    size: int
    exits: tuple[int, int]
    weights_sha256: str
    manifest_sha256: str | None
    seed: int
    command: str
    starting_weights: Origin | None = None

    def lines(self, role: str) -> list[tuple[str, str]]:
        """Return name and value of each fact, for cards and reports.

        Args:
            role: Role of the run, such as "member 1" or "teacher".
        """
        first, last = self.exits
        exits = f"exit {first}" if first == last else f"exits {first} to {last}"
        what = f"{self.name}, {self.network} at {self.size}×{self.size} pixels, {exits}"
        facts = [
            (role, f"{what}; seed {self.seed}"),
            (f"weights of {role}, SHA-256", self.weights_sha256),
        ]
        if self.command:
            facts.append((f"{role} made by", self.command))
        if self.starting_weights is not None:
            for name, value in self.starting_weights.lines():
                facts.append((f"{role}, {name}", value))
        return facts
