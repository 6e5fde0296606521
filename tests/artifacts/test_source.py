"""A run and a bundle of it answer the same questions, each for itself."""

import pytest

from endoexit.artifacts.source import EVALUATION, POLICY, StageFiles
from endoexit.errors import PolicyError, RunError, UsageError
from endoexit.files import sha256_file
from endoexit.models.state import state_of_shapes
from endoexit.precision import Precision
from endoexit.runtime.backends.choice import computed_in
from tiny import tiny_run

F32, INT8 = Precision("torch", "f32", "f32"), Precision("openvino", "int8", "f32")


@pytest.fixture
def run(bundles):
    return bundles.run


@pytest.fixture
def bundle(bundles):
    return bundles.make("torch", "f32")


def test_both_know_the_same_network(run, bundle):
    assert bundle.classes == run.classes
    assert bundle.complexity == run.complexity == run.config.network.complexity
    assert bundle.config.network == run.config.network
    assert bundle.config.manifest_sha256 == run.manifest().sha256


def test_each_says_where_its_policy_is(run, bundle):
    assert run.policy_file(INT8) == run.path / POLICY
    assert bundle.policy_file(F32) == bundle.path / POLICY
    with pytest.raises(PolicyError, match=r"no policy for openvino-int8.*only for torch-f32"):
        bundle.policy_file(INT8)


def test_a_run_without_a_policy_has_no_file_of_one(tmp_path):
    assert tiny_run(tmp_path / "run").policy_file(F32) is None


def test_results_are_in_a_run_and_next_to_a_bundle(run, bundle, tmp_path):
    assert run.results() == run.path
    assert bundle.results() == bundle.path.with_name(f"{bundle.path.name}-evaluation")
    for source in (run, bundle):
        assert source.results(tmp_path / "out") == tmp_path / "out"
        assert (source.results() / EVALUATION).name == EVALUATION


def test_only_a_run_lists_its_images_and_keeps_its_training(run, bundle):
    assert run.manifest_file.is_file()
    assert run.metrics_file.is_file()
    assert (bundle.manifest_file, bundle.metrics_file) == (None, None)


def test_only_a_bundle_has_exported_stages(run, bundle):
    with pytest.raises(RunError, match="is a run, which has no exported stages: export it first"):
        run.stage_files()
    files = bundle.stage_files()
    assert files.num_stages == len(run.complexity.macs)
    assert all(file.is_file() for file in files.of(1))


def test_their_origins_name_what_they_were_made_from(run, bundle):
    assert run.origin["precision of the training"] == run.config.training_precision
    assert bundle.origin["weights of the run, SHA-256"] == run.weights_sha256


def test_a_run_computes_on_a_gpu_and_a_bundle_does_not(bundle):
    with pytest.raises(UsageError, match="is a bundle, which computes on the CPU"):
        computed_in(bundle, device="cuda")


@pytest.mark.parametrize(
    ("backend", "names"),
    [
        ("openvino", {"2.xml", "2.bin"}),
        ("onnx", {"2.onnx"}),
        ("torch", {"weights.safetensors"}),
    ],
)
def test_each_backend_has_its_files(tmp_path, backend, names):
    files = StageFiles(tmp_path, backend, state_of_shapes((((3,),), ())), 5)
    assert {file.name for file in files.of(2)} == names
    assert {file.parent for file in files.of(2)} == {tmp_path}
    assert files.num_stages == 2


def test_a_stage_is_read_with_the_content_of_its_hash_or_not_at_all(tmp_path):
    file = tmp_path / "1.onnx"
    file.write_bytes(b"as sealed")
    state = state_of_shapes((((3,),), ()))
    files = StageFiles(tmp_path, "onnx", state, 5, {file.name: sha256_file(file)})
    assert files.read(1) == (b"as sealed",)
    file.write_bytes(b"as changed")
    with pytest.raises(RunError, match=r"1\.onnx was changed since the bundle was made"):
        files.read(1)
    assert StageFiles(tmp_path, "onnx", state, 5).read(1) == (b"as changed",)
    file.unlink()
    with pytest.raises(RunError, match=r"1\.onnx cannot be read \(No such file or directory\)"):
        files.read(1)
