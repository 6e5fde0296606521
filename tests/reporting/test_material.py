"""A material answers for its exits and its images."""

import shutil
from dataclasses import replace

import numpy as np
from PIL import Image

from endoexit.phantom.origin import SETTINGS_FILE
from endoexit.phantom.render import render_phantom
from endoexit.policy.referral import UNLIKE, Referral, Unlike, Unsure
from endoexit.reporting.material import Absent
from report_material import make_material, referring_material


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


def test_copies_of_rendered_images_are_synthetic_in_any_folder(tmp_path):
    rendered = sorted(render_phantom(tmp_path / "phantom", 1, size=32).rglob("*.jpg"))
    material = make_material(("a", "b"), images=4)
    folder = tmp_path / "elsewhere"
    for name, image in zip(material.evaluation.images.paths, rendered, strict=False):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, folder / name)
    assert replace(material, images=folder).synthetic
    Image.new("RGB", (32, 32)).save(folder / name)
    assert not replace(material, images=folder).synthetic


def test_referred_images_have_the_reason_of_the_policy():
    unlike = Unlike(thresholds=(-3.0, 99.0, 99.0, 99.0), share=0.5)
    referral = Referral(unsure=Unsure(threshold=0.5), unlike=unlike)
    material = referring_material(referral)
    policy, exits = material.evaluation.adaptive.policy, material.evaluation.adaptive.exits
    codes = policy.referred(material.logits, np.array(exits)).tolist()
    assert [{None: 0, "unsure": 1, "unlike": UNLIKE}[why] for why in material.referred] == codes
    assert {None, "unlike"} <= set(material.referred)
    assert set(make_material().referred) == {None}


def test_without_logits_it_is_not_known_which_images_are_referred():
    material = referring_material(Referral(unsure=Unsure(threshold=0.5)))
    assert isinstance(replace(material, logits=Absent("No logits.")).referred, Absent)
    assert not isinstance(replace(make_material(), logits=Absent("No logits.")).referred, Absent)
