"""Cascades of networks: answers, states, costs, compaction."""

import json
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cascade_runs import LARGE, NETWORK, SMALL
from endoexit.errors import UsageError
from endoexit.exporting.graphs import stage_graphs, write_onnx
from endoexit.images.sheet import Sheet
from endoexit.models.attention import exit_attention
from endoexit.models.cascade import Cascade, CascadeConfig, Member
from endoexit.models.catalog import create_model, family_of
from endoexit.models.cost import measure_complexity
from endoexit.models.dry_run import find_state
from endoexit.models.layers import GlobalMean, LastMap, OneMap, conv_norm_relu
from endoexit.models.spec import NetworkSpec
from endoexit.models.staged import SizeError, Stage, StagedClassifier
from endoexit.policy import ExitPolicy, patience_policy
from endoexit.policy.confidence import confidence
from endoexit.policy.rules.threshold import ThresholdRule
from endoexit.runtime.backends.torch import TorchBackend
from endoexit.runtime.engine import Engine
from endoexit.runtime.exits import all_exits
from endoexit.runtime.stream import Stream

SHEET = Sheet.of([SMALL, LARGE])
TILES = ((0, 64, 32), (0, 0, 64))


def network(size: int, seed: int, exits=(1,)):
    torch.manual_seed(seed)
    made = create_model("ee_hifuse_nano", 3, size=size, **NETWORK, exits=list(exits)).eval()
    with torch.no_grad():
        for stage in made.stages:
            stage.head.classify.weight.mul_(30)
    return made


def convolutions(seed: int):
    """Return a small network of two stages for images of any size."""
    torch.manual_seed(seed)
    stages = [
        Stage(
            [OneMap(conv_norm_relu(inputs, 4, 3, 2))],
            LastMap(GlobalMean(), nn.Linear(4, 3)),
        )
        for inputs in (3, 4)
    ]
    with torch.no_grad():
        for stage in stages:
            stage.head.layers[-1].weight.mul_(25)
    return StagedClassifier(stages, 3, 8).eval()


@pytest.fixture(scope="module")
def members():
    return network(32, 0), network(64, 1, (2, 3))


@pytest.fixture(scope="module")
def photos():
    generator = np.random.default_rng(0)
    texture = generator.integers(0, 256, (9, 6, 6, 3), dtype=np.uint8)
    return np.stack(
        [SHEET.apply(np.kron(coarse, np.ones((15, 20, 1), np.uint8))) for coarse in texture]
    )


@pytest.fixture(scope="module")
def alone(members, photos):
    """Logits (5, 9, 3) of the members run alone, each at its own size."""
    parts = [(SMALL, photos[:, :32, 64:]), (LARGE, photos[:, :64, :64])]
    return np.concatenate([
        all_exits(TorchBackend(member, threads=1))(way.normalise(np.ascontiguousarray(images)))
        for member, (way, images) in zip(members, parts, strict=True)
    ])  # fmt: skip


def cascade(members, combine="last"):
    return Cascade(members, TILES, SHEET.size, combine).eval()


def answers(model, photos):
    return all_exits(TorchBackend(model, threads=1))(SHEET.normalise(photos))


@pytest.mark.parametrize("count", [1, 9])
def test_each_exit_answers_bit_for_bit_as_its_member_alone(members, photos, count):
    parts = [(SMALL, photos[:count, :32, 64:]), (LARGE, photos[:count, :64, :64])]
    expected = [
        logits
        for member, (preprocessing, images) in zip(members, parts, strict=True)
        for logits in all_exits(TorchBackend(member, threads=1))(
            preprocessing.normalise(np.ascontiguousarray(images))
        )
    ]
    np.testing.assert_array_equal(answers(cascade(members), photos[:count]), expected)


def test_the_mean_is_that_of_the_probabilities_so_far(members, photos, alone):
    probabilities = torch.from_numpy(alone).double().softmax(dim=2).numpy()
    means = np.cumsum(probabilities, axis=0) / np.arange(1, 6)[:, None, None]
    got = answers(cascade(members, "mean"), photos)
    np.testing.assert_allclose(np.exp(got), means, atol=1e-6)


