from endoexit.artifacts.members import MemberFacts
from endoexit.models.origin import Origin

FACTS = MemberFacts(
    name="lite0-96", network="efficientnet_lite0", size=96, exits=(1, 4), weights_sha256="ab12",
    manifest_sha256="cd34", seed=3, command="endoexit train …",
)  # fmt: skip


def test_a_card_can_name_each_member():
    lines = dict(FACTS.lines("member 2"))
    assert lines["member 2"] == "lite0-96, efficientnet_lite0 at 96×96 pixels, exits 1 to 4; seed 3"
    assert lines["weights of member 2, SHA-256"] == "ab12"
    assert lines["member 2 made by"] == "endoexit train …"


def test_one_exit_is_one_and_the_origin_of_its_weights_is_told():
    origin = Origin(source="pip:lite0", licence="Apache-2.0")
    lines = dict(FACTS.replaced(exits=(5, 5), starting_weights=origin).lines("member 1"))
    assert "exit 5;" in lines["member 1"]
    assert lines["member 1, their licence"] == "Apache-2.0"
