"""What is wrong with a recipe, in words: where, why, and the nearest key."""

import difflib
from collections.abc import Sequence

from pydantic import BaseModel, ValidationError

from endoexit.errors import UsageError, unknown_name
from endoexit.training.strategies.catalog import STRATEGIES

_Place = Sequence[int | str]
_STRATEGY = "strategy"  # behind it, pydantic names the strategy, which users do not


def explained(error: ValidationError, recipe: type[BaseModel], source: str) -> UsageError:
    """Return the error that tells a user of the first fault.

    Args:
        error: What pydantic found.
        recipe: Record that the document was to fit.
        source: Name of the document.
    """
    first = error.errors()[0]
    place, key = _place_of(first["loc"])
    where = ".".join((*place, key))
    kind = first["type"]
    if kind == "extra_forbidden":
        return _unknown_key(recipe, source, first["loc"][:-1], key)
    if kind == "union_tag_invalid":
        return unknown_name(_STRATEGY, first["ctx"]["tag"], STRATEGIES)
    if kind == "union_tag_not_found":
        what = f"has no name: set {where}.name to one of {', '.join(STRATEGIES)}."
    elif kind == "missing":
        what = f"is missing: set it (--set {where}=...)."
    elif kind in {"model_type", "dict_type", "model_attributes_type"}:
        what = f"is a section, got the value {first['input']!r}: {_what_to_set(recipe, where)}."
    else:
        what = f"does not fit: {first['msg']}, got {first['input']!r}."
    return UsageError(f"recipe {source}: {where} {what}")


def _place_of(loc: _Place) -> tuple[list[str], str]:
    """Return sections and key of a fault as a user writes them."""
    parts = [str(part) for part in loc] or [""]
    if parts[0] == _STRATEGY:
        parts = [_STRATEGY, *parts[2:3]]
    return parts[:-1], parts[-1]


def _unknown_key(recipe: type[BaseModel], source: str, place: _Place, key: str) -> UsageError:
    known = _section(recipe, place).model_fields
    inside, _ = _place_of([*place, key])
    kind = f"key in recipe {source}" + (f", section {'.'.join(inside)}" if inside else "")
    if len(place) > len(inside):
        kind += f" of {place[-1]}"
    dotted = [f"{name}.{inner}" for name in known for inner in _keys_of(recipe, [*place, name])]
    same = [name for name in dotted if name.endswith(f".{key}")]
    near = same or difflib.get_close_matches(key, [*known, *dotted], n=1, cutoff=0.5)
    if near:
        return UsageError(f"unknown {kind} {key!r}: did you mean {near[0]!r}?")
    return unknown_name(kind, key, known)


def _what_to_set(recipe: type[BaseModel], section: str) -> str:
    if section == "model":
        return (
            "it holds settings of the network, such as model.drop_path; --model names the network"
        )
    return "set one of " + ", ".join(f"{section}.{key}" for key in _keys_of(recipe, [section]))


def _keys_of(recipe: type[BaseModel], place: _Place) -> list[str]:
    """Return the keys of a section; of a plain setting, none."""
    if list(place) == [_STRATEGY]:
        return list(dict.fromkeys(key for each in STRATEGIES.values() for key in each.model_fields))
    section = _section(recipe, place)
    return [] if section is _section(recipe, place[:-1]) else list(section.model_fields)


def _section(recipe: type[BaseModel], place: _Place) -> type[BaseModel]:
    """Return the record of a section; that of a strategy has its name behind `strategy`."""
    if len(place) > 1 and place[0] == _STRATEGY:
        return STRATEGIES[str(place[1])]
    section = recipe
    for name in place:
        inner = section.model_fields[str(name)].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        section = inner
    return section
