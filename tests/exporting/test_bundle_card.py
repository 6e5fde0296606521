"""The model card of a bundle."""

from endoexit.artifacts.bundle_document import BundleConfig
from endoexit.exporting.bundle_card import write_bundle_card
from endoexit.images.preprocessing import Preprocessing
from endoexit.policy import fixed_exit
from endoexit.policy.document import Promise
from endoexit.policy.proven import FELL_BACK
from endoexit.policy.risks import Risk

CONFIG = BundleConfig(
    backend="onnx",
    precision="f32",
    model="ee_hifuse_nano",
    classes=("a", "b"),
    preprocessing=Preprocessing(size=32),
    exits=({"macs": 5_000_000, "parameters": 7}, {"macs": 9_000_000, "parameters": 11}),
    state_shapes=(((3,),), ()),
    computes=("onnx-f32",),
    run_weights_sha256="0" * 64,
)


def test_a_fallback_is_not_shown_as_if_it_had_been_tested(tmp_path):
    promise = Promise(
        risk=Risk(name="disagreement", tolerance=0.01),
        delta=0.05,
        images=159,
        unit="group",
        observed=0.0,
        p_value=0.0,
        method="by construction",
    )
    policy = fixed_exit(2, 2).replaced(promises=(promise,), note=FELL_BACK)
    card = write_bundle_card(tmp_path, CONFIG, {"onnx-f32": policy}, tmp_path / "run").read_text()
    assert (
        "  - promise: disagreement <= 0.01 on new groups, with probability 0.95 (by construction)\n"
        in card
    )
    assert f"  - {FELL_BACK}" in card
    assert "159" not in card
    assert "p = " not in card
