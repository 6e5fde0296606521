"""Every backend against eager PyTorch, stage by stage, and through the engine."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle_makers import COMBINATIONS
from endoexit.artifacts.bundle_document import BundleConfig
from endoexit.errors import PolicyError, RunError, UsageError
from endoexit.models.state import state_of_shapes
from endoexit.policy import ExitPolicy, confidence, fixed_exit, threshold_policy
from endoexit.policy.rules.threshold import ThresholdRule
from endoexit.precision import Precision
from endoexit.runtime.backends import choice
from endoexit.runtime.backends import openvino as openvino_backend
from endoexit.runtime.deciding import Decider, decide
from endoexit.runtime.engine import Engine
from endoexit.runtime.exits import all_exits
from endoexit.runtime.session import open_session
from endoexit.runtime.stream import predict_stream

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("bundles")]

# Largest difference of a stage's logits from eager PyTorch at f32, relative to the largest logit.
BOUNDS = {"f32": 1e-4, "bf16": 0.05, "int8": 0.25}


def policy_for(bundle, precision):
    return decide(bundle, Precision.parse(precision), len(bundle.config.exits)).policy


@pytest.fixture(scope="module")
def images(bundles):
    """uint8 (12, S, S, 3): images of the run, preprocessed."""
    cohort = bundles.run.manifest().cohort("train")
    load = bundles.run.config.preprocessing.load
    return np.stack([load(path) for path in cohort.images[:12]])


@pytest.fixture(scope="module")
def eager(bundles, images):
    normalised = bundles.run.config.preprocessing.normalise(images)
    return all_exits(open_session(bundles.run, precision="f32", threads=1).backend)(normalised)


@pytest.mark.precision
@pytest.mark.parametrize("shapes", [((3,),), ((7, 7, 7), (7, 7, 7), (7, 7, 7))])
def test_states_of_other_shapes_than_the_document_says_are_refused(bundles, images, shapes):
    bundle = bundles.make("openvino", "f32")
    states = state_of_shapes((shapes, *bundle.config.state.shapes[1:]))
    wrong = replace(bundle, config=bundle.config.replaced(state=states))
    stages = open_session(wrong, threads=1).backend
    with pytest.raises(RunError, match=r"stage 1 of .* gives other tensors.*export the run again"):
        stages.run(1, stages.start(bundle.config.preprocessing.normalise(images)))


@pytest.mark.parametrize(("backend", "precision"), COMBINATIONS)
def test_every_stage_agrees_with_eager_pytorch(bundles, images, eager, backend, precision):
    bundle = bundles.make(backend, precision)
    stages = open_session(bundle, threads=1).backend
    normalised = bundle.config.preprocessing.normalise(images)
    compiled = all_exits(stages)(normalised)
    scale = np.abs(eager).max()
    assert np.abs(compiled - eager).max() <= BOUNDS[precision] * scale
    if precision != "f32":
        assert np.abs(compiled - eager).max() > 1e-5 * scale, f"{precision} was not used"
    stages.expect(len(images))
    assert np.abs(all_exits(stages)(normalised) - compiled).max() <= 0.05 * scale
    alone = np.concatenate([all_exits(stages)(image[None]) for image in normalised], axis=1)
    assert np.abs(alone - compiled).max() <= (1e-4 if precision == "f32" else 0.05) * scale


@pytest.mark.precision
def test_a_prepared_stage_was_run_once_for_each_batch_size(bundles, images, monkeypatch):
    stages = open_session(bundles.make("openvino", "f32"), threads=1).backend
    normalised = bundles.run.config.preprocessing.normalise(images)
    runs = []
    original = type(stages).run_together

    def counting(self, first, last, state):
        runs.append((last, len(state[0])))
        return original(self, first, last, state)

    monkeypatch.setattr(type(stages), "run_together", counting)
    for count in (1, 3, 4, 5, 3):
        stages.prepare(1, stages.start(normalised[:count]))
    assert runs == [(1, 1), (1, 4)]  # 3 = 1 + 1 + 1, and 5 = 4 + 1
    assert set(stages._requests) == {(1, 1, 1), (1, 1, 4)}
    stages.expect(5)  # for which another number of threads may be faster
    stages.prepare(1, stages.start(normalised[:5]))
    assert runs[2:] == [(1, 5)]
    assert set(stages._requests) == {(1, 1, 1), (1, 1, 4)}


def test_a_prepared_stage_of_onnx_is_loaded(bundles, images):
    stages = open_session(bundles.make("onnx", "f32"), threads=1).backend
    state = stages.start(bundles.run.config.preprocessing.normalise(images[:1]))
    stages.prepare(1, state)
    assert set(stages._sessions) == {1}
    # The threads of one stage do not keep the cores from those of the next.
    settings = stages._sessions[1].get_session_options()
    assert settings.get_session_config_entry("session.force_spinning_stop") == "1"


@pytest.mark.precision
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_batch_runs_in_parts_and_every_part_lands_in_its_place(bundles, images, threads):
    normalised = bundles.run.config.preprocessing.normalise(images)
    places = np.arange(27) % len(normalised)
    many = normalised[places]

    def run(stages, batch):
        state, logits = stages.start(batch), []
        for number in range(1, stages.num_stages + 1):
            state, values = stages.run(number, state)
            logits.append(values)
        return np.stack(logits)

    single = open_session(bundles.make("openvino", "f32"), threads=1).backend
    alone = np.concatenate([run(single, image[None]) for image in normalised], axis=1)
    expected = alone[:, places]
    stages = open_session(bundles.make("openvino", "f32"), threads=threads).backend
    stages.expect(27)
    together = run(stages, many)
    assert np.abs(together - expected).max() <= 1e-4 * np.abs(expected).max()
    assert {size for *_, size in stages._requests} == {8, 1} | ({4} if threads == 2 else set())
    assert {len(each) for each in stages._requests.values()} == {threads}
    fewer = run(stages, many[:3])  # after a larger batch, the arrays are views
    assert np.abs(fewer - expected[:, :3]).max() <= 1e-4 * np.abs(expected).max()
    assert np.abs(run(stages, many) - together).max() <= 1e-6 * np.abs(expected).max()


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("openvino", "f32"), marks=pytest.mark.precision),
        pytest.param(("openvino", "bf16"), marks=pytest.mark.precision),
        ("onnx", "f32"),
    ],
)
def engine(request, bundles, images):
    bundle = bundles.make(*request.param)
    backend = open_session(bundle, threads=1).backend
    exits = all_exits(backend)(bundle.config.preprocessing.normalise(images))
    sure = np.sort(confidence(exits[:-1], "max_probability").ravel())
    gaps = np.diff(sure[4:-4])  # rounding must not decide who leaves: far from every image
    place = 4 + int(gaps.argmax())
    policy = threshold_policy(4, float((sure[place] + sure[place + 1]) / 2))
    return Engine(backend, policy, bundle.config.preprocessing)


@pytest.fixture(scope="module")
def alone(engine, images):
    return [engine.predict(images[row : row + 1])[0] for row in range(len(images))]


@settings(max_examples=12)
@given(data=st.data())
def test_any_order_and_batch_size_answer_like_one_by_one(engine, images, alone, data):
    order = data.draw(st.permutations(range(len(images))))
    size = data.draw(st.integers(1, len(images)))
    if data.draw(st.booleans()):
        answers = list(predict_stream(engine, images[order], size))
    else:
        answers = []
        for start in range(0, len(order), size):
            answers += engine.predict(images[order[start : start + size]])
    bound = 1e-4 if engine.backend.precision.floats == "f32" else 0.03
    for image, answer in zip(order, answers, strict=True):
        assert answer.exit == alone[image].exit
        np.testing.assert_allclose(answer.probabilities, alone[image].probabilities, atol=bound)


def skipping(*thresholds):
    """A policy for 4 exits that leaves those with None unused."""
    rule = ThresholdRule(kind="max_probability", thresholds=thresholds)
    return ExitPolicy(rule=rule, num_exits=4, temperatures=(1.0, 0.7, 1.5, 2.0))


@pytest.mark.parametrize(
    ("policy", "stages"),
    [
        (fixed_exit(4, 4), {(1, 4)}),
        (fixed_exit(4, 2), {(1, 2)}),
        (skipping(None, 0.6, 1.0), {(1, 2), (3, 3), (4, 4)}),
        (skipping(1.0, None, None), {(1, 1), (2, 4)}),
        (skipping(None, 1.0, None), {(1, 2), (3, 4)}),
        (skipping(1.0, 1.0, 1.0), {(1, 1), (2, 2), (3, 3), (4, 4)}),
    ],
)
@pytest.mark.parametrize(
    "precision", [pytest.param(each, marks=pytest.mark.precision) for each in BOUNDS]
)
def test_stages_as_one_answer_as_the_stages_one_by_one(bundles, images, precision, policy, stages):
    bundle = bundles.make("openvino", precision)
    backend = open_session(bundle, threads=1).backend
    separate = Engine(backend, policy, bundle.config.preprocessing)
    one_by_one = [separate.predict(images[:3])[0], *separate.predict(images[1:2])]
    backend._requests.clear()
    fused = Engine(backend, policy, bundle.config.preprocessing, fused=True)
    answers = [fused.predict(images[:3])[0], *fused.predict(images[1:2])]
    assert {key[:2] for key in backend._requests} == stages
    # In int8 a value at a former edge is rounded once less: `Session` runs stages one by one.
    bound = 0.05 if precision == "int8" else 1e-5
    for answer, other in zip(answers, one_by_one, strict=True):
        assert answer.exit == other.exit
        assert len(answer.stage_ms) == answer.exit
        np.testing.assert_allclose(answer.probabilities, other.probabilities, atol=bound)


@pytest.mark.parametrize(
    "precision", [pytest.param(each, marks=pytest.mark.precision) for each in BOUNDS]
)
def test_a_session_runs_stages_as_one_where_that_changes_no_answer(bundles, precision):
    copy = replace(open_session(bundles.make("openvino", precision), threads=1))
    copy.__dict__["decider"] = Decider(fixed_exit(4, 4))
    assert copy.engine.fused == (precision != "int8")


@pytest.mark.precision
def test_stages_as_one_are_not_kept_as_those_of_another_run(bundles):
    stages = open_session(bundles.make("openvino", "f32"), threads=1).backend
    keys = [
        stages._key(first, last, 1, [stages._files.read(each) for each in range(first, last + 1)])
        for first, last in ((1, 1), (1, 2), (2, 2), (2, 3), (1, 3))
    ]
    assert len(set(keys)) == len(keys)


def test_some_images_leave_early(alone):
    assert len({answer.exit for answer in alone}) > 1


@pytest.mark.precision
def test_states_stay_as_they_are_while_others_run(bundles, images):
    """What `gather` returns lasts, although stages write into the same arrays again."""
    bundle = bundles.make("openvino", "f32")
    backend = open_session(bundle, threads=1).backend
    normalised = bundle.config.preprocessing.normalise(images)
    state, _ = backend.run(1, backend.start(normalised[:4]))
    kept = backend.gather(state, np.array([2, 0]))
    before = [array.copy() for array in kept]
    backend.run(1, backend.start(normalised[4:8]))
    for array, was in zip(kept, before, strict=True):
        np.testing.assert_array_equal(array, was)


@pytest.mark.precision
def test_the_policy_of_the_bundle_decides(bundles):
    bundle = bundles.make("openvino", "f32")
    session = open_session(bundle.path, threads=1)
    assert session.decider.words.startswith(f"{bundle.path / 'policy.json'}: mean cost <= 0.6")
    assert session.engine.policy.provenance.precision == "openvino-f32"
    assert session.engine.backend.threads == 1
    assert session.classes == bundles.run.classes


@pytest.mark.parametrize("backend", [pytest.param("openvino", marks=pytest.mark.precision), "onnx"])
def test_a_bundle_predicts_without_torch(bundles, backend):
    bundle = bundles.make(backend, "f32")
    image = bundles.run.manifest().cohort("test").images[0].path
    code = (
        "import sys\nfrom endoexit.cli.main import main\n"
        f"sys.argv = ['endoexit', 'predict', {str(bundle.path)!r}, {str(image)!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules and 'scipy' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert str(image) in done.stdout


@pytest.mark.precision
def test_a_bundle_answers_at_all_exits_without_torch(bundles):
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from endoexit.runtime.exits import all_exits\n"
        "from endoexit.runtime.session import open_session\n"
        f"session = open_session(Path({str(bundles.make('openvino', 'f32').path)!r}))\n"
        "assert all_exits(session.backend)\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def made_in_bf16(bundle):
    """The f32 bundle as a processor with bf16 would have exported it, but for its policies."""
    names = ("openvino-bf16", "openvino-f32")
    config = bundle.config.model_dump() | {
        "precision": "bf16",
        "computes": names,
        "policies": dict.fromkeys(names, bundle.config.policies["openvino-f32"]),
    }
    return replace(bundle, config=BundleConfig.model_validate(config))


@pytest.mark.precision
def test_bf16_is_refused_where_the_processor_lacks_it_and_f32_is_had_on_request(
    bundles, monkeypatch
):
    bundle = made_in_bf16(bundles.make("openvino", "f32"))
    monkeypatch.setattr(openvino_backend, "computes_bf16", lambda: False)
    with pytest.raises(UsageError, match=r"bf16, which this processor does not.*--precision f32"):
        open_session(bundle)
    assert str(open_session(bundle, precision="f32").precision) == "openvino-f32"
    policy = policy_for(bundle, "openvino-f32")
    assert policy is not None
    assert policy.provenance.precision == "openvino-f32"


@pytest.mark.precision
def test_a_bundle_of_bf16_has_a_policy_for_each_precision_that_it_computes_in(bundles):
    bundle = bundles.make("openvino", "bf16")
    for name in ("openvino-bf16", "openvino-f32"):
        policy = policy_for(bundle, name)
        assert policy is not None
        assert policy.provenance.precision == name


@pytest.mark.precision
def test_a_precision_that_the_bundle_lacks_is_refused(bundles):
    with pytest.raises(UsageError, match=r"computes in f32, not in bf16: leave --precision out"):
        open_session(bundles.make("openvino", "f32"), precision="bf16")


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_a_backend_that_is_not_installed_names_its_extra(bundles, monkeypatch, backend):
    bundle = bundles.make(backend, "f32")
    monkeypatch.setitem(choice.MODULES, backend, "a_module_that_nobody_has")
    with pytest.raises(UsageError, match=rf"not installed: pip install 'endoexit\[{backend}\]'"):
        open_session(bundle.path)


@pytest.mark.precision
def test_another_precision_has_no_policy(bundles):
    with pytest.raises(PolicyError, match="no policy for openvino-int8"):
        policy_for(bundles.make("openvino", "f32"), "openvino-int8+f32")


@pytest.mark.parametrize(("backend", "name"), [("openvino", "1.xml"), ("onnx", "1.onnx")])
def test_a_stage_that_cannot_be_read_says_so(bundles, tmp_path, backend, name):
    bundle = bundles.make(backend, "f32")
    broken = type(bundle)(tmp_path, bundle.config.replaced(files={}))
    (tmp_path / "stages").mkdir()
    for file in bundle.stage_files().of(1):
        (tmp_path / "stages" / file.name).write_bytes(b"<net></net>")
    stages = open_session(broken, threads=1).backend
    side = bundle.config.preprocessing.size
    with pytest.raises(RunError, match=rf"cannot load .*{name}.*Export the run again"):
        stages.run(1, stages.start(np.zeros((1, 3, side, side), np.float32)))