def test_the_mean_of_sure_answers_stays_finite(members, photos):
    sure = [network(32, 0), network(64, 1)]
    with torch.no_grad():
        for member in sure:
            for stage in member.stages:
                stage.head.classify.weight.mul_(1000)
    got = answers(cascade(sure, "mean"), photos)
    assert np.isfinite(got).all()
    assert got.min() < -104  # a probability that f32 cannot hold


@pytest.mark.parametrize(("combine", "totals"), [("last", ()), ("mean", ((3,),))])
def test_only_what_is_needed_is_handed_on(combine, totals):
    model = Cascade([convolutions(0), convolutions(1)], TILES, SHEET.size, combine)
    tile = (64, 64, 3)
    assert find_state(model, SHEET.size, real=True).shapes == (
        (tile, *totals, (16, 16, 4)),
        (tile, *totals),  # the first member has ended
        (*totals, (32, 32, 4)),
        (),
    )


def test_an_exit_costs_all_that_is_before_it():
    small, large = (measure_complexity(convolutions(0), size) for size in (32, 64))
    both = measure_complexity(
        Cascade([convolutions(0), convolutions(1)], TILES, SHEET.size), SHEET.size
    )
    for counts in ("macs", "parameters"):
        first, second = getattr(small, counts), getattr(large, counts)
        expected = (*first, *(first[-1] + count for count in second))
        assert getattr(both, counts) == expected


def test_it_is_built_from_its_document(photos):
    settings = NETWORK | {"exits": [1]}
    members = tuple(Member("ee_hifuse_nano", tile, settings) for tile in TILES)
    document = json.loads(json.dumps(CascadeConfig(members, "mean").document()))
    spec = NetworkSpec("cascade", 3, SHEET.size, document)
    assert (spec.family, spec.build_blank().num_stages) == ("cascade", 4)
    torch.manual_seed(5)
    built = spec.build().eval()
    torch.manual_seed(5)
    pair = [create_model("ee_hifuse_nano", 3, size=tile[2], **settings).eval() for tile in TILES]
    np.testing.assert_array_equal(answers(built, photos), answers(cascade(pair, "mean"), photos))


def test_members_may_share_a_tile_and_take_turns(photos):
    first, second, third = network(32, 0), network(64, 1), network(32, 2)
    shared = Cascade([first, second, third], (*TILES, TILES[0]), SHEET.size).eval()
    got = answers(shared, photos)
    again = Cascade([third, second], TILES, SHEET.size).eval()
    np.testing.assert_array_equal(got[4:], answers(again, photos)[:2])


def test_the_whole_of_it_is_the_last_member(members, photos):
    whole = cascade(members, "mean").whole().eval()
    assert whole.num_stages == 1
    np.testing.assert_array_equal(answers(whole, photos)[0], answers(cascade(members), photos)[-1])


def test_where_it_looks_is_where_its_members_look(members, photos):
    images = torch.from_numpy(SHEET.normalise(photos))
    small = torch.from_numpy(SMALL.normalise(np.ascontiguousarray(photos[:, :32, 64:])))
    large = torch.from_numpy(LARGE.normalise(np.ascontiguousarray(photos[:, :64, :64])))
    for combine in ("last", "mean"):
        got = exit_attention(cascade(members, combine), images)
        expected = [*exit_attention(members[0], small), *exit_attention(members[1], large)]
        assert [kind for _, kind in got] == [kind for _, kind in expected]
        for (maps, _), (member_maps, _) in zip(got, expected, strict=True):
            np.testing.assert_array_equal(maps, member_maps)


def policy_for(kind, logits):
    """Return a policy that about half of the images satisfy at each exit."""
    if kind == "patience":
        return patience_policy(4, 2)
    sure = np.stack([confidence(scores, kind) for scores in logits[:-1]])
    thresholds = np.quantile(sure, 0.45, axis=1).tolist()  # between two of nine images
    rule = ThresholdRule(kind=kind, thresholds=tuple(thresholds))
    return ExitPolicy(rule=rule, num_exits=4, temperatures=(1.0,) * 4)


