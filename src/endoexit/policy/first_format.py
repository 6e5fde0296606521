"""Reading the `policy.json` of the first release, `endoexit-policy-1`."""

from typing import Any

from endoexit.errors import PolicyError, UsageError
from endoexit.policy.confidence import CONFIDENCES
from endoexit.policy.goal_options import make_goal

FIRST, CURRENT = "endoexit-policy-1", "endoexit-policy-2"
_NUMBERS = ("thresholds", "patience", "exit")


def current_form(document: Any) -> Any:
    """Return a policy document in the form that `ExitPolicy` holds.

    The first release wrote the numbers of the rule into the policy itself and into each point of
    the front, and the goal as options of the command line. Anything else is returned as it is.

    Args:
        document: Policy as read from JSON.

    Raises:
        PolicyError: A newer format, or a goal that cannot be read.
    """
    if not isinstance(document, dict):
        return document
    version = document.get("format", CURRENT)
    if version not in (FIRST, CURRENT):
        raise PolicyError(
            f"the exit policy has the format {version!r}, and this endoexit reads {FIRST} and "
            f"{CURRENT}: update endoexit, or make the policy again with `endoexit calibrate`."
        )
    if version != FIRST:
        return document
    request = document.get("request")
    rules = request.get("rules") if isinstance(request, dict) else None
    tried = rules.get("rule") if isinstance(rules, dict) else None
    changed: dict[str, Any] = {"format": CURRENT, "rule": _rule(document, document.get("rule"))}
    if isinstance(request, dict):
        changed["request"] = request | {"goal": _goal(request.get("goal"))}
    if isinstance(front := document.get("front"), (list, tuple)):
        changed["front"] = [_point(point, tried or document.get("rule")) for point in front]
    return {key: value for key, value in document.items() if key not in _NUMBERS} | changed


def _rule(fields: dict[str, Any], kind: Any) -> dict[str, Any]:
    """Return the numbers that were given, as a rule; the rule refuses those that it lacks."""
    rule = {"kind": kind}
    if kind in CONFIDENCES:
        rule["thresholds"] = fields.get("thresholds", ())
    elif fields.get("thresholds"):
        rule["thresholds"] = fields["thresholds"]
    for name in ("patience", "exit"):
        if fields.get(name) is not None:
            rule[name] = fields[name]
    return rule


def _point(point: Any, kind: Any) -> Any:
    if not isinstance(point, dict):
        return point
    rest = {key: value for key, value in point.items() if key not in _NUMBERS}
    return rest | {"rule": _rule(point, kind)}


def _goal(options: Any) -> Any:
    if not isinstance(options, dict):
        return options
    try:
        return make_goal(**options)
    except (TypeError, UsageError) as error:
        raise PolicyError(
            f"not a valid exit policy: the goal of its request cannot be read: {error}. "
            "Make it again with `endoexit calibrate`."
        ) from error
