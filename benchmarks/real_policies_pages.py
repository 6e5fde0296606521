"""The tables of real_policies.py: a short one in the README, all in docs/real-policies.md."""

import re
from typing import Any

from endoexit.evaluation.estimates import Estimate
from endoexit.evaluation.figures import percent, percent_with_interval, points_with_interval
from endoexit.evaluation.promise_tables import verdict
from tables import ROOT, markdown_table, replace_between

PAGE = ROOT / "docs" / "real-policies.md"
README = ROOT / "README.md"

Entry = dict[str, Any]


def whole_percent(value: float) -> str:
    """Return a share in percent, without decimals."""
    return f"{100 * value:.0f}"


def signed(estimate: Entry) -> str:
    """Return a difference in points with its interval."""
    return points_with_interval(Estimate.model_validate(estimate))


def with_interval(estimate: Entry) -> str:
    """Return a share in percent with its interval."""
    return percent_with_interval(Estimate.model_validate(estimate))


def refusal(message: str) -> str:
    """Return why a goal was refused, shortened: the message itself has the remedy."""
    needed = re.search(r"certify has (\d+ \w+).*at least (\d+)", message)
    if needed:
        return f"refused: {needed[1]}, it takes at least {needed[2]}"
    return "refused: " + re.split(r"\. (?=[A-Z])", message)[0]


def goal(row: Entry) -> str:
    if row["table"] != "guarantee":
        return str(row["goal"])
    most = row["most_referred"]
    return f"`{row['goal']}`" + ("" if most is None else f", at most {100 * most:g} % referred")


def referred(row: Entry) -> str:
    """Return the share of test that is referred; empty where all images are answered."""
    return "" if row["most_referred"] is None else percent(row["on_test"]["referred"])


def shares(values: list[float]) -> str:
    return " / ".join(whole_percent(share) for share in values)


def counted(promises: list[Entry]) -> str:
    """Return how many images or groups promises were proven on: `159 groups`, `206/89 images`."""
    numbers = "/".join(dict.fromkeys(str(promise["images"]) for promise in promises))
    return f"{numbers} {promises[0]['unit']}s"


def proven(row: Entry) -> str:
    """Return what certify showed of the promises."""
    if all(promise["method"] == "by construction" for promise in row["policy"]["promises"]):
        return "nothing proven: final exit for all"
    promises = row["policy"]["promises"]
    return ", ".join(percent(promise["observed"]) for promise in promises)


def outcome(row: Entry) -> str:
    if row["policy"]["promises"]:
        return verdict(row["kept"]) if row["kept"] else f"**{verdict(row['kept'])}**"
    return "met" if row["kept"] else "not met"


def tally(result: Entry) -> str:
    """Return how many promises test showed kept, and how many goals without one were met.

    Promises that count images are left out: certify and test have several images of some groups.
    """
    answered = [row for row in result["rows"] if "refused" not in row]
    promised = [row["kept"] for row in answered if row["policy"]["promises"] and right_unit(row)]
    plain = [
        row["kept"]
        for row in answered
        if row["table"] == "plain" and row["policy"]["deadline_ms"] is None
    ]
    return (
        f"Of all goals, {sum(promised)} of {len(promised)} guarantees were kept on test, and "
        f"{sum(plain)} of {len(plain)} goals without a guarantee were met."
    )


def right_unit(row: Entry) -> bool:
    """Return whether a row lets the tool choose what counts as one draw."""
    return row["wanted"].get("unit") is None


def counted_images(result: Entry) -> str:
    """Return how many of the promises that count images were kept."""
    wrong = [row["kept"] for row in result["rows"] if "refused" not in row and not right_unit(row)]
    return (
        f"Of {len(wrong)} guarantees that count images, which is wrong here, {sum(wrong)} were "
        "kept."
    )


def spent(row: Entry) -> tuple[str, str, str]:
    """Return cost and exits on test: multiply-adds, milliseconds, shares."""
    seen = row["on_test"]
    return whole_percent(seen["macs"]), f"{seen['ms']:.1f}", shares(seen["shares"])


def readme_table(result: Entry) -> str:
    """Return the short table."""
    header = ("asked for (δ = 0.05)", "risk on certify, %", "risk on test, % [95 % CI]",
              "on test", "referred, %", "accuracy on test, %", "multiply-adds, %",
              "exit at 1 / 2 / 3 / final, %")  # fmt: skip
    final, best = result["exits"][-1], result["oracle"]
    rows = [
        ("final exit for all images", "", "", "", "", percent(final["accuracy"]), "100", ""),
        ("oracle: first exit that is right", "", "", "", "", percent(best["accuracy"]),
         whole_percent(best["macs"]), shares(best["shares"])),
    ]  # fmt: skip
    for row in result["rows"]:
        if not row["readme"]:
            continue
        if "refused" in row:
            rows.append((goal(row), refusal(row["refused"]), *[""] * 6))
            continue
        seen, promises = row["on_test"], row["policy"]["promises"]
        on_certify = f"{proven(row)} of {counted(promises)}" if promises else "no promise"
        shown = ", ".join(with_interval(promise["observed"]) for promise in seen["promises"])
        macs, _, left = spent(row)
        rows.append((
            goal(row), on_certify, shown, outcome(row), referred(row), percent(seen["accuracy"]),
            macs, left,
        ))  # fmt: skip
    roles = result["roles"]
    sizes = ", ".join(
        f"{role} {cohort['images']} images in {cohort['groups']} groups"
        for role, cohort in roles.items()
    )
    return markdown_table(header, rows) + (
        f"\n\n{tally(result)} `{result['run']}`, {result['precision']}; {sizes}. Made by "
        f"`{result['command']}`."
    )


