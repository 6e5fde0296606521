"""The document of a bundle: its own hash, and what older releases wrote."""

import pytest
from pydantic import ValidationError

from endoexit.artifacts.bundle_document import BundleConfig, digest_of
from endoexit.images.preprocessing import Preprocessing
from endoexit.models.state import state_of_shapes

FIELDS = {
    "backend": "openvino",
    "precision": "f32",
    "model": "ee_hifuse_nano",
    "classes": ("a", "b"),
    "preprocessing": Preprocessing(size=32),
    "exits": ({"macs": 5, "parameters": 7}, {"macs": 9, "parameters": 8}),
    "computes": ("openvino-f32",),
    "run_weights_sha256": "0" * 64,
}
SHAPES = (((4, 8, 8),), ())


def test_a_sealed_document_carries_the_hash_of_everything_else():
    sealed = BundleConfig(**FIELDS, state_shapes=SHAPES).sealed()
    document = sealed.model_dump(mode="json")
    assert sealed.document_sha256 == digest_of(document)
    assert digest_of(document | {"document_sha256": ""}) == sealed.document_sha256
    for name in document.keys() - {"document_sha256"}:
        assert digest_of(document | {name: "another"}) != sealed.document_sha256
    assert sealed.sealed() == sealed


def test_shapes_of_format_1_are_read_as_the_state():
    config = BundleConfig(**FIELDS, state_shapes=SHAPES)
    assert config.state == state_of_shapes(SHAPES)
    assert "state_shapes" not in config.model_dump()


def test_every_exit_has_the_state_of_its_stage():
    with pytest.raises(ValidationError, match="states of 1 stages for 2 exits"):
        BundleConfig(**FIELDS, state_shapes=((),))
