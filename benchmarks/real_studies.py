"""What is trained on real images: networks, recipes, seeds, and prototypes to compare with."""

from collections.abc import Mapping
from dataclasses import dataclass

THRESHOLD = 0.9  # of the confidence of every exit, where a study has no goal


@dataclass(frozen=True)
class Study:
    """One network on one data set, over several seeds.

    Attributes:
        name: Name of the study; results are in `real_<name>.json`.
        data: Folder of the images.
        model: Name of the network.
        recipe: Name of the recipe.
        train: Arguments of `endoexit train` for the network with exits.
        twin: Arguments of `endoexit train` for the same network without early exits. Empty for
            none.
        folders: Beginnings of the names of the two run folders.
        seeds: Seeds of the trainings.
        goal: Arguments of `endoexit calibrate`. Empty for `THRESHOLD`.
        certify: Whether the manifest has a role certify.
        prototype: Accuracy (percent) of plain prototypes of the same network on the same test
            images, one seed; by row.
    """

    name: str
    data: str
    model: str
    recipe: str
    train: tuple[str, ...]
    twin: tuple[str, ...]
    folders: tuple[str, str]
    seeds: tuple[int, ...]
    goal: tuple[str, ...]
    prototype: Mapping[str, float]
    certify: bool = True

    @property
    def rule(self) -> str:
        """Rule that decides where images exit, in words."""
        return f"goal {' '.join(self.goal)}" if self.goal else f"threshold {THRESHOLD}"


def _from_scratch(
    data: str, epochs: int, seeds: tuple[int, ...], prototype: Mapping[str, float]
) -> Study:
    more = ("--recipe", "small-data", "--set", f"epochs={epochs}")
    return Study(
        name=data,
        data=data,
        model="ee_hifuse_nano",
        recipe="small-data",
        train=("--model", "ee_hifuse_nano", *more),
        twin=("--model", "hifuse_nano", *more),
        folders=("ee_hifuse_nano", "hifuse_nano"),
        seeds=seeds,
        goal=(),
        prototype=prototype,
    )


def _fine_tuned(data: str, exits: str, prototype: Mapping[str, float]) -> Study:
    network = ("--model", "efficientnet_lite0", "--weights", "pip:lite0", "--recipe", "fine-tune")
    return Study(
        name=f"{data}_fine_tuned",
        data=data,
        model="efficientnet_lite0",
        recipe="fine-tune",
        train=(*network, "--exits", exits),
        twin=(*network, "--exits", "none"),
        folders=("lite0", "lite0-whole"),
        seeds=(0, 1, 2),
        goal=("--max-accuracy-drop", "0.01"),
        prototype=prototype,
        certify=False,
    )


MSDNET = Study(
    name="colonoscopy_msdnet",
    data="colonoscopy",
    model="msdnet_imagenet_k4",
    recipe="small-data",
    train=("--model", "msdnet_imagenet_k4", "--recipe", "small-data", "--set", "epochs=72"),
    twin=(),
    folders=("msdnet", ""),
    seeds=(0,),
    goal=("--max-accuracy-drop", "0.01"),
    prototype={},
    certify=False,
)
STUDIES = {
    study.name: study
    for study in (
        # Exit 2 is behind the layer that halves the map, not before it as that of the prototype:
        # on the images of val and calibrate it is better with every seed.
        _fine_tuned(
            "colonoscopy",
            "blocks.2,blocks.5.0,blocks.5",
            {"exit 1": 78.9, "exit 2": 91.6, "exit 3": 95.1, "final": 94.4},
        ),
        _fine_tuned("otoscopy", "3,5,6", {}),
        # 72 epochs are what fits into an hour of two cores; 32 into half an hour of one.
        _from_scratch(
            "colonoscopy",
            72,
            (0, 1),
            {"exit 1": 68.0, "exit 2": 78.4, "exit 3": 77.5, "final": 82.4, "twin": 82.4},
        ),
        _from_scratch(
            "otoscopy",
            32,
            (0, 1, 2),
            {"exit 1": 94.4, "exit 2": 98.4, "exit 3": 96.8, "final": 94.4},
        ),
        MSDNET,
    )
}
BITS = {"colonoscopy": 15, "otoscopy": 30}  # near-copies of the audit
