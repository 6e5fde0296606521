"""Where images exit, drawn and told."""

from endoexit.reporting.shares import exit_shares
from report_material import make_material


def test_every_bar_is_told_with_its_shares():
    material = make_material()
    picture = exit_shares(material)
    adaptive = material.evaluation.adaptive
    for name, shares in [("all images", adaptive.shares), *adaptive.shares_by_class.items()]:
        exits = ("exit 1", "exit 2", "exit 3", "final")
        said = ", ".join(
            f"{exit_} {100 * share:.1f} %" for exit_, share in zip(exits, shares, strict=True)
        )
        assert f"{name}: {said}" in picture.alt


def test_of_many_classes_the_table_has_the_rest():
    names = tuple(f"class {number}" for number in range(12))
    alt = exit_shares(make_material(names, images=48)).alt
    assert alt.endswith("; the table has all classes.")
    assert "class 11" not in alt


def test_one_exit_has_no_shares():
    assert exit_shares(make_material(exits=1)) is None
