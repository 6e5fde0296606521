"""The model card of a training: which network, from which images, under which terms."""

import shutil
from pathlib import Path

import pytest

from endoexit.artifacts.model_card import write_training_card
from endoexit.artifacts.source import MANIFEST
from endoexit.data.manifest import LICENCE, SOURCE, write_manifest
from endoexit.data.rows import ManifestRow
from endoexit.phantom.origin import SETTINGS_FILE
from endoexit.phantom.render import render_phantom
from tiny import CLASSES, save_photos, tiny_run


def card_on(images: Path, paths: list[str], folder: Path, facts: dict[str, str]) -> str:
    run = tiny_run(folder / "run")
    rows = [
        ManifestRow(path, label, label, "train") for path, label in zip(paths, CLASSES, strict=True)
    ]
    write_manifest(run.path / MANIFEST, rows, images, facts)
    history = [{"train/loss": 1.0}]
    return write_training_card(run, run.manifest(), history, 1).read_text(encoding="utf-8")


def card(folder: Path, **facts: str) -> str:
    paths = [f"{number}.png" for number in range(len(CLASSES))]
    return card_on(save_photos(folder / "images", len(CLASSES)), paths, folder, facts)


def test_what_differs_from_the_catalog_is_said_in_words(tmp_path):
    changed = (
        "changed: width = 16, heads = [1, 1, 2, 2], window = 4, exit_reduction = 4, "
        "depths = [2, 1, 1, 1]\n"
    )
    assert f"- Network: `ee_hifuse_nano`, {changed}" in card(tmp_path)


@pytest.mark.parametrize("facts", [{LICENCE: "CC BY 4.0", SOURCE: "our\nclinic"}, {}])
def test_terms_are_those_of_the_manifest(tmp_path, facts):
    text = card(tmp_path, **facts)
    assert ("Terms of the images: CC BY 4.0\n" in text) == bool(facts)
    assert ("The images come from: our clinic\n" in text) == bool(facts)
    assert ("does not give the terms of the images" in text) != bool(facts)
    assert "hold for the weights as well" in " ".join(text.split())
    assert "synthetic" not in text


def test_synthetic_images_are_called_so(tmp_path):
    phantom = render_phantom(tmp_path / "phantom", 1, size=32)
    paths = [path.relative_to(phantom).as_posix() for path in sorted(phantom.rglob("*.jpg"))]
    elsewhere = shutil.copytree(phantom, tmp_path / "elsewhere")
    (elsewhere / SETTINGS_FILE).unlink()  # as where some of the images are copied
    text = card_on(elsewhere, paths[: len(CLASSES)], tmp_path, {LICENCE: "CC BY 4.0"})
    assert "**These images are synthetic**: a phantom rendered by endoexit, of no patient." in text
    assert "hold for the weights" not in text
