"""From a run folder to material: what is refused, and what is left out with its reason."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from endoexit.artifacts.source import MANIFEST
from endoexit.data.manifest import sidecar_path
from endoexit.errors import DataError, RunError
from endoexit.files import read_json, write_json
from endoexit.policy import fixed_exit
from endoexit.reporting.material import Absent
from endoexit.reporting.opening import open_material
from endoexit.reporting.sections import kept_apart, licence, split_facts


def test_a_run_is_opened_whole(evaluated):
    material = open_material(evaluated.path)
    evaluation = material.evaluation
    assert material.logits.shape == (4, len(evaluation.images.paths), 3)
    answers = material.logits[-1].argmax(axis=1)
    assert tuple(answers.tolist()) == evaluation.row("final").predicted
    assert material.images == evaluated.manifest().root
    assert not material.policy_changed
    assert material.history.columns["epoch"] == (1, 2)
    card = (evaluated.path / "model_card.md").read_text()
    assert f"the weights are those of epoch {material.history.best}," in card
    assert dict(material.facts)["weights, SHA-256"] == evaluated.weights_sha256
    assert isinstance(material.audit, Absent)
    assert "endoexit audit FOLDER" in material.audit.reason


def test_a_run_without_evaluation_names_the_command(evaluated):
    (evaluated.path / "evaluation.json").unlink()
    with pytest.raises(RunError, match=f"Make one with: endoexit evaluate {evaluated.path}"):
        open_material(evaluated.path)


@pytest.mark.parametrize("text", ["", "[1, 2", '{"format": "endoexit-evaluation-1"}', "[]"])
def test_a_malformed_evaluation_is_refused(evaluated, text):
    (evaluated.path / "evaluation.json").write_text(text)
    with pytest.raises(RunError, match=r"evaluation\.json is (not valid|damaged).*[mM]ake"):
        open_material(evaluated.path)


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document["images"]["labels"].append(0),
        lambda document: document["rows"][0]["predicted"].pop(),
        lambda document: document["adaptive"]["exits"].__setitem__(0, 5),
        lambda document: document["images"]["labels"].__setitem__(0, 7),
        lambda document: document["rows"][0]["scores"]["confusion"].pop(),
    ],
    ids=["a label more", "an answer less", "no such exit", "no such class", "a row less"],
)
def test_an_evaluation_that_does_not_fit_together_is_refused(evaluated, change):
    file = evaluated.path / "evaluation.json"
    document = read_json(file)
    change(document)
    write_json(file, document)
    with pytest.raises(RunError, match="Make it again with `endoexit evaluate`"):
        open_material(evaluated.path)


def test_an_evaluation_of_other_weights_is_refused(evaluated):
    file = evaluated.path / "evaluation.json"
    document = read_json(file)
    document["run"]["weights_sha256"] = "0" * 64
    write_json(file, document)
    with pytest.raises(RunError, match=r"is of other weights .*evaluate again"):
        open_material(evaluated.path)


def test_what_is_gone_is_left_out_with_its_reason(evaluated):
    shutil.rmtree(evaluated.path / "logits")
    (evaluated.path / "metrics.csv").unlink()
    (evaluated.path / "weights.safetensors").unlink()
    (evaluated.path / MANIFEST).unlink()
    sidecar_path(evaluated.path / MANIFEST).unlink()
    material = open_material(evaluated.path)
    for part in (material.logits, material.history, material.attention, material.split,
                 material.images):  # fmt: skip
        assert isinstance(part, Absent)
    assert f"endoexit evaluate {evaluated.path}" in material.logits.reason
    assert "--images" in material.images.reason


def test_damaged_logits_and_metrics_are_left_out(evaluated):
    (file,) = (evaluated.path / "logits").glob("test-*.npz")
    np.savez(file, logits=np.zeros((4, 2, 3), np.float32))
    assert "are of other images" in open_material(evaluated.path).logits.reason
    file.write_bytes(file.read_bytes()[:100])
    (evaluated.path / "metrics.csv").write_text("epoch\none\n")
    material = open_material(evaluated.path)
    assert "are damaged" in material.logits.reason
    assert isinstance(material.history, Absent)


def test_images_that_moved_can_be_named(evaluated, tmp_path):
    sidecar = sidecar_path(evaluated.path / MANIFEST)
    root = evaluated.manifest().root
    write_json(sidecar, read_json(sidecar) | {"root": "gone"})
    assert "bring it back" in open_material(evaluated.path).images.reason
    moved = tmp_path / "moved"
    shutil.copytree(root / "images", moved / "images")
    assert open_material(evaluated.path, images=moved).images == moved.resolve()
    changed = moved / open_material(evaluated.path).evaluation.images.paths[0]
    shutil.copy(next(p for p in changed.parent.iterdir() if p != changed), changed)
    absent = open_material(evaluated.path, images=moved).images
    assert "changed since they were evaluated" in absent.reason
    with pytest.raises(DataError, match="name the folder of the images"):
        open_material(evaluated.path, images=tmp_path / "nowhere")


def test_a_policy_that_was_changed_since_is_noticed(evaluated):
    fixed_exit(4, 1).write(evaluated.path / "policy.json")
    material = open_material(evaluated.path)
    assert material.policy_changed
    assert material.policy.rule.kind == "max_probability"  # the evaluated one is shown


def test_what_a_split_dropped_is_told():
    split = {
        "made_by": "endoexit split", "seed": 3, "threshold_bits": 15,
        "left_out": {"broken": {"a.jpg": "cut off"}, "identical_copies": ["b.jpg", "c.jpg"]},
    }  # fmt: skip
    text = " ".join(split_facts(split))
    assert "Roles given by endoexit split, seed 3" in text
    assert "1 that cannot be read (a.jpg); 2 identical to one that is kept (b.jpg, c.jpg)" in text
    assert "Nothing was dropped." in split_facts({"left_out": {}})
    assert any("`endoexit split` writes it" in fact for fact in split_facts({}))


def test_what_is_known_of_patients_on_both_sides_is_told():
    asked = {"groups": None, "group_column": None, "accept_leak": False}
    assert "was given no names of patients" in kept_apart({"options": asked})
    given = {"options": asked | {"groups": "my/patients.csv"}}
    assert "so were the groups that patients.csv gives" in kept_apart(given)
    assert "The groups that patients.csv gives stayed whole as well." in split_facts(given)
    given["options"]["group_column"] = "video"
    assert "the groups that column video of patients.csv gives" in kept_apart(given)
    leaking = {"options": asked | {"accept_leak": True}, "leak": "2 groups in two folders"}
    assert "Near-copies were not kept apart" in kept_apart(leaking)
    assert "kept apart" in kept_apart(leaking | {"leak": None})
    for unknown in ({}, {"options": ["odd"]}, Absent("No manifest.")):
        assert kept_apart(unknown).startswith("Nothing here says")
    assert not any("stayed whole" in fact for fact in split_facts({"options": asked}))


def test_the_terms_of_the_images_come_from_the_manifest(evaluated):
    material = open_material(evaluated.path)
    sidecar = sidecar_path(evaluated.path / MANIFEST)
    missing = licence(material)
    assert "does not give the terms of the images" in missing
    assert f"into `{sidecar}`" in missing
    assert "`endoexit split FOLDER --licence TEXT`" in missing
    write_json(sidecar, read_json(sidecar) | {"licence": " CC BY 4.0, cite us. "})
    assert licence(open_material(evaluated.path)) == "CC BY 4.0, cite us."
    write_json(sidecar, read_json(sidecar) | {"source": "https://example.org/images"})
    terms = licence(open_material(evaluated.path))
    assert terms == "CC BY 4.0, cite us. The images come from: https://example.org/images"
    unknown = licence(replace(material, split=Absent("No manifest.")))
    assert "The terms of the images are not known here" in unknown