@given(
    combine=st.sampled_from(["last", "mean"]),
    kind=st.sampled_from(["max_probability", "margin", "patience"]),
    order=st.permutations(range(9)),
    sizes=st.tuples(st.integers(1, 5), st.integers(0, 3)),
)
@settings(max_examples=40)
def test_batches_and_streams_answer_like_images_alone(photos, combine, kind, order, sizes):
    batch, extra = sizes
    model = cascade([convolutions(3), convolutions(8)], combine)
    logits = answers(model, photos)
    policy = policy_for(kind, logits)
    engine = Engine(TorchBackend(model, threads=1), policy, SHEET)
    exits = policy.assign(logits)
    together = engine.predict(photos[order])
    stream = Stream(engine, batch, window=batch + extra)
    streamed = [answer for image in order for answer in stream.add(photos[image])]
    streamed += stream.flush()
    for got in (together, streamed):
        assert [answer.exit for answer in got] == exits[order].tolist()
        for image, answer in zip(order, got, strict=True):
            expected = policy.probabilities(answer.exit, logits[answer.exit - 1, image : image + 1])
            np.testing.assert_allclose(answer.probabilities, expected[0], atol=1e-5)


def test_images_exit_inside_every_member(photos):
    logits = answers(cascade([convolutions(3), convolutions(8)]), photos)
    exits = policy_for("max_probability", logits).assign(logits)
    assert np.unique(exits).tolist() == [1, 2, 3, 4], "the policies above decide too little"


@given(cut=st.integers(1, 4), order=st.permutations(range(9)))
@settings(max_examples=15)
def test_a_deadline_answers_with_the_last_exit_that_ended(photos, cut, order):
    model = cascade([convolutions(3), convolutions(8)])
    logits = answers(model, photos)
    policy = policy_for("max_probability", logits)
    engine = Engine(TorchBackend(model, threads=1), policy, SHEET, 1e6)
    exits = policy.assign(logits)
    with mock.patch.object(engine, "_in_time", lambda clock, number, images: number <= cut):
        got = engine.predict(photos[order])
    for image, answer in zip(order, got, strict=True):
        assert answer.exit == min(cut, exits[image])
        assert answer.cut_short == (exits[image] > cut)
        assert answer.label == logits[answer.exit - 1, image].argmax()


@pytest.mark.slow
def test_its_stages_are_graphs_of_onnx(photos, tmp_path):
    """OpenVINO's are in the test of whole bundles; these take long to write."""
    ort = pytest.importorskip("onnxruntime")
    model = cascade([convolutions(3), convolutions(8)], "mean")
    expected = answers(model, photos)
    state = [SHEET.normalise(photos).transpose(0, 2, 3, 1)]
    for graph, logits in zip(stage_graphs(model, SHEET.size), expected, strict=True):
        write_onnx(graph.graph, graph.example, tmp_path / "stage.onnx", graph.names)
        session = ort.InferenceSession((tmp_path / "stage.onnx").read_bytes())
        feeds = dict(zip(graph.names, map(np.ascontiguousarray, state), strict=True))
        *state, got = session.run(None, feeds)
        np.testing.assert_allclose(got, logits, atol=1e-4)


def test_what_does_not_fit_is_refused(members):
    with pytest.raises(UsageError, match=r"made of trained runs.*endoexit cascade RUN RUN"):
        create_model("cascade", 3)
    assert family_of("cascade") == "cascade"
    with pytest.raises(UsageError, match="did you mean 'mean'"):
        CascadeConfig(combine="meen")
    with pytest.raises(UsageError, match="did you mean 'combine'"):
        CascadeConfig().replaced({"combin": "mean"})
    with pytest.raises(SizeError, match="must be multiples of 32"):
        Cascade(members, ((0, 64, 33), TILES[1]), SHEET.size)
    with pytest.raises(SizeError, match="not on a sheet of 90"):
        Cascade(members, TILES, 90)
    with pytest.raises(SizeError, match="sheets of 96×96"):
        cascade(members)(torch.zeros(1, 3, 64, 64))
