"""What a training is asked for: names and paths as users give them, defaults filled in."""

import json
from dataclasses import dataclass
from pathlib import Path

from endoexit.artifacts.run import Run
from endoexit.errors import UsageError
from endoexit.progress import Track, silent
from endoexit.training.recipe import Recipe, read_recipe
from endoexit.training.start import create_run
from endoexit.training.strategies.distil import NAME

MODEL = "ee_hifuse_nano"
RECIPE, RECIPE_WITH_WEIGHTS = "small-data", "fine-tune"


@dataclass(frozen=True)
class TrainingRequest:
    """A training that someone asks for.

    Attributes:
        manifest: Manifest of the images.
        model: Name of the network, "timm:NAME" or "path/to/file.py:function". None for `MODEL`.
        weights: Starting weights. None for fresh ones.
        exits: Layers with an exit behind them. None for those of the network's settings.
        head: Name of the exit head. None for that of the network's settings.
        recipe: Name of a recipe or path of a YAML file. None for `RECIPE`, and for
            `RECIPE_WITH_WEIGHTS` where there are starting weights.
        strategy: Name of a training strategy, with its default settings. None for the recipe's.
        teacher: Folder of a trained run that teaches this one by the strategy distil. None for
            none.
        changes: Changes of the recipe, such as "epochs=5".
        out: Run folder to make. None for `runs/<model>-<recipe>-seed<seed>`.
        root: Folder that the manifest's paths are relative to. None for the one that it names.
        seed: Random seed for initialisation, order and augmentation.
    """

    manifest: Path
    model: str | None = None
    weights: str | None = None
    exits: str | None = None
    head: str | None = None
    recipe: str | None = None
    strategy: str | None = None
    teacher: Path | None = None
    changes: tuple[str, ...] = ()
    out: Path | None = None
    root: Path | None = None
    seed: int = 0

    @property
    def path(self) -> Path:
        """Folder of the run."""
        model = Path(self._model).name.replace(".py:", "-").replace(":", "-")
        return self.out or Path("runs") / f"{model}-{Path(self._recipe).stem}-seed{self.seed}"

    def settings(self) -> Recipe:
        """Return the recipe with all that is to be different from it.

        Raises:
            UsageError: There is no such recipe, a setting that it does not know, or a teacher for
                a strategy that takes none.
        """
        shape = {"exits": self.exits, "head": self.head}
        changes: list[str] = []
        # In quotes, which YAML reads as JSON does: a name or a path may hold a colon.
        if self.strategy is not None:
            changes.append(f'strategy={{"name": {json.dumps(self.strategy)}}}')
        if self.teacher is not None:
            if self.strategy not in (None, NAME):
                raise UsageError(
                    f"a teacher is for the strategy {NAME}, not {self.strategy}: leave out "
                    "--teacher or --strategy."
                )
            changes += [
                f"strategy.name={NAME}",
                f"strategy.teacher={json.dumps(str(self.teacher))}",
            ]
        return read_recipe(self._recipe, (*changes, *self.changes)).with_model(
            {name: value for name, value in shape.items() if value is not None}
        )

    def start(self, accelerator: str = "auto", track: Track = silent) -> Run:
        """Make the folder of the run; see `create_run`."""
        return create_run(
            self.path,
            self.manifest,
            self._model,
            self.settings(),
            seed=self.seed,
            root=self.root,
            weights=self.weights,
            accelerator=accelerator,
            track=track,
        )

    @property
    def _model(self) -> str:
        return self.model or MODEL

    @property
    def _recipe(self) -> str:
        return self.recipe or (RECIPE if self.weights is None else RECIPE_WITH_WEIGHTS)
