from endoexit.evaluation.estimates import CoverageRow, Estimate, Foreign, Referrals, RiskCurve
from endoexit.evaluation.referral_tables import foreign_table, referral_table
from endoexit.evaluation.study import Options, evaluate_run
from endoexit.evaluation.tables import evaluation_tables
from endoexit.runtime.session import open_session


def row(name, risk):
    return CoverageRow(name=name, images=20, unsure=3, unlike=1, coverage=Estimate(value=0.8),
                       risk=risk)  # fmt: skip


def test_tables_show_shares_in_percent_and_say_what_is_missing(run):
    plain = evaluate_run(open_session(run), Options(timing=False, resamples=50))
    assert referral_table(plain) is foreign_table(plain) is None
    nothing = Estimate(value=None, reason="every image is referred")
    curve = RiskCurve(name="policy", coverage=(0.5, 1.0), risk=(0.0, 0.1), area=0.0456)
    evaluation_with_referrals = plain.replaced(
        referrals=Referrals(
            rows=(row("all images", Estimate(value=0.0625)), row("polyp", nothing)), curves=(curve,)
        ),
        foreign=(
            Foreign(name="ears", images=50, failed=2, unsure=5, unlike=40, exit_shares=(0.8, 0.2),
                    macs=2.5e9, auroc=(0.91234, 0.95)),
        ),
    )  # fmt: skip
    table = referral_table(evaluation_with_referrals)
    text = table.markdown()
    assert "| all images | 20 | 3 | 1 | 80.0 | 6.2 |" in text
    assert "| polyp | 20 | 3 | 1 | 80.0 | – |" in text
    assert any("policy 0.0456" in note for note in table.notes)
    ears = foreign_table(evaluation_with_referrals)
    assert "| ears | 50 | 10.0 | 80.0 | 2.50 | 0.912, 0.950 |" in ears.markdown()
    assert any("2 images could not be read" in note for note in ears.notes)
    (foreign,) = evaluation_with_referrals.foreign
    by_features = evaluation_with_referrals.replaced(
        foreign=(foreign, foreign.replaced(name="noise", distance_auroc=0.99876))
    )
    text = foreign_table(by_features).markdown()
    assert "| noise | 50 | 10.0 | 80.0 | 2.50 | 0.912, 0.950 | 0.999 |" in text
    assert "| ears | 50 | 10.0 | 80.0 | 2.50 | 0.912, 0.950 | – |" in text
    assert {table.title, ears.title} <= {
        shown.title for shown in evaluation_tables(evaluation_with_referrals)
    }
