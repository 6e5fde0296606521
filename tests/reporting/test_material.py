"""A material answers for its exits and its images."""

from dataclasses import replace

from endoexit.phantom.render import SETTINGS_FILE
from report_material import make_material


def test_exits_are_named_as_the_rows():
    material = make_material(exits=3)
    assert material.num_exits == 3
    names = [material.exit_name(number) for number in (1, 2, 3)]
    assert names == ["exit 1", "exit 2", "final"]
    assert names == [row.name for row in material.evaluation.rows if row.kind == "exit"]


def test_the_policy_answers_where_there_is_one():
    assert make_material().answers == "adaptive"
    assert make_material(exits=1).answers == "final"


def test_images_are_synthetic_if_they_were_rendered_here(tmp_path):
    material = make_material()
    assert not material.synthetic
    assert not replace(material, images=tmp_path).synthetic
    (tmp_path / SETTINGS_FILE).write_text("{}")
    assert replace(material, images=tmp_path).synthetic