def plain_table(result: Entry, name: str) -> str:
    """Return the goals without a promise, or the rules for one goal."""
    header = ("rule" if name == "rule" else "goal", "on calibrate: accuracy, %", "cost, %",
              "on test", "accuracy on test, %", "minus final exit [95 % CI]",
              "same shares at random, %", "multiply-adds, %", "ms",
              "exit at 1 / 2 / 3 / final, %")  # fmt: skip
    rows = []
    if name == "plain":
        rows = [
            ("final exit for all images", "", "", "", percent(result["exits"][-1]["accuracy"]), "",
             "", "100", f"{result['costs']['ms']['values'][-1]:.1f}", ""),
            ("oracle: first exit that is right", "", "", "", percent(result["oracle"]["accuracy"]),
             "", "", whole_percent(result["oracle"]["macs"]), f"{result['oracle']['ms']:.1f}",
             shares(result["oracle"]["shares"])),
        ]  # fmt: skip
    for row in (row for row in result["rows"] if row["table"] == name):
        title = rule(row["rules"]) if name == "rule" else goal(row)
        if "refused" in row:
            rows.append((title, refusal(row["refused"]), *[""] * 8))
            continue
        there, seen = row["on_calibrate"], row["on_test"]
        clock = seen["late"] is not None
        fitted = ("by the clock", "") if clock else (
            percent(there["accuracy"]), whole_percent(there["relative_cost"])
        )  # fmt: skip
        word = f"{percent(seen['late'])} % late" if clock else outcome(row)
        rows.append((
            title, *fitted, word, percent(seen["accuracy"]), signed(seen["minus_final"]),
            percent(seen["random_accuracy"]), *spent(row),
        ))  # fmt: skip
    return markdown_table(header, rows)


def rule(options: Entry) -> str:
    """Return the family of policies in words."""
    words = [options["rule"].replace("_", " ")]
    if options["rule"] in ("max_probability", "entropy", "margin"):
        words.append(f"{options['thresholds'] or 'per-exit'} thresholds")
    if not options["temperature_scaling"]:
        words.append("no temperatures")
    return ", ".join(words)


def guarantee_table(result: Entry) -> str:
    header = ("guarantee, δ = 0.05", "counted on certify", "risk there, %",
              "risk on test, % [95 % CI]", "promise", "referred, %", "accuracy on test, %",
              "minus final exit [95 % CI]", "multiply-adds, %", "ms",
              "exit at 1 / 2 / 3 / final, %")  # fmt: skip
    rows = []
    for row in (row for row in result["rows"] if row["table"] == "guarantee"):
        if "refused" in row:
            rows.append((goal(row), refusal(row["refused"]), *[""] * 9))
            continue
        seen, promises = row["on_test"], row["policy"]["promises"]
        rows.append((
            goal(row), counted(promises), proven(row),
            ", ".join(with_interval(promise["observed"]) for promise in seen["promises"]),
            outcome(row), referred(row),
            percent(seen["accuracy"]), signed(seen["minus_final"]), *spent(row),
        ))  # fmt: skip
    return markdown_table(header, rows)


def facts(result: Entry) -> str:
    """Return what was measured, on what, and how."""
    timing = result["timing"]
    roles = "; ".join(
        f"{role}: {figures['images']} images in {figures['groups']} groups"
        for role, figures in result["roles"].items()
    )
    exits = ", ".join(
        f"{'final' if place == len(result['exits']) else f'exit {place}'} "
        f"{percent(exit_['accuracy'])} % at {whole_percent(exit_['macs'])} % of the multiply-adds"
        for place, exit_ in enumerate(result["exits"], start=1)
    )
    return (
        f"`{result['run']}` (`{result['training']}`), weights `{result['weights_sha256'][:12]}`, "
        f"manifest `{result['manifest_sha256'][:12]}`, {result['precision']}. {roles}. On test: "
        f"{exits}. Times: {timing['threads']} threads, {timing['machine']['processor']}. "
        f"Made by `{result['command']}`; figures and versions are in "
        "`benchmarks/results/real_policies_colonoscopy.json`.\n\n"
        f"{tally(result)} {counted_images(result)}"
    )


def pages(result: Entry) -> dict[str, str]:
    """Return the tables of the page by the names of their markers."""
    return {
        "facts": facts(result),
        "plain": plain_table(result, "plain"),
        "guarantees": guarantee_table(result),
        "rules": plain_table(result, "rule"),
    }


def write_pages(result: Entry) -> None:
    """Put the tables into the README and the page."""
    replace_between(README, "guarantee", readme_table(result))
    for name, text in pages(result).items():
        replace_between(PAGE, name, text)
