"""`endoexit calibrate`: find the exit policy for a goal, and prove what it promises."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from endoexit.cli.console import (
    CacheOption,
    JsonOption,
    ManifestOption,
    NamesKeyOption,
    NamesOption,
    Output,
    PrecisionOption,
    name_images,
    progress,
)

if TYPE_CHECKING:
    from endoexit.evaluation.fitting import Calibrated


def calibrate(
    run: Annotated[Path, typer.Argument(help="Run folder of `endoexit train`.")],
    *,
    max_ms: Annotated[
        float | None, typer.Option(help="Goal: best accuracy in this mean time of an image.")
    ] = None,
    max_macs: Annotated[
        float | None,
        typer.Option(help="Goal: best accuracy with this mean of multiply-adds."),
    ] = None,
    mean_exit_cost: Annotated[
        float | None,
        typer.Option(help="Goal: best accuracy at this share of the whole network's cost."),
    ] = None,
    min_accuracy: Annotated[
        float | None, typer.Option(help="Goal: least cost with this accuracy on calibrate.")
    ] = None,
    max_accuracy_drop: Annotated[
        float | None,
        typer.Option(help="Goal: least cost with at most this much less than the final exit."),
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help='Goal: a batch in time, "1000 images, 60 seconds".')
    ] = None,
    deadline_ms: Annotated[
        float | None, typer.Option(help="Goal: the last exit that finishes in this time.")
    ] = None,
    guarantee: Annotated[
        list[str] | None,
        typer.Option(
            help='Goal: least cost with "disagreement<=0.02", "accuracy_loss<=0.01", '
            '"missed[polyp]<=0.01", "error<=0.05", "sensitivity[polyp]>=0.95" or '
            '"specificity[polyp]>=0.9" on new images; several hold at once.'
        ),
    ] = None,
    delta: Annotated[
        float | None,
        typer.Option(help="Chance that the guarantee fails.  [default: 0.05]"),
    ] = None,
    unit: Annotated[
        Literal["auto", "image", "group"] | None,
        typer.Option(
            help="Unit that counts as one draw for the guarantee; auto takes groups where a "
            "certify group holds several images.  [default: auto]"
        ),
    ] = None,
    max_referral: Annotated[
        float | None,
        typer.Option(
            help="Largest share of images that may be referred to a human, so that the guarantee "
            "holds for the answered ones."
        ),
    ] = None,
    refer_unlike: Annotated[
        float | None,
        typer.Option(
            help="Largest share of good images that are referred for looking unlike those of "
            "calibrate.  [default: none]"
        ),
    ] = None,
    unlike_by: Annotated[
        Literal["energy", "mahalanobis"] | None,
        typer.Option(
            help="Measure of looking unlike: the energy of the answers, or the distance of the "
            "features at exit 1, which needs the train images.  [default: energy]"
        ),
    ] = None,
    rule: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Rule that decides whether an image exits: a confidence (max_probability, "
            "entropy, margin), a gate that is fitted on calibrate (linear_gate, jei_dnn, eenet), "
            "patience or fixed.",
        ),
    ] = "max_probability",
    thresholds: Annotated[
        Literal["per-exit", "shared", "geometric"] | None,
        typer.Option(help="Which thresholds are tried.  [default: per-exit; budget: geometric]"),
    ] = None,
    candidates: Annotated[
        int | None, typer.Option(min=2, help="Thresholds tried at each exit.  [default: 40]")
    ] = None,
    temperature: Annotated[bool, typer.Option(help="Fit a temperature for each exit.")] = True,
    cost: Annotated[
        Literal["macs", "ms"] | None,
        typer.Option(
            help="Unit of costs; ms needs times that `evaluate` measured.  [default: as the goal]"
        ),
    ] = None,
    manifest: ManifestOption = None,
    precision: PrecisionOption = None,
    device: Annotated[
        Literal["cpu", "cuda"], typer.Option(help="Device that computes the logits.")
    ] = "cpu",
    cache: CacheOption = None,
    names: NamesOption = "path",
    names_key: NamesKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the exit policy for one goal and write `policy.json` into the run.

    Temperatures and thresholds come from the images with the role calibrate. A guarantee is
    proven on images with the role certify: with probability 1 − delta it holds for new images from
    the same source. If no policy with early exits can be proven, every image uses the final exit,
    and a warning says so. The command is refused if not even the final exit can be proven.

    Example: `endoexit calibrate runs/nano --guarantee "disagreement<=0.05"`
    """
    from endoexit.policy.goal_options import make_goal
    from endoexit.policy.options import RuleOptions

    goal = make_goal(
        max_ms=max_ms,
        max_macs=max_macs,
        mean_exit_cost=mean_exit_cost,
        min_accuracy=min_accuracy,
        max_accuracy_drop=max_accuracy_drop,
        budget=budget,
        deadline_ms=deadline_ms,
        guarantee=guarantee or (),
        delta=delta,
        unit=unit,
        max_referral=max_referral,
    )
    rules = RuleOptions.model_validate({
        "rule": rule,
        "thresholds": thresholds,
        "candidates": candidates,
        "temperature_scaling": temperature,
        "refer_unlike": refer_unlike,
        "unlike_by": unlike_by,
    })  # fmt: skip

    from endoexit.workflow.calibrate import calibrate as calibrate_run

    output = Output(as_json)
    name_images(names, names_key)
    output.warn_if_unfinished(run)
    before = _promised(run)
    calibrated = calibrate_run(
        run,
        goal,
        rules=rules,
        cost=cost,
        manifest=manifest,
        precision=precision,
        device=device,
        cache=cache,
        track=progress,
    )
    _print(output, calibrated)
    if before and not calibrated.policy.promises:
        output.warn(f"the policy before this one promised: {before}. This one promises nothing.")
    output.document(_document(calibrated))


