"""Which level of folders is the class, and which one groups images: patients, videos."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from endoexit.data.labels import clean_label
from endoexit.errors import counted
from endoexit.naming import naming

Levels = Literal["class", "class/group", "group/class"]

# Folders of patients, videos and examinations are named so: `patient1`, `P-03`, `0017`, a date,
# a hash. Classes with a number (`grade-1`, `bbps-2-3`) are not.
_WORDS = "patient|patients|pat|pt|p|case|subject|subj|sub|s|study|video|vid|v|clip|seq|sequence"
_WORDED = re.compile(rf"(?:{_WORDS}|exam)[\s_.#-]*\d[\d\s_.-]*[a-z]?", re.IGNORECASE)
_NUMBERED = re.compile(rf"(?:{_WORDS}|exam|id|nr|no)?[\s_.#-]*\d[\d\s_.-]*[a-z]?", re.IGNORECASE)
_HASHED = re.compile(r"(?=.*\d)[0-9a-f-]{8,}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Placed:
    """A file and the folders that may say what it shows.

    Attributes:
        path: Path relative to the root.
        levels: Names of its folders, without those that are roles or `images`.
        part: Role that its folders give it; "" when none does.
    """

    path: str
    levels: tuple[str, ...]
    part: str


def choose_levels(files: Sequence[Placed]) -> Levels:
    """Return which folders are the classes, where the user did not say so.

    The last folder is the class, unless folders named like patients or videos are inside folders
    that are not, and these are two classes or more: then the upper folder is the class. Where every
    folder of a class is inside a folder with a word such as `patient3`, that one is a group.
    """
    if _in_groups(files):
        return "group/class"
    named = [file for file in files if _is_id(file.levels[-1])]
    if not named or not all(_above(file.levels) for file in named):
        return "class"
    classes = {label_and_group(file.levels, "class/group")[0] for file in files}
    return "class/group" if len(classes) > 1 else "class"


def _in_groups(files: Sequence[Placed]) -> bool:
    """Tell whether all files are in folders of classes inside folders of patients or videos.

    A number or a date alone is not enough: a year above the classes is no group.
    """
    if not all(len(file.levels) > 1 and _WORDED.fullmatch(file.levels[-2]) for file in files):
        return False
    groups, classes = ({file.levels[place] for file in files} for place in (-2, -1))
    return min(len(groups), len(classes)) > 1 and not any(map(_is_id, classes))


def label_and_group(
    levels: Sequence[str], meaning: Levels, *, asked: bool = False
) -> tuple[str, str]:
    """Return the label and the group of a file by its folders; the group may be "".

    Args:
        levels: Names of its folders.
        meaning: Meaning of the last two.
        asked: Whether the user named it: then the last folder is a group whatever its name.
    """
    label, group = levels[-1], ""
    if meaning == "class/group" and len(levels) > 1:
        above = _above(levels) or len(levels) - 1
        if asked:
            above = min(above, len(levels) - 1)
        label, group = levels[above - 1], levels[above] if above < len(levels) else ""
    elif meaning == "group/class" and len(levels) > 1:
        group = levels[-2]
    return clean_label(label), clean_label(group)


def level_notes(files: Sequence[Placed], meaning: Levels, asked: Levels | None) -> Iterator[str]:
    """Yield what a user should know of the meaning that folders were given."""
    if asked is not None:
        return
    pairs = {(file.levels[-2:], label_and_group(file.levels, meaning)) for file in files}
    if meaning != "class":
        labels = {label for _, (label, _) in pairs}
        groups = {group for _, (_, group) in pairs if group}
        example = "/".join(next(levels for levels, (_, group) in sorted(pairs) if group))
        such = naming().shown(f" such as {example}") or " in the folders of classes"
        yield (
            f"Folders{such} are taken for {meaning}: {counted(len(labels), 'class')}, "
            f"{counted(len(groups), 'group')}, equal names of groups are one group. If the last "
            "folder is the class and the upper one no group, say --levels class."
        )
        return
    parents: defaultdict[str, set[str]] = defaultdict(set)
    for levels, (label, _) in pairs:
        parents[label].add("/".join(levels))
    several = {label: sorted(where) for label, where in parents.items() if len(where) > 1}
    for label, where in sorted(several.items())[:1]:
        more = f" ({counted(len(several), 'such class')})" if len(several) > 1 else ""
        folders = naming().shown(f" ({', '.join(where[:2])})")
        yield (
            f"{counted(len(where), 'folder')} are called {label!r}{folders}: their images are one "
            f"class{more}. If the upper folder is the class and the last one a patient or video, "
            "say --levels class/group."
        )
    nested = sorted(levels for levels, _ in pairs if len(levels) > 1)
    if nested and not several:
        such = naming().shown(f" such as {'/'.join(nested[0])}") or " inside others"
        yield (
            f"Of folders{such} the last one is taken for the class: "
            f"{counted(len(parents), 'class')}. If it is a patient or video and the upper one the "
            "class, say --levels class/group."
        )


def _is_id(name: str) -> bool:
    return bool(_NUMBERED.fullmatch(name) or _HASHED.fullmatch(name))


def _above(levels: Sequence[str]) -> int:
    """Return how many levels remain without the last ones that look like patients or videos."""
    above = len(levels)
    while above and _is_id(levels[above - 1]):
        above -= 1
    return above
