"""The tables of `referral.py`."""

from tables import ROOT, markdown_table, replace_between

PAGE = ROOT / "docs" / "referral.md"


def write_tables(results: dict) -> None:
    """Write the tables of those parts that are measured into the page."""
    tables = {"golden": (("referral-curves", curve_table), ("referral-promises", promise_table)),
              "simulation": (("referral-simulation", simulation_table),),
              "run": (("referral-run", run_table),)}  # fmt: skip
    for name, made in tables.items():
        for marker, table in made if name in results else ():
            replace_between(PAGE, marker, table(results[name]))


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def curve_table(golden: dict) -> str:
    header = ("network", "wrong without referral", "surest by", "AURC", "answered at 2 % wrong",
              "answered at 1 % wrong")  # fmt: skip
    return markdown_table(header, [
        (network, percent(seen["final_error"]), measure, f"{curve['area']:.4f}",
         *(percent(curve["coverage"][limit]) for limit in ("0.02", "0.01")))
        for network, seen in golden.items() for measure, curve in seen["curves"].items()
    ])  # fmt: skip


def promise_table(golden: dict) -> str:
    header = ("network", "guarantee", "promised", "answered on certify", "answered on test",
              "wrong of these on test", "exit early on test")  # fmt: skip
    return markdown_table(header, [
        (network, f"`error<={tolerance}`", f"{row['promised']} of {row['splits']} splits",
         *(percent(row[name]) for name in
           ("answered_certify", "answered_test", "error_test", "early_test")))
        for network, seen in golden.items() for tolerance, row in seen["promises"].items()
    ])  # fmt: skip


def simulation_table(rows: list[dict]) -> str:
    header = ("promise", "groups", "number", "repetitions", "broken", "allowed", "refused",
              "referred", "mean cost")  # fmt: skip
    return markdown_table(header, [
        (f"`{row['promise']}`", row["design"], str(row["groups"]), str(row["repetitions"]),
         *(percent(row[name]) for name in ("broken", "allowed", "refused", "referred", "cost")))
        for row in rows
    ])  # fmt: skip


def run_table(result: dict) -> str:
    header = ("goal", "images", "unsure", "unlike", "answered", "wrong of these", "G multiply-adds",
              "AUROC of energy, exits 1 to M", "AUROC of distance")  # fmt: skip
    rows = []
    for goal, seen in result["goals"].items():
        if "refused" in seen:
            rows.append((goal, "refused", *[""] * 7))
            continue
        good = seen["referrals"]["rows"][0]
        rows.append((
            goal, f"{good['images']} of test", *(percent(good[why] / good["images"])
            for why in ("unsure", "unlike")), percent(good["coverage"]["value"]),
            percent(good["risk"]["value"]), f"{seen['macs'] / 1e9:.3f}", "", "",
        ))  # fmt: skip
        rows += [
            (goal, f"{folder['images']} of {folder['name']}",
             *(percent(folder[why] / folder["images"]) for why in ("unsure", "unlike")),
             percent(1 - (folder["unsure"] + folder["unlike"]) / folder["images"]), "",
             f"{folder['macs'] / 1e9:.3f}", ", ".join(f"{area:.2f}" for area in folder["auroc"]),
             f"{folder['distance_auroc']:.2f}" if "distance_auroc" in folder else "")
            for folder in seen["foreign"] or ()
        ]  # fmt: skip
    return markdown_table(header, rows)
