import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundle_makers import require_bf16
from endoexit.errors import UsageError
from endoexit.policy import confidence, fixed_exit, threshold_policy
from endoexit.runtime.backends import torch as torch_backend
from endoexit.runtime.backends.torch import TorchBackend
from endoexit.runtime.engine import Engine
from endoexit.runtime.stream import predict_stream
from tiny import PREPROCESSING

THRESHOLD = 0.934  # no image's confidence lies near it at any exit


@pytest.fixture(autouse=True)
def _restore_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(model, photos):
    """Logits (M, N, C) of the network called as a whole."""
    with torch.inference_mode():
        exits = model(torch.from_numpy(PREPROCESSING.normalise(photos)))
    return torch.stack(exits).numpy()


def test_stages_one_by_one_equal_the_whole_network(model, photos, whole):
    backend = TorchBackend(model, threads=1)
    state = backend.start(PREPROCESSING.normalise(photos))
    for number in range(1, 5):
        state, logits = backend.run(number, state)
        np.testing.assert_array_equal(logits, whole[number - 1])


def test_the_engine_answers_what_the_policy_says_of_the_whole_network(model, photos, whole):
    policy = threshold_policy(4, THRESHOLD)
    margin = min(np.abs(confidence(whole, "max_probability") - THRESHOLD).flatten())
    assert margin > 1e-3, "rounding must not decide this test"
    answers = Engine(TorchBackend(model, threads=1), policy, PREPROCESSING).predict(photos)
    exits = policy.assign(whole)
    assert set(exits) == {1, 2, 3, 4}
    assert [answer.exit for answer in answers] == exits.tolist()
    chosen = whole[exits - 1, np.arange(len(photos))]
    assert [answer.label for answer in answers] == chosen.argmax(axis=1).tolist()


@pytest.fixture(scope="module")
def engine(model):
    return Engine(TorchBackend(model, threads=1), threshold_policy(4, THRESHOLD), PREPROCESSING)


@pytest.fixture(scope="module")
def alone(engine, photos):
    return [engine.predict(photos[i : i + 1])[0] for i in range(len(photos))]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_and_batch_size_answer_like_one_by_one(engine, photos, alone, data):
    order = data.draw(st.permutations(range(len(photos))))
    size = data.draw(st.integers(1, len(photos)))
    if data.draw(st.booleans()):
        answers = list(predict_stream(engine, photos[order], size))
    else:
        answers = []
        for start in range(0, len(order), size):
            answers += engine.predict(photos[order[start : start + size]])
    for image, answer in zip(order, answers, strict=True):
        expected = alone[image]
        assert (answer.label, answer.exit) == (expected.label, expected.exit)
        np.testing.assert_allclose(answer.probabilities, expected.probabilities, atol=1e-5)


def test_stages_behind_the_exit_do_not_run(model, photos):
    seen = []
    hooks = [
        stage.register_forward_hook(
            lambda _, inputs, __, number=number: seen.append((number, len(inputs[0][0])))
        )
        for number, stage in enumerate(model.stages, start=1)
    ]
    Engine(TorchBackend(model, threads=1), fixed_exit(4, 2), PREPROCESSING).predict(photos[:5])
    for hook in hooks:
        hook.remove()
    assert seen == [(1, 5), (2, 5)]


def test_gathering_keeps_values_and_memory_format(model, photos):
    backend = TorchBackend(model, threads=1)
    state, _ = backend.run(1, backend.start(PREPROCESSING.normalise(photos)))
    rows = np.array([7, 2, 11])
    for tensor, part in zip(state, backend.gather(state, rows), strict=True):
        torch.testing.assert_close(part, tensor[[7, 2, 11]], rtol=0, atol=0)
        assert part.stride()[1:] == tensor.stride()[1:]
    parts = [backend.gather(state, np.array([i])) for i in (3, 5)]
    for tensor, joined in zip(state, backend.concatenate(parts), strict=True):
        torch.testing.assert_close(joined, tensor[[3, 5]], rtol=0, atol=0)
        assert joined.stride()[1:] == tensor.stride()[1:]


@pytest.mark.precision
def test_bf16_is_near_f32_and_really_used(model, photos, whole):
    require_bf16("torch")
    backend = TorchBackend(model, "bf16", threads=1)
    assert str(backend.precision) == "torch-bf16"
    state = backend.start(PREPROCESSING.normalise(photos))
    for number in range(1, 5):
        state, logits = backend.run(number, state)
        assert logits.dtype == np.float32
        error = np.abs(logits - whole[number - 1]).max() / np.abs(whole[number - 1]).max()
        assert 1e-5 < error < 0.05


@pytest.mark.precision
def test_bf16_is_refused_where_the_processor_lacks_it(model, monkeypatch):
    monkeypatch.setattr(torch_backend, "supports_bf16", lambda: False)
    with pytest.raises(UsageError, match="use --precision f32"):
        TorchBackend(model, "bf16")


def test_threads_are_set_and_recorded(model):
    assert TorchBackend(model, threads=1).threads == 1
    assert torch.get_num_threads() == 1
    assert TorchBackend(model, threads=2).threads == 2
    assert torch.get_num_threads() == 2
    with pytest.raises(UsageError, match="at least 1, got 0"):
        TorchBackend(model, threads=0)
