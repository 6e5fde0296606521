"""The published figures of the policies: pages hold what their results say, and it holds."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest

from endoexit.files import read_json
from endoexit.policy.document import Promise

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def test_the_guarantee_holds_and_is_not_idle(load):
    benchmark = load("guarantee_simulation")
    rows = benchmark.all_rows()
    assert benchmark.failures(rows) == []
    settings = [setting for part in benchmark.PARTS for setting in benchmark.settings(part)]
    assert [(row["design"], row["groups"], row["delta"]) for row in rows] == [
        (design.name, groups, delta) for design, groups, _, delta in settings
    ]
    page = benchmark.PAGE.read_text(encoding="utf-8")
    for text in benchmark.tables(rows).values():
        assert text in page


def test_a_broken_promise_and_an_idle_guarantee_are_found(load):
    benchmark = load("guarantee_simulation")
    rows = benchmark.all_rows()
    rows[0]["violations"] = rows[0]["allowed"] + 0.01
    single = next(row for row in rows if row["groups"] == 2000 and row["risk"].startswith("missed"))
    single["saving"] = 0.7 * single["best_saving"]
    grouped = next(row for row in rows if row["design"] == benchmark.MOSTLY_SINGLE.name)
    grouped["saving"] *= 0.9
    broken, idle, loses = benchmark.failures(rows)
    assert broken == (
        "disagreement, 100 groups (one image each), δ = 0.05: the promise is broken too often"
    )
    assert idle == (
        "missed[finding], 2000 groups (one image each), δ = 0.05: the guarantee is idle"
    )
    assert loses.startswith("disagreement, 100 groups (nine in ten hold one image)")


def test_the_page_of_the_golden_policies_is_that_of_its_results(load):
    benchmark = load("golden_policies")
    page = benchmark.PAGE.read_text(encoding="utf-8")
    for result in read_json(benchmark.RESULT)["datasets"].values():
        assert benchmark.plain_table(result) in page
        assert benchmark.guarantee_table(result) in page


def test_the_table_of_the_golden_cascades_is_that_of_its_results(load):
    benchmark = load("golden_cascade")
    result = read_json(benchmark.RESULT)
    assert benchmark.table(result) in benchmark.PAGE.read_text(encoding="utf-8")


def test_the_golden_cascades_save_against_the_larger_network(load):
    """Figures of the prototypes: costs of the exits, accuracies, and what a cascade saves."""
    benchmark = load("golden_cascade")
    rows = {row["name"]: row for row in read_json(benchmark.RESULT)["rows"]}
    large, small = rows["Lite0 at 128"], rows["Lite0 at 96"]
    assert [round(macs / 1e9, 3) for macs in large["macs"]] == [0.040, 0.084, 0.114, 0.131]
    assert [round(macs / 1e9, 3) for macs in small["macs"]] == [0.022, 0.047, 0.064, 0.073]
    cascade = rows["Lite0 at 96, then Lite0 at 128"]
    assert cascade["macs"] == [*small["macs"], *(small["macs"][-1] + m for m in large["macs"])]
    assert cascade["accuracy_of_exits"] == small["accuracy_of_exits"] + large["accuracy_of_exits"]
    alone, together = (row["policies"]["0.0"]["on_test"] for row in (large, cascade))
    assert together["macs"] < 0.9 * alone["macs"]
    assert together["accuracy"] > small["accuracy_of_exits"][-1]


def test_goals_of_accuracy_lose_less_on_new_images_by_held_out_ones(load):
    benchmark = load("held_out")
    rows = read_json(benchmark.RESULT)["rows"]
    page = benchmark.PAGE.read_text(encoding="utf-8")
    assert f"<!-- held-out:begin -->\n\n{benchmark.table(rows)}\n" in page
    lost = {(r["drop"], r["way"]): r["lost"] for r in rows if r["data"] == "colonoscopy"}
    for drop in benchmark.DROPS:
        assert lost[drop, benchmark.HELD_OUT] < lost[drop, benchmark.CHEAPEST] - 0.01


def test_the_mean_of_the_golden_cascades_is_that_of_the_network(load):
    mean = load("golden_cascade").mean_so_far(np.log([[[0.9, 0.1]], [[0.5, 0.5]]]))
    np.testing.assert_allclose(np.exp(mean), [[[0.9, 0.1]], [[0.7, 0.3]]])


def test_the_pages_of_the_real_policies_are_those_of_their_results(load):
    benchmark, made = load("real_policies"), load("real_policies_pages")
    result = read_json(benchmark.RESULT)
    page = made.PAGE.read_text(encoding="utf-8")
    for name, text in made.pages(result).items():
        assert f"<!-- {name}:begin -->\n\n{text}\n\n<!-- {name}:end -->" in page
    short = made.readme_table(result)
    readme = made.README.read_text(encoding="utf-8")
    assert f"<!-- guarantee:begin -->\n\n{short}\n\n<!-- guarantee:end -->" in readme
    assert len(re.findall(r"^\| (?!---)", short, re.MULTILINE)) <= 11  # with the header


def test_the_real_policies_answer_every_goal_and_say_what_they_rest_on(load):
    result = read_json(load("real_policies").RESULT)
    assert {row["kind"] for row in result["rows"]} == {
        "max-ms", "max-macs", "mean-exit-cost", "min-accuracy", "max-accuracy-drop", "budget",
        "deadline-ms", "guarantee", "rule",
    }  # fmt: skip
    assert re.fullmatch(r"[0-9a-f]{64}", result["weights_sha256"])
    assert re.fullmatch(r"[0-9a-f]{64}", result["manifest_sha256"])
    assert result["precision"] == "torch-f32"
    assert result["machine"]["processor"] in result["costs"]["ms"]["source"]
    assert set(result["versions"]) >= {"endoexit", "torch", "numpy"}
    split = Path(BENCHMARKS / "splits" / "colonoscopy_prototype_split.csv").read_text("utf-8")
    assert result["roles"]["test"]["images"] == split.count(",test\n")


def test_every_verdict_on_the_real_policies_follows_from_its_figures(load):
    result = read_json(load("real_policies").RESULT)
    answered = [row for row in result["rows"] if "refused" not in row]
    for row in answered:
        promises, shown = row["policy"]["promises"], row["on_test"]["promises"]
        assert [entry["promise"] for entry in shown] == promises
        assert (row["kind"] == "guarantee") == bool(promises)
        if promises:
            within = [
                entry["observed"]["value"]
                <= Promise.model_validate(entry["promise"]).risk.tolerance
                for entry in shown
            ]
            assert row["kept"] == all(within)
            wanted = row["wanted"].get("unit") or "group"  # certify holds near-copies
            assert {promise["unit"] for promise in promises} == {wanted}
            assert all(promise["p_value"] <= 0.05 for promise in promises)
        shares = row["on_test"]["shares"]
        relative = result["costs"]["macs"]["values"]
        mean = sum(share * cost for share, cost in zip(shares, relative, strict=True))
        assert row["on_test"]["macs"] == pytest.approx(mean / relative[-1])
    refused = [row["refused"] for row in result["rows"] if "refused" in row]
    assert any("error <= 0.05 cannot be promised" in message for message in refused)
    assert any('no policy meets "accuracy >= 0.99"' in message for message in refused)


def test_a_violated_promise_and_refusals_stand_out_on_the_pages(load):
    benchmark, made = load("real_policies"), load("real_policies_pages")
    result = read_json(benchmark.RESULT)
    row = next(row for row in result["rows"] if row["readme"] and row["table"] == "guarantee")
    before = made.guarantee_table(result).count("**VIOLATED**")
    assert made.readme_table(result).count("**VIOLATED**") == 0
    row["kept"] = False
    assert made.readme_table(result).count("**VIOLATED**") == 1
    assert made.guarantee_table(result).count("**VIOLATED**") == before + 1
    kept, promised = re.match(
        r"Of all goals, (\d+) of (\d+) guarantees were kept", made.tally(result)
    ).groups()
    assert int(kept) < int(promised)
    assert (
        made.refusal(
            "certify has 12 groups of class 'polyp', too few for x: it takes at least 88 with."
        )
        == "refused: 12 groups, it takes at least 88"
    )
    assert made.refusal("no policy meets it: best 0.5. Ask for less.") == (
        "refused: no policy meets it: best 0.5"
    )


def test_tables_are_replaced_between_their_markers_only(load, tmp_path):
    tables = load("tables")
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- a:begin -->\nold\n<!-- a:end -->\nafter\n", encoding="utf-8")
    for _ in range(2):
        tables.replace_between(page, "a", tables.markdown_table(("x", "y"), [("1", "2")]))
    table = "| x | y |\n| --- | ---: |\n| 1 | 2 |"
    expected = f"before\n<!-- a:begin -->\n\n{table}\n\n<!-- a:end -->\nafter\n"
    assert page.read_text(encoding="utf-8") == expected
    with pytest.raises(ValueError, match="needs the markers"):
        tables.replace_between(page, "b", "")


def test_the_tables_of_the_evaluation_are_those_of_its_result(load):
    benchmark = load("evaluation_page")
    evaluation = benchmark.Evaluation.model_validate(read_json(benchmark.RESULT)["evaluation"])
    page = benchmark.PAGE.read_text(encoding="utf-8")
    for name, text in benchmark.page_tables(evaluation).items():
        assert f"<!-- {name}:begin -->\n\n{text}\n\n<!-- {name}:end -->" in page


def test_the_tables_of_changed_images_are_those_of_their_result(load):
    benchmark = load("robustness")
    text = benchmark.page(read_json(benchmark.RESULT))
    page = benchmark.PAGE.read_text(encoding="utf-8")
    assert f"<!-- robustness:begin -->\n\n{text}\n\n<!-- robustness:end -->" in page
    assert "Accuracy under attack" in text


def test_foreign_images_are_referred_by_their_features_at_the_cost_of_exit_1(load):
    benchmark = load("referral_pages")
    goals = read_json(load("referral").RESULT)["run"]["goals"]
    page = benchmark.PAGE.read_text(encoding="utf-8")
    assert benchmark.run_table({"goals": goals}) in page
    seen = goals["refer unlike by features"]
    good = seen["referrals"]["rows"][0]
    assert good["unlike"] / good["images"] <= 0.05
    for folder in seen["foreign"]:
        assert folder["unlike"] / folder["images"] >= 0.95
        assert folder["exit_shares"][0] >= 0.95


def test_foreign_images_are_the_same_each_time(load, tmp_path):
    folders = [load("foreign").make_foreign(tmp_path / name) for name in ("a", "b")]
    for first, again in zip(*folders, strict=True):
        assert first.name == again.name
        files = sorted(path.relative_to(first) for path in first.rglob("*.png"))
        assert all((first / f).read_bytes() == (again / f).read_bytes() for f in files)


def test_a_simulation_is_done_where_it_has_the_repetitions_of_its_seed(load):
    benchmark = load("guarantee_simulation")
    row = {"repetitions": 2000, "seed": 0}
    assert benchmark.is_done(row, 2000, 0)
    assert not benchmark.is_done(row, 2000, 1)
    assert not benchmark.is_done(row | {"repetitions": 200}, 2000, 0)
    assert not benchmark.is_done(None, 2000, 0)
    for part in benchmark.PARTS:
        assert list(benchmark.rows_of(part)) == [
            benchmark.key(*setting) for setting in benchmark.settings(part)
        ]
