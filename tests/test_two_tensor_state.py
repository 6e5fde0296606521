"""A network whose state is a vector and a map, of other names than HiFuse's, in every command."""

import csv
import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from endoexit.artifacts.run import open_run
from endoexit.cli.main import app
from endoexit.exporting.export import ExportOptions, export_run
from endoexit.models import catalog
from endoexit.models.layers import GlobalMean, LastMap, conv_norm_relu
from endoexit.models.staged import Stage, StagedClassifier, State
from endoexit.runtime.session import open_session
from endoexit.training.fit import Machine, fit
from endoexit.training.recipe import read_recipe
from endoexit.training.start import create_run
from tiny_project import write_recipe

RECIPE = """\
epochs: 2
batch_size: 8
image: {size: 32, canvas: 32}
optimizer: {lr: 5.0e-3}
augment: {crop_scale: [0.8, 1.0]}
precision: 32-true
"""


class Remember(nn.Module):
    """Halves the map, and keeps a running sum of its means."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layer = conv_norm_relu(inputs, outputs, 3, 2)
        self.note = nn.Sequential(GlobalMean(), nn.Linear(outputs, 6))

    def forward(self, state: State) -> State:
        features = self.layer(state[-1])
        note = self.note(features)
        return note if len(state) == 1 else state[0] + note, features


class Recall(nn.Module):
    """Classifies by the memory and the map."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.mean, self.classify = GlobalMean(), nn.Linear(6 + channels, classes)

    def forward(self, state: State) -> Tensor:
        return self.classify(torch.cat([state[0], self.mean(state[1])], 1))


class Remembering(StagedClassifier):
    state_names = ("memory", "features")

    def __init__(self, classes: int) -> None:
        stages = [
            Stage([Remember(3, 8)], LastMap(GlobalMean(), nn.Linear(8, classes))),
            Stage([Remember(8, 12)], Recall(12, classes)),
            Stage([Remember(12, 16)], Recall(16, classes)),
        ]
        super().__init__(stages, classes, 8)


@dataclass(frozen=True)
class Settings:
    def replaced(self, changes: dict[str, object]) -> "Settings":
        assert not changes
        return self


@pytest.fixture(scope="module", autouse=True)
def family():
    row = catalog.Family(
        "Networks that remember", Settings, lambda _, classes, __: Remembering(classes), None,
        {"remembering": Settings()}, lambda _: 32, "multiples of 8",
    )  # fmt: skip
    catalog.FAMILIES["test"] = row
    yield
    del catalog.FAMILIES["test"]


@pytest.fixture(scope="module")
def run(family, tiny_manifest, tmp_path_factory):
    folder = tmp_path_factory.mktemp("two-tensors")
    recipe = read_recipe(str(write_recipe(folder, RECIPE)))
    begun = create_run(folder / "run", tiny_manifest, "remembering", recipe, seed=0, root=None)
    fit(begun, Machine(accelerator="cpu", threads=1))
    for command in (["calibrate", "--mean-exit-cost", "0.6"], ["evaluate", "--no-timing"]):
        done(command[0], folder / "run", *command[1:])
    return open_run(folder / "run")


def done(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def test_it_is_trained_and_evaluated(run):
    document = json.loads((run.path / "evaluation.json").read_text())
    assert [row["name"] for row in document["rows"]] == ["exit 1", "exit 2", "final", "adaptive"]


@pytest.mark.parametrize(
    ("backend", "precision"),
    [("torch", "f32"), ("openvino", "f32"), ("openvino", "int8"), ("onnx", "f32")],
)
def test_every_backend_computes_the_same(run, tmp_path, backend, precision):
    options = ExportOptions(backend, precision, accept_drop=True)
    bundle = export_run(open_session(run), tmp_path / "bundle", options).bundle
    state = bundle.config.state
    assert [tensor.name for tensor in state.stages[0]] == ["memory", "features"]
    assert [len(tensor.shape) for tensor in state.stages[1]] == [1, 3]
    assert state.stages[2] == ()
    manifest = run.manifest()
    ours = open_session(run, manifest=manifest).logits("test").logits
    theirs = open_session(bundle, manifest=manifest, out=tmp_path).logits("test").logits
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4 if precision == "f32" else 0.5)


def test_it_predicts_and_images_leave_at_several_exits(run, tmp_path):
    images = [run.manifest().root / row.path for row in run.manifest().rows if row.role == "test"]
    done("predict", run.path, *images, "--out", tmp_path / "answers.csv")
    rows = list(csv.DictReader((tmp_path / "answers.csv").read_text().splitlines()))
    assert len(rows) == len(images)
    assert all(row["label"] in run.classes for row in rows)


def test_it_is_shown_without_the_paper_and_without_cbam(run, tmp_path):
    done("report", run.path, "--out", tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "exits of the paper" not in page
    assert "spatial attention (CBAM)" not in page
    assert "Grad-CAM" in page
    done("report", run.path, "--out", tmp_path / "asked", "--paper")
    asked = (tmp_path / "asked" / "report.html").read_text()
    assert "exits of the paper" in asked
    assert "--paper" in asked  # in the command that makes the page again


def test_single_images_are_explained_by_grad_cam(run, tmp_path):
    image = run.manifest().root / run.manifest().rows[0].path
    done("explain", run.path, image, "--out", tmp_path / "explained")
    page = next((tmp_path / "explained").rglob("*.html")).read_text()
    assert "Grad-CAM" in page
    assert "spatial attention (CBAM)" not in page
