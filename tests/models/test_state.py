"""What stages hand on has names that exported graphs can use, and shapes."""

import pytest
from pydantic import ValidationError

from endoexit.models.state import StateSpec, TensorSpec, derived_names, state_of_shapes


def test_names_are_derived_from_the_dimensions_and_numbered_where_one_repeats():
    assert derived_names([1, 2, 3, 0]) == ("vector", "tokens", "map", "tensor")
    assert derived_names([3, 1, 3]) == ("map1", "vector", "map2")
    assert derived_names([]) == ()


def test_stages_know_what_they_take_and_give():
    state = state_of_shapes([[[8, 4, 4], [16]], []])
    assert state.shapes == (((8, 4, 4), (16,)), ())
    assert state.inputs(1) == ("images",)
    assert state.inputs(2) == ("map", "vector")
    assert state.outputs(1) == ("map", "vector", "logits")
    assert state.outputs(2) == ("logits",)


@pytest.mark.parametrize("name", ["images", "logits", "map"])
def test_a_name_is_taken_once_in_a_stage(name):
    tensors = (TensorSpec(name="map", shape=(1, 2, 2)), TensorSpec(name=name, shape=(3,)))
    with pytest.raises(ValidationError, match=f"stage 1 has several tensors named {name}"):
        StateSpec(stages=(tensors, ()))


@pytest.mark.parametrize("fields", [
    {"name": "a b", "shape": (1,)},
    {"name": "1a", "shape": (1,)},
    {"name": "a", "shape": (0,)},
    {"name": "a", "shape": (3, 4), "channels_last": True},
])  # fmt: skip
def test_what_no_graph_could_name_or_hold_is_refused(fields):
    with pytest.raises(ValidationError):
        TensorSpec(**fields)