def _promised(run: Path) -> str:
    """Return what the present policy of a run promises; empty for nothing."""
    from endoexit.artifacts.source import POLICY
    from endoexit.errors import PolicyError
    from endoexit.policy import ExitPolicy

    try:
        policy = ExitPolicy.read(run / POLICY)
    except PolicyError:  # none there, or one that cannot be used
        return ""
    return (policy.goal or "") if policy.promises else ""


def _print(output: Output, calibrated: "Calibrated") -> None:
    from endoexit.cli.tables import paragraph, terminal_table
    from endoexit.evaluation.figures import percent
    from endoexit.evaluation.tables import temperature_table
    from endoexit.tables import Column, Table

    result, policy = calibrated.result, calibrated.policy
    names = [*map(str, range(1, policy.num_exits)), "final"]
    shares = result.expected.exit_shares if policy.deadline_ms is None else (None,) * len(names)
    rule = Table(
        "Policy",
        (Column("exit"), Column("images exit when"), Column("share", "%", percent)),
        tuple(zip(names, policy.conditions(), shares, strict=True)),
    )
    fits = temperature_table(
        "Temperatures, on calibrate: T = 1 → fitted",
        (
            (name, fit.temperature, fit.nll, fit.ece, fit.auroc)
            for name, fit in zip(names, result.calibration, strict=True)
        ),
    )
    output.say(paragraph(f"Goal: {policy.goal}"), "", terminal_table(rule), terminal_table(fits))
    output.say(paragraph(_expected(calibrated)), *map(paragraph, _referral(calibrated)))
    output.say(*map(paragraph, _promises(calibrated)))
    if policy.note and policy.fell_back:
        output.warn(policy.note)
    elif policy.note:
        output.say(paragraph(policy.note))
    path = calibrated.path
    output.say(f"Written: {path}", f"Next: endoexit evaluate {path.parent}")


def _expected(calibrated: "Calibrated") -> str:
    from endoexit.evaluation.figures import cost_in_words

    expected, policy = calibrated.result.expected, calibrated.policy
    costs = policy.costs
    if costs is None or policy.deadline_ms is not None:
        return "The clock decides where images exit and what they cost."
    spent = cost_in_words(expected.cost, costs.values[-1], costs.unit)
    return f"On calibrate: accuracy {expected.accuracy:.1%}, mean cost {spent} ({costs.source})."


def _referral(calibrated: "Calibrated") -> list[str]:
    expected, referral = calibrated.result.answered, calibrated.policy.referral
    if expected is None or referral is None:
        return []
    risk = "none" if expected.risk is None else f"{1 - expected.risk:.1%}"
    return [
        *(f"Referred to a human as {words}." for words in referral.words),
        f"On calibrate: {expected.unsure} of {expected.images} images referred as unsure, "
        f"{expected.unlike} as unlike; accuracy of the {expected.answered} answers {risk}.",
    ]


def _promises(calibrated: "Calibrated") -> list[str]:
    from endoexit.policy.promises import counted_lines, promise_words

    promises = calibrated.policy.promises
    lines = [f"Promise: {promise_words(promise)}." for promise in promises]
    if promises:
        why = promises[0].unit_reason
        lines += [f"Counted as one{what} ({why})." for what in counted_lines(promises)]
    return lines


def _document(calibrated: "Calibrated") -> dict[str, Any]:
    from dataclasses import asdict

    result = calibrated.result
    return {
        "policy": result.policy.model_dump(mode="json"),
        "expected": asdict(result.expected),
        "answered": None if result.answered is None else asdict(result.answered),
        "calibration": [asdict(exit_) for exit_ in result.calibration],
        "trials": [
            {
                "rule": trial.rule.model_dump(mode="json"),
                "passed": trial.passed,
                "tests": [
                    {
                        "risk": test.risk.label,
                        "images": test.images,
                        "observed": test.observed,
                        "p_value": test.p_value,
                        "method": test.method,
                    }
                    for test in trial.tests
                ],
            }
            for trial in result.trials
        ],
        "written": str(calibrated.path),
    }
