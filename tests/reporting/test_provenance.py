"""Every figure names its source and the commands that make it."""

from endoexit.reporting.provenance import provenance
from endoexit.reporting.style import draw
from report_material import make_material


def picture(name, source):
    return draw(
        name, (1, 1), lambda figure: figure.subplots(), alt="a", caption="c", source=source,
        synthetic=False,
    )  # fmt: skip


def test_figures_of_the_training_need_its_command_and_others_the_evaluation():
    material = make_material()
    pictures = [picture("loss", "metrics.csv"), picture("shares", "evaluation.json")]
    sources = provenance(material, "endoexit report runs/made-up", pictures)
    assert [step.command for step in sources.commands] == [
        "endoexit train made-up.csv",
        "endoexit evaluate runs/made-up",
        "endoexit report runs/made-up",
    ]
    assert [(made.name, made.steps) for made in sources.figures] == [
        ("loss", "1, 3"),
        ("shares", "2, 3"),
    ]
    assert sources.facts == (("network", "made up"),)
