"""Risk against coverage: how often the surest answers are wrong, and where the policy is."""

from matplotlib.figure import Figure

from endoexit.evaluation.figures import percent, significant
from endoexit.reporting.material import Material
from endoexit.reporting.style import INK, POLICY_COLOUR, QUIET, Picture, draw, percent_axis


def risk_against_coverage(material: Material) -> Picture | None:
    """Draw the curves of the policy and of the final exit; None without referral."""
    referrals = material.evaluation.referrals
    if referrals is None:
        return None
    row, colours = referrals.rows[0], {"policy": POLICY_COLOUR, "final": INK}
    names = {"policy": "answers of the policy", "final": "answers of the final exit"}
    areas = "; ".join(
        f"{names[curve.name]} {significant(curve.area)}" for curve in referrals.curves
    )
    point = (
        "No image is answered."
        if row.risk.value is None
        else f"The policy answers {percent(row.coverage.value)} %, of which "
        f"{percent(row.risk.value)} % are wrong."
    )
    promised = [
        shown.promise.risk.tolerance
        for shown in (material.evaluation.adaptive.promises if material.evaluation.adaptive else ())
        if shown.promise.risk.label == "error" and shown.promise.referred is not None
    ]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for curve in referrals.curves:
            axes.plot(
                [100 * share for share in curve.coverage],
                [100 * risk for risk in curve.risk],
                color=colours[curve.name],
                linestyle="-" if curve.name == "policy" else "--",
                label=names[curve.name],
            )
        if row.risk.value is not None and row.coverage.value is not None:
            axes.plot(
                [100 * row.coverage.value], [100 * row.risk.value], "*", color=POLICY_COLOUR,
                markersize=13, markeredgecolor=INK, markeredgewidth=0.6, label="the policy",
            )  # fmt: skip
        for tolerance in promised:
            axes.axhline(100 * tolerance, color=QUIET, linestyle=":", label="promised at most")
        axes.set_xlim(0, 100)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("share of the images that is answered (%)")
        axes.set_ylabel("wrong answers (%)")
        percent_axis(axes)
        figure.legend(loc="outside upper left", ncols=2)

    return draw(
        "risk-coverage", (5.4, 3.4), paint,
        alt=f"Wrong answers against the share of images answered. {point} Areas: {areas}.",
        caption="Share of wrong answers among the surest images, when more and more of them are "
        f"answered. {point} Area under each curve (AURC): {areas}.",
        source=material.evaluation_file.name, synthetic=material.synthetic,
    )  # fmt: skip
