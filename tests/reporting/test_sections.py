"""What the page says in words: rules, terms, roles, cautions."""

from dataclasses import replace

from endoexit.policy import deadline_policy, fixed_exit
from endoexit.reporting.material import Absent
from endoexit.reporting.sections import (
    absent_classes,
    cautions,
    kept_apart,
    licence,
    policy_rule,
    split_facts,
    unused_exits,
)
from report_material import make_material


def test_the_rule_says_for_each_exit_when_images_exit_there():
    material = make_material()

    def lines(policy):
        return policy_rule(replace(material, policy=policy))

    reached = "largest probability ≥ 0.7000"
    final = "final: always"
    assert lines(material.policy) == [*(f"exit {k}: {reached}" for k in (1, 2, 3)), final]
    clock = "an image has the answer of the last exit that finishes within 30 ms."
    both = lines(material.policy.replaced(deadline_ms=30.0))
    assert both[2:] == [
        f"exit 3: {reached}, or out of time", final, f"The clock decides as well: {clock}"
    ]  # fmt: skip
    assert lines(deadline_policy(4, 30))[-3:] == [
        "exit 3: out of time", final, f"The clock decides: {clock}"
    ]  # fmt: skip
    assert lines(fixed_exit(4, 2)) == [
        "exit 1: never", "exit 2: always", "exit 3: never", "final: never"
    ]  # fmt: skip


def test_the_terms_are_those_of_the_manifest_or_asked_for():
    material = make_material(split={"licence": " CC BY 4.0 ", "source": "a hospital"})
    assert licence(material) == "CC BY 4.0 The images come from: a hospital"
    asked = licence(make_material(split={}))
    assert "does not give the terms of the images" in asked
    assert "`endoexit split FOLDER --licence TEXT`" in asked
    assert licence(make_material()).startswith("The terms of the images are not known here.")


def test_what_keeps_images_apart_is_told_as_far_as_it_is_known():
    assert "Nothing here says" in kept_apart(Absent("No manifest."))
    given = {"options": {"groups": "a/patients.csv", "group_column": "patient"}}
    assert "column patient of patients.csv gives" in kept_apart(given)
    assert "given no names of patients" in kept_apart({"options": {"groups": None}})
    leaking = {"options": {"groups": None, "accept_leak": True}, "leak": "9 images"}
    assert "the folders that were given leak" in kept_apart(leaking)


def test_what_a_split_dropped_is_counted_and_named():
    lines = split_facts(
        {"made_by": "endoexit split", "seed": 3, "threshold_bits": 15,
         "left_out": {"broken": ["a.jpg"], "leaking": []}}
    )  # fmt: skip
    assert lines == [
        "Roles given by endoexit split, seed 3; no group has two roles.",
        "Near-copies of up to 15 of 256 bits are in one group.",
        "Dropped: 1 that cannot be read (a.jpg).",
    ]
    assert split_facts({"left_out": {}}) == ["Nothing was dropped."]


def test_cautions_are_given_where_there_is_cause():
    assert list(cautions(make_material(images=200))) == []
    changed = replace(make_material(images=20), policy_changed=True)
    said = list(cautions(changed))
    assert said[0].startswith("The run’s policy.json is no longer the policy that was evaluated.")
    assert said[1].startswith("Only 20 images")


def test_exits_and_classes_without_images_are_named():
    assert unused_exits(make_material(thresholds=(0.7, None, 0.7))) == "No image exits at exit 2."
    assert unused_exits(make_material(exits=1)) is None
    assert absent_classes(make_material(("a", "b", "c"), images=2)) == (
        "No test image is of c: no sensitivity there."
    )
