"""Tables that only the report has."""

from endoexit.evaluation.estimates import Estimate
from endoexit.reporting.masks import InMask, MaskStudy
from endoexit.reporting.reliability import measure_reliability
from endoexit.reporting.tables import mask_table, reliability_table, role_table
from report_material import estimate, make_material


def test_reliability_before_and_after_the_temperature():
    exits = measure_reliability(make_material(images=300))
    table = reliability_table(exits, scaled=True)
    assert table.title == "Calibration of each exit, before → after its temperature"
    assert [row[0] for row in table.rows] == ["exit 1", "exit 2", "exit 3", "final"]
    assert table.rows[0][3] == (exits[0].before.ece, exits[0].after.ece)
    assert " → " in table.cells()[0][2]


def test_without_temperatures_one_number_is_shown():
    material = make_material(temperatures=(1.0,) * 4)
    table = reliability_table(measure_reliability(material), scaled=False)
    assert table.title.endswith("at T = 1")
    assert table.cells()[0][1] == "–"
    assert "→" not in "".join(table.cells()[0])


def test_roles_are_counted_by_class_and_by_group():
    split = {
        "counts": {"train": {"normal": 3, "polyp": 2}, "test": {"ulcer": 4}},
        "groups": {"train": 5},
    }
    table = role_table(make_material(split=split))
    assert [column.label for column in table.columns] == ["class", "train", "test"]
    assert table.cells() == (
        ("normal", "3", "0"), ("polyp", "2", "0"), ("ulcer", "0", "4"), ("all", "5", "4"),
        ("groups", "5", "–"),
    )  # fmt: skip
    assert role_table(make_material()) is None
    assert role_table(make_material(split={"counts": [1]})) is None


def test_attention_inside_the_masks_is_in_percent_and_points():
    in_mask = InMask(
        name="exit 1", kind="grad-cam", inside=estimate(0.5), area=Estimate(value=0.25),
        gain=estimate(0.25), images=7,
    )  # fmt: skip
    table = mask_table(MaskStudy(exits=(in_mask,), with_mask=9, used=7, unusable=2, folder="masks"))
    assert table.cells() == (
        ("exit 1", "Grad-CAM", "50.0 [45.0, 55.0]", "25.0", "+25.0 [+20.0, +30.0]", "7"),
    )
