"""A finished run learns to bear the rounding of int8."""

import pytest
import safetensors.torch
import torch
from scipy.special import rel_entr, softmax

import endoexit as endoexit_package
from endoexit.artifacts.run import open_run
from endoexit.errors import RunError, UsageError
from endoexit.exporting.export import ExportOptions, export_run
from endoexit.runtime.session import open_session
from endoexit.training import fit as fitting
from endoexit.training import quantising
from endoexit.training.quantising import QuantisingRequest
from evaluation_runs import copy_run
from tiny_project import endoexit

pytestmark = pytest.mark.slow
HERE = fitting.Machine(accelerator="cpu", threads=1)


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    monkeypatch.setattr(quantising, "RANGE_IMAGES", 4)


def tensors(run):
    return safetensors.torch.load_file(run.path / "weights.safetensors")


def test_a_rate_of_zero_gives_the_answer_of_post_training_quantisation(tiny_run, tmp_path):
    request = QuantisingRequest(tiny_run, ("epochs=1", "optimizer.lr=1e-20"), tmp_path / "run")
    run = request.start()
    before = {name: value.clone() for name, value in tensors(run).items()}
    after = tensors(fitting.fit(run, HERE))
    assert before.keys() == after.keys()
    for name, value in before.items():
        if "num_batches" not in name and "running_" not in name:
            torch.testing.assert_close(after[name], value, rtol=1e-6, atol=1e-7)


def test_what_was_trained_is_what_the_bundle_computes(tiny_run, tmp_path):
    request = QuantisingRequest(tiny_run, ("epochs=1", "optimizer.lr=1e-3"), tmp_path / "run")
    run = request.start()
    before = tensors(run)
    assert open_run(run.path).config == run.config
    done = fitting.fit(run, HERE)
    after = tensors(done)
    scales = [name for name in after if "scale" in name and "__nncf" in name]
    assert any(not torch.equal(before[name], after[name]) for name in scales)
    options = ExportOptions("openvino", "int8", accept_drop=True)
    bundle = export_run(open_session(done), tmp_path / "bundle", options).bundle
    session = open_session(bundle, precision="f32", manifest=done.manifest(), out=tmp_path)
    expected = open_session(done).logits("calibrate").logits
    got = session.logits("calibrate").logits
    assert abs(got - expected).max() < 0.1 * abs(expected).max()
    for options in (ExportOptions("openvino", "f32"), ExportOptions("onnx", "int8")):
        with pytest.raises(UsageError, match="was trained for int8 in OpenVINO"):
            export_run(open_session(done), tmp_path / "other", options)
    with pytest.raises(RunError, match="was trained for int8 already"):
        QuantisingRequest(done.path, out=tmp_path / "again").start()


def test_each_exit_learns_to_answer_as_it_does_in_f32(tiny_run, tmp_path):
    changes = ("epochs=4", "optimizer.lr=1e-3")
    run = QuantisingRequest(tiny_run, changes, tmp_path / "run").start()
    # Rounding costs so small a network next to nothing: spoil what each exit answers.
    weights = tensors(run)
    for name in weights:
        if name.endswith("head.classify.bias"):
            weights[name][0] += 1.0
    safetensors.torch.save_file(weights, run.weights_path)
    source = open_run(tiny_run)
    assert run.config.recipe["strategy"]["teacher"] == str(tiny_run.resolve())
    assert run.config.teacher.weights_sha256 == source.weights_sha256
    exact = softmax(open_session(source).logits("train").logits, axis=2)
    images = open_session(source).images(source.manifest().cohort("train"))
    normalised = torch.from_numpy(source.config.preprocessing.normalise(images))

    def errors():
        with torch.no_grad():
            logits = torch.stack(run.load_model()(normalised)).numpy()
        return rel_entr(exact, softmax(logits, axis=2)).sum(axis=2).mean(axis=1)

    before = errors()
    fitting.fit(run, HERE)
    assert (errors() < 0.96 * before).all()
    asked = ("strategy={name: joint}",)
    own = QuantisingRequest(tiny_run, asked, tmp_path / "own").start()
    assert own.config.recipe["strategy"]["name"] == "joint"
    assert own.config.teacher is None


def test_an_interrupted_training_continues(tiny_run, tmp_path, monkeypatch):
    run = QuantisingRequest(tiny_run, ("epochs=2",), tmp_path / "run").start()
    step = fitting.ExitTraining.training_step

    def stopped(module, batch, number):
        if module.current_epoch == 1:
            raise KeyboardInterrupt
        return step(module, batch, number)

    with monkeypatch.context() as patched:
        patched.setattr(fitting.ExitTraining, "training_step", stopped)
        with pytest.raises(KeyboardInterrupt):
            fitting.fit(run, HERE)
    done = fitting.fit(fitting.resume(run.path), HERE)
    assert done.is_complete
    assert len((run.path / "metrics.csv").read_text().splitlines()) == 3


def test_runs_that_cannot_be_fine_tuned(tiny_run, tmp_path):
    run = copy_run(tiny_run, tmp_path / "copy")
    (run.path / "model_card.md").unlink(missing_ok=True)
    with pytest.raises(RunError, match="has not ended"):
        QuantisingRequest(run.path, out=tmp_path / "out").start()
    for change, words in (
        ("precision=bf16-mixed", "rounds f32, not bf16-mixed"),
        ("strategy.name=equilibrium", "looks into stages"),
        ("strategy.name=collaboration", "looks into stages"),
        ("strategy.hints=1", "strategy.hints looks into stages"),
        ("model.collaborate=true", "read each other's answers"),
        ("epoch=3", "did you mean 'epochs'"),
    ):
        with pytest.raises(UsageError, match=words):
            QuantisingRequest(tiny_run, (change,), tmp_path / "out").start()
    assert not (tmp_path / "out").exists()


def test_a_setting_of_the_strategy_is_one_of_that_which_int8_takes(tiny_run):
    run = open_run(tiny_run)
    changed = QuantisingRequest(tiny_run, ("strategy.alpha=0.9",)).settings(run).strategy
    assert (changed.name, changed.alpha, changed.exit_by_exit) == ("distil", 0.9, True)
    joint = QuantisingRequest(tiny_run, ("strategy.name=joint",)).settings(run).strategy
    assert joint.name == "joint"


def test_options_that_do_not_go_together(tiny_run, tmp_path):
    for arguments, words in (
        (["--quantise", "int8"], "go together"),
        (["--start", tiny_run], "go together"),
        (["--quantise", "int8", "--start", tiny_run, "--model", "b_lenet"], "leave out --model"),
    ):
        done = endoexit("train", *arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert words in done.stderr


def test_the_function_trains_as_the_command(tiny_run, tmp_path):
    run = endoexit_package.train_for_int8(
        tiny_run, changes=["epochs=1"], out=tmp_path / "run", accelerator="cpu", threads=1
    )
    request = QuantisingRequest(tiny_run, ("epochs=1",), tmp_path / "other")
    expected = tensors(fitting.fit(request.start(), HERE))
    got = tensors(run)
    assert got.keys() == expected.keys()
    assert all(torch.equal(got[name], expected[name]) for name in got)
