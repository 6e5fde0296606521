"""The files of a bundle's stages."""

import shutil
from pathlib import Path

from endoexit.artifacts.source import WEIGHTS
from endoexit.exporting.graphs import graph_state, stage_graphs
from endoexit.exporting.quantise import Int8, quantise_stages
from endoexit.exporting.stage_files import OnnxStages, OpenVinoStages
from endoexit.models.dry_run import find_state
from endoexit.models.quantised import exportable, is_quantised, simplified
from endoexit.models.state import StateSpec
from endoexit.precision import BackendName
from endoexit.runtime.session import Session


def write_stages(
    session: Session, folder: Path, backend: BackendName, int8: Int8 | None
) -> tuple[StateSpec, tuple[str, ...]]:
    """Write the stages of a run.

    Args:
        session: Run with weights.
        folder: Folder of the stages.
        backend: What will run them.
        int8: How they are quantised; None for stages in f32.

    Returns:
        What each stage hands on, and the layers that int8 left in floating point.
    """
    folder.mkdir(parents=True)
    model = session.source.load_model()
    size = session.preprocessing.size
    if backend == "torch":
        shutil.copyfile(session.source.path / WEIGHTS, folder / WEIGHTS)
        return find_state(model, size), ()
    trained = is_quantised(model)
    model = exportable(model) if trained else simplified(model)
    state = graph_state(model, size)
    files = OpenVinoStages(folder) if backend == "openvino" else OnnxStages(folder)
    with session.track("exporting stages", model.num_stages) as bar:
        for graph in stage_graphs(model, size):
            files.write(graph)
            bar.advance()
    if trained:
        left = ((f"{number}.{name}" for name in files.float_layers(number))
                for number in range(1, model.num_stages + 1))  # fmt: skip
        return state, tuple(name for names in left for name in names)
    if int8 is None:
        return state, ()
    return state, quantise_stages(files, int8, session.track)
