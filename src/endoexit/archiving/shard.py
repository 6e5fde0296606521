"""The work on one shard: its images read, predicted, and written as one file."""

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from endoexit.archiving.document import Answering, ShardFile
from endoexit.archiving.plan import JobFolder
from endoexit.archiving.planned import Planned
from endoexit.archiving.results import write_results
from endoexit.errors import ImageError, RunError
from endoexit.runtime.predictor import predict_loaded
from endoexit.runtime.session import open_session

BATCH_SIZE = 16  # half of the default of `predict`: a worker stays well under 600 MB


class ShardWork:
    """A model that is open, and computes shards of one job.

    A process, or a machine, makes one of these and asks it for one shard after the other.

    Args:
        folder: The job.
        threads: Number of threads of the network.

    Raises:
        EndoexitError: The model cannot be used, or is not that of the job any more.
    """

    def __init__(self, folder: JobFolder, threads: int) -> None:
        self.folder = folder
        job = folder.job
        self._session = open_session(
            job.source, threshold=job.threshold, precision=job.precision, threads=threads
        )
        job.answering.require(Answering.of(self._session), job.source)

    def compute(self, shard: int, fatal: Collection[int] = ()) -> ShardFile:
        """Compute a shard and write its file.

        Its batches depend on its images alone, so a second time gives the same rows but for their
        times.

        Args:
            shard: Number of the shard, from 0.
            fatal: Positions in the shard of images that are not read, as they end the process.

        Raises:
            RunError: The plan cannot be read.
            WriteError: The file cannot be written.
        """
        job, engine = self.folder.job, self._session.engine
        images = self.folder.planned(shard)

        def load(position: int) -> npt.NDArray[np.uint8]:
            if position in fatal:
                raise ImageError(
                    "ends the process that decodes it: leave it out, or convert it with another "
                    "program."
                )
            return self._square(images[position])

        rows = predict_loaded(engine, range(len(images)), load, BATCH_SIZE, idle_s=None)
        return write_results(self.folder.file(shard), job.rows(shard)[0], rows)

    def require_visible(self, shard: int, positions: Collection[int]) -> None:
        """Refuse a shard whose images are not here, though another machine sees them.

        Args:
            shard: Number of the shard.
            positions: Positions in the shard of images that are elsewhere as they were planned.

        Raises:
            RunError: One of them is missing here, or another file.
        """
        images = self.folder.planned(shard) if positions else []
        if not all(images[position].is_as_planned(self.folder.job.base) for position in positions):
            raise RunError(
                "this machine does not see the images of the job: make their folders available "
                "under the same paths on all machines, or leave this one out."
            )

    def decode(self, shard: int, positions: range) -> None:
        """Read some images of a shard and forget them: to find the one that ends the process."""
        images = self.folder.planned(shard)
        for position in positions:
            try:
                self._square(images[position])
            except ImageError:
                continue

    def _square(self, image: Planned) -> npt.NDArray[np.uint8]:
        content = image.read(self.folder.job.base)
        return self._session.engine.preprocessing.load(content, frame=image.frame)
