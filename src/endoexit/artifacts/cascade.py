"""A cascade as a run folder: put together from trained runs, never trained itself."""

from collections.abc import Sequence
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from endoexit.artifacts.model_card import write_card
from endoexit.artifacts.run import Run, RunConfig, open_run, write_run
from endoexit.artifacts.source import MANIFEST
from endoexit.data.manifest import copy_manifest
from endoexit.data.unseen import check_unseen
from endoexit.errors import RunError, UsageError, counted
from endoexit.files import replacing_folder, require_new_folder
from endoexit.images.preprocessing import Preprocessing
from endoexit.images.sheet import Sheet
from endoexit.machine import describe_machine, library_versions
from endoexit.progress import Track, silent

if TYPE_CHECKING:
    from endoexit.models.cascade import Combine, Tile
    from endoexit.models.staged import StagedClassifier


def make_cascade(
    runs: Sequence[Path],
    out: Path,
    combine: "Combine" = "last",
    *,
    command: str = "",
    track: Track = silent,
) -> Run:
    """Put trained runs together as the run folder of one classifier.

    Args:
        runs: Folders of the members, small to large. The manifest of the last one becomes that of
            the cascade.
        out: Folder of the cascade; it must not exist, or be empty.
        combine: Answer of exit k: `last` for its own, `mean` for the mean of the probabilities of
            exits 1 to k.
        command: Command line, for the record.
        track: Display of progress.

    Raises:
        UsageError: Fewer than two runs, one given twice, other classes, a large one before a
            small one, only some of them trained for int8, or a folder with content.
        RunError: One is a bundle or no run, its training has not ended, or its manifest is gone.
        DataError: One learnt from images that another keeps for calibrate, certify or test.
    """
    require_new_folder(out)
    members = _opened(runs)
    _check_classes(members)
    _check_order(members)
    _check_int8(members)
    manifests = {str(member.path): member.known_manifest() for member in members}
    kept = manifests[str(members[-1].path)]
    check_unseen(
        manifests,
        kept,
        str(members[-1].path),
        why="figures are of images that no member knows",
        track=track,
    )
    model, config = _network(members, combine)
    with replacing_folder(out) as building:
        copied = copy_manifest(kept, building / MANIFEST)
        config = config.replaced(manifest_sha256=copied.sha256, command=command)
        write_card(write_run(building, config, model), copied)
    return open_run(out)


def _opened(paths: Sequence[Path]) -> list[Run]:
    if len(paths) < 2:
        raise UsageError(
            f"a cascade has at least two members, got {counted(len(paths), 'run')}: name them "
            "from small to large."
        )
    if len({path.resolve() for path in paths}) < len(paths):
        raise UsageError("a run is named twice: name each member of a cascade once.")
    members = [open_run(path) for path in paths]
    for member in members:
        if member.config.members:
            names = ", ".join(facts.name for facts in member.config.members)
            raise UsageError(f"{member.path} is a cascade itself: name its members ({names}).")
        if not member.is_complete:
            raise RunError(
                f"the training of {member.path} has not ended: continue it with `endoexit train "
                f"--resume {member.path}`, then put the cascade together."
            )
    return members


def _check_classes(members: Sequence[Run]) -> None:
    last = members[-1]
    for member in members:
        if member.classes != last.classes:
            raise UsageError(
                f"members must know the same classes in the same order, but {member.path} knows "
                f"{', '.join(member.classes)} and {last.path} {', '.join(last.classes)}: train "
                "one of them again with the manifest of the other."
            )


def _check_order(members: Sequence[Run]) -> None:
    cost = {member.path: member.complexity.macs[-1] for member in members}
    for before, after in pairwise(members):
        if cost[before.path] > cost[after.path]:
            ordered = sorted(members, key=lambda member: cost[member.path])
            raise UsageError(
                f"members go from small to large, but {before.path} takes "
                f"{cost[before.path] / 1e9:.3g} GMACs and {after.path} after it "
                f"{cost[after.path] / 1e9:.3g}: name them as "
                f"{' '.join(str(member.path) for member in ordered)}."
            )


def _check_int8(members: Sequence[Run]) -> None:
    trained = [member for member in members if member.config.quantisation]
    if trained and len(trained) < len(members):
        other = next(member for member in members if not member.config.quantisation)
        raise UsageError(
            f"{trained[0].path} was trained for int8 and {other.path} was not, but one bundle "
            "holds all members: train each for int8 (`endoexit train --quantise int8 --start "
            "RUN`), or none."
        )


def _network(members: Sequence[Run], combine: "Combine") -> tuple["StagedClassifier", RunConfig]:
    """Return the network with the members' weights, and its settings."""
    from endoexit.models.cascade import NAME, Cascade, CascadeConfig, Member  # noqa: PLC0415

    preprocessing = Sheet.of([member.config.preprocessing for member in members])
    tiles = [_tile(member, preprocessing) for member in members]
    networks = [member.load_model() for member in members]
    model = Cascade(networks, tiles, preprocessing.size, combine)
    ends = list(accumulate(network.num_stages for network in networks))
    settings = CascadeConfig(
        tuple(
            Member(member.config.model, tile, member.config.overrides)
            for member, tile in zip(members, tiles, strict=True)
        ),
        combine,
    )
    config = RunConfig(
        model=NAME,
        overrides=settings.document(),
        classes=members[-1].classes,
        preprocessing=preprocessing,
        quantisation=tuple(chain.from_iterable(m.config.quantisation for m in members)),
        members=tuple(
            member.facts((end - network.num_stages + 1, end))
            for member, network, end in zip(members, networks, ends, strict=True)
        ),
        versions=library_versions(),
        machine=describe_machine(),
    )
    return model, config


def _tile(member: Run, sheet: Preprocessing) -> "Tile":
    preprocessing = member.config.preprocessing
    place = sheet.places[preprocessing] if isinstance(sheet, Sheet) else (0, 0)
    return (*place, preprocessing.size)
